import { StorageError } from '../errors.ts';

/** How requests are authorised. */
export type Access =
  | { readonly kind: 'key'; readonly account: string; readonly key: string }
  /** A shared access signature: the query that is added to each URL, without its question mark. */
  | { readonly kind: 'sas'; readonly token: string }
  /** By the SDK's own chain: service principal, workload identity, managed identity, CLI. */
  | { readonly kind: 'chain' };

export interface Account {
  /** The blob service's URL, without a slash at the end. */
  readonly endpoint: string;
  readonly access: Access;
}

/** The account of every emulator and its key, which are no secret (learn.microsoft.com, "Use the Azurite emulator"). */
const DEVELOPMENT =
  'AccountName=devstoreaccount1;' +
  'AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;' +
  'BlobEndpoint=http://127.0.0.1:10000/devstoreaccount1';

const PUBLIC_SUFFIX = 'core.windows.net';

/**
 * Where the account is and how it is opened, from the archive's endpoint and the environment's variables: a connection
 * string, or an account with its key or a signature, or an account alone. Errors: StorageError `configuration`.
 */
export function findAccount(endpoint: string | undefined, env: NodeJS.ProcessEnv): Account {
  const connection = variable(env, 'AZURE_STORAGE_CONNECTION_STRING');
  const account = connection !== undefined ? fromConnectionString(connection, endpoint) : fromVariables(endpoint, env);
  if (account.access.kind === 'chain' && !account.endpoint.startsWith('https://')) {
    throw wrong(
      `${account.endpoint} is not https://, and the credentials of this host are sent nowhere else`,
      'Name an https:// endpoint; an emulator is opened with AZURE_STORAGE_CONNECTION_STRING.',
    );
  }
  return account;
}

function fromConnectionString(text: string, endpoint: string | undefined): Account {
  const parts = partsOf(text);
  const account = parts.get('accountname');
  const ours = parts.get('blobendpoint') ?? defaultEndpoint(parts, account);
  const named = ours === undefined ? endpoint : normalised(ours);
  if (named === undefined) {
    throw wrong('AZURE_STORAGE_CONNECTION_STRING names neither AccountName nor BlobEndpoint', CONNECTION_HINT);
  }
  if (endpoint !== undefined && normalised(endpoint) !== named) {
    throw wrong(
      `the endpoint ${endpoint} is not that of AZURE_STORAGE_CONNECTION_STRING, ${named}`,
      'Leave one of them out, or let both name the same account.',
    );
  }
  const key = parts.get('accountkey');
  const sas = parts.get('sharedaccesssignature');
  if (key) return { endpoint: named, access: keyed(account ?? accountIn(named), key) };
  if (sas) return { endpoint: named, access: signed(sas, 'AZURE_STORAGE_CONNECTION_STRING') };
  throw wrong('AZURE_STORAGE_CONNECTION_STRING holds neither AccountKey nor SharedAccessSignature', CONNECTION_HINT);
}

const CONNECTION_HINT =
  'Copy it anew from the account\'s page in the portal, under "Access keys" or "Shared access signature".';

/** Its parts, by their names in lower case. */
function partsOf(text: string): Map<string, string> {
  const parts = new Map<string, string>();
  for (const part of text.split(';')) {
    const [, name, value] = /^\s*([^=]+?)\s*=(.*)$/s.exec(part) ?? [];
    if (name !== undefined && value !== undefined) parts.set(name.toLowerCase(), value.trim());
  }
  return parts.get('usedevelopmentstorage')?.toLowerCase() === 'true' ? partsOf(DEVELOPMENT) : parts;
}

function defaultEndpoint(parts: ReadonlyMap<string, string>, account: string | undefined): string | undefined {
  if (!account) return undefined;
  const protocol = parts.get('defaultendpointsprotocol') ?? 'https';
  return `${protocol}://${account}.blob.${parts.get('endpointsuffix') ?? PUBLIC_SUFFIX}`;
}

function fromVariables(endpoint: string | undefined, env: NodeJS.ProcessEnv): Account {
  const account = variable(env, 'AZURE_STORAGE_ACCOUNT');
  if (account === undefined && endpoint === undefined) {
    throw wrong(
      'no storage account is named',
      'Set endpoint = "https://account.blob.core.windows.net" in [[archive]], or AZURE_STORAGE_ACCOUNT in the environment of PostgreSQL.',
    );
  }
  const where = normalised(endpoint ?? `https://${account ?? ''}.blob.${PUBLIC_SUFFIX}`);
  const itsAccount = accountIn(where);
  if (account !== undefined && itsAccount !== undefined && itsAccount !== account) {
    throw wrong(
      `the endpoint ${where} is of another account than AZURE_STORAGE_ACCOUNT, ${account}`,
      'Leave one of them out, or let both name the same account.',
    );
  }
  const key = variable(env, 'AZURE_STORAGE_KEY');
  const sas = variable(env, 'AZURE_STORAGE_SAS_TOKEN');
  if (key !== undefined) return { endpoint: where, access: keyed(account ?? itsAccount, key) };
  if (sas !== undefined) return { endpoint: where, access: signed(sas, 'AZURE_STORAGE_SAS_TOKEN') };
  return { endpoint: where, access: { kind: 'chain' } };
}

/** An empty one is none. */
function variable(env: NodeJS.ProcessEnv, name: string): string | undefined {
  const value = env[name]?.trim();
  return value === '' ? undefined : value;
}

/** The account that an endpoint names: its first label, or in an emulator's the first part of the path. */
function accountIn(endpoint: string): string | undefined {
  const { hostname, pathname } = new URL(endpoint);
  const [, inPath] = pathname.split('/');
  if (inPath) return inPath;
  return /^([a-z0-9]+)(-secondary)?\.(z[0-9]+\.)?blob\./.exec(hostname)?.[1];
}

function keyed(account: string | undefined, key: string): Access {
  if (account) return { kind: 'key', account, key };
  throw wrong(
    'an account key is given, and not the account',
    'Set AZURE_STORAGE_ACCOUNT in the environment of PostgreSQL.',
  );
}

function signed(text: string, variable: string): Access {
  const token = text.replace(/^\?/, '');
  if (/(^|&)sig=[^&]/.test(token) && !/[\s#]/.test(token)) return { kind: 'sas', token };
  throw wrong(`${variable} holds no shared access signature`, 'It looks like sv=...&sp=...&sig=..., as one line.');
}

function normalised(endpoint: string): string {
  if (!URL.canParse(endpoint) || !/^https?:/i.test(endpoint)) {
    throw wrong('AZURE_STORAGE_CONNECTION_STRING or AZURE_STORAGE_ACCOUNT names no blob service', CONNECTION_HINT);
  }
  const { origin, pathname } = new URL(endpoint);
  return `${origin}${pathname}`.replace(/\/$/, '');
}

function wrong(fact: string, hint: string): StorageError {
  return new StorageError('configuration', fact, { hint });
}
