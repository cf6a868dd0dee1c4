import { describe, expect, it } from 'vitest';
import { findAccount, type Account } from '../../src/storage/azure/account.ts';
import { StorageError } from '../../src/storage/errors.ts';

const KEY = 'c2VjcmV0IGtleQ==';
const SAS = 'sv=2023-11-03&sr=c&sp=rc&sig=secret%2Bsignature%3D';
const PUBLIC = 'https://acct.blob.core.windows.net';

type Case = [what: string, endpoint: string | undefined, env: Record<string, string>, found: Account];

const FOUND: Case[] = [
  [
    'a connection string with a key',
    undefined,
    {
      AZURE_STORAGE_CONNECTION_STRING: `DefaultEndpointsProtocol=https;AccountName=acct;AccountKey=${KEY};EndpointSuffix=core.chinacloudapi.cn`,
    },
    { endpoint: 'https://acct.blob.core.chinacloudapi.cn', access: { kind: 'key', account: 'acct', key: KEY } },
  ],
  [
    'a connection string with an endpoint, in any order and case',
    'https://acct.blob.core.windows.net',
    { AZURE_STORAGE_CONNECTION_STRING: ` blobendpoint=${PUBLIC}/ ; accountkey=${KEY};ACCOUNTNAME=acct;` },
    { endpoint: PUBLIC, access: { kind: 'key', account: 'acct', key: KEY } },
  ],
  [
    'a connection string with a signature',
    undefined,
    { AZURE_STORAGE_CONNECTION_STRING: `BlobEndpoint=${PUBLIC};SharedAccessSignature=${SAS}` },
    { endpoint: PUBLIC, access: { kind: 'sas', token: SAS } },
  ],
  [
    'the account of the emulator',
    undefined,
    { AZURE_STORAGE_CONNECTION_STRING: 'UseDevelopmentStorage=true', AZURE_STORAGE_ACCOUNT: 'other' },
    {
      endpoint: 'http://127.0.0.1:10000/devstoreaccount1',
      access: { kind: 'key', account: 'devstoreaccount1', key: expect.stringMatching(/==$/) as string },
    },
  ],
  [
    'an account and its key',
    undefined,
    { AZURE_STORAGE_ACCOUNT: 'acct', AZURE_STORAGE_KEY: KEY, AZURE_STORAGE_SAS_TOKEN: SAS },
    { endpoint: PUBLIC, access: { kind: 'key', account: 'acct', key: KEY } },
  ],
  [
    'an account and a signature, and empty variables',
    undefined,
    {
      AZURE_STORAGE_CONNECTION_STRING: '',
      AZURE_STORAGE_ACCOUNT: 'acct',
      AZURE_STORAGE_KEY: ' ',
      AZURE_STORAGE_SAS_TOKEN: `?${SAS}\n`,
    },
    { endpoint: PUBLIC, access: { kind: 'sas', token: SAS } },
  ],
  [
    'a key, and the account in the endpoint',
    PUBLIC,
    { AZURE_STORAGE_KEY: KEY },
    { endpoint: PUBLIC, access: { kind: 'key', account: 'acct', key: KEY } },
  ],
  [
    'a key, and the account in the path of an emulator',
    'http://127.0.0.1:10000/acct',
    { AZURE_STORAGE_KEY: KEY },
    { endpoint: 'http://127.0.0.1:10000/acct', access: { kind: 'key', account: 'acct', key: KEY } },
  ],
  [
    'a key, and an account with a host of its own',
    'https://wal.example.com',
    { AZURE_STORAGE_ACCOUNT: 'acct', AZURE_STORAGE_KEY: KEY },
    { endpoint: 'https://wal.example.com', access: { kind: 'key', account: 'acct', key: KEY } },
  ],
  ['an endpoint alone', PUBLIC, {}, { endpoint: PUBLIC, access: { kind: 'chain' } }],
  ['an account alone', undefined, { AZURE_STORAGE_ACCOUNT: 'acct' }, { endpoint: PUBLIC, access: { kind: 'chain' } }],
];

const REFUSED: [what: string, endpoint: string | undefined, env: Record<string, string>, message: RegExp][] = [
  ['nothing', undefined, {}, /no storage account is named/],
  ['a key alone', undefined, { AZURE_STORAGE_KEY: KEY }, /no storage account is named/],
  ['a key without an account', 'https://wal.example.com', { AZURE_STORAGE_KEY: KEY }, /not the account/],
  [
    'another endpoint than that of the connection string',
    'https://other.blob.core.windows.net',
    { AZURE_STORAGE_CONNECTION_STRING: `AccountName=acct;AccountKey=${KEY}` },
    /is not that of AZURE_STORAGE_CONNECTION_STRING, https:\/\/acct\./,
  ],
  [
    'another account than that of the endpoint',
    'https://other.blob.core.windows.net',
    { AZURE_STORAGE_ACCOUNT: 'acct', AZURE_STORAGE_KEY: KEY },
    /another account than AZURE_STORAGE_ACCOUNT/,
  ],
  ['a connection string of nothing', undefined, { AZURE_STORAGE_CONNECTION_STRING: KEY }, /neither AccountName/],
  [
    'a connection string without what opens it',
    undefined,
    { AZURE_STORAGE_CONNECTION_STRING: 'AccountName=acct' },
    /neither AccountKey nor/,
  ],
  [
    'an endpoint that is none',
    undefined,
    { AZURE_STORAGE_CONNECTION_STRING: `BlobEndpoint=ftp://acct;AccountKey=${KEY}` },
    /names no blob service/,
  ],
  ['an account that is none', undefined, { AZURE_STORAGE_ACCOUNT: 'a b', AZURE_STORAGE_KEY: KEY }, /names no blob/],
  ['a signature that is none', PUBLIC, { AZURE_STORAGE_SAS_TOKEN: KEY }, /holds no shared access signature/],
  ['a signature in two lines', PUBLIC, { AZURE_STORAGE_SAS_TOKEN: `${SAS}\n&x=y` }, /holds no shared access/],
  ['the chain over plain HTTP', 'http://acct.blob.core.windows.net', {}, /is not https/],
];

describe('the account', () => {
  it.each(FOUND)('is found by %s', (_, endpoint, env, found) => {
    expect(findAccount(endpoint, env)).toEqual(found);
  });

  it.each(REFUSED)('is refused with %s, and no secret is told', (_, endpoint, env, message) => {
    let error: unknown;
    try {
      findAccount(endpoint, env);
    } catch (reason) {
      error = reason;
    }
    if (!(error instanceof StorageError)) throw new Error('no StorageError', { cause: error });
    expect(error.kind).toBe('configuration');
    expect(error.message).toMatch(message);
    expect(error.hint).not.toBe('');
    expect(error.message + error.hint).not.toMatch(/c2VjcmV0|secret/);
  });
});
