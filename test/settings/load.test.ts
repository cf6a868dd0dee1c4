import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';

import { loadSettings, pushArchives } from '../../src/settings/load.ts';
import { LEAST, load, refusal, settingsFile } from './write.ts';

describe('which file is read', () => {
  test('--config goes before $WALSEAL_CONFIG', async () => {
    const [one, other] = [settingsFile(LEAST), settingsFile(LEAST)];
    expect((await loadSettings(one, { WALSEAL_CONFIG: other })).path).toBe(one);
    expect((await loadSettings(undefined, { WALSEAL_CONFIG: other })).path).toBe(other);
  });

  test('a file that is not there is named, with what chose it', async () => {
    await expect(loadSettings('/nowhere/x.toml', {})).rejects.toThrow('/nowhere/x.toml (named by --config): ENOENT');
    await expect(loadSettings(undefined, { WALSEAL_CONFIG: '/nowhere/y' })).rejects.toThrow(
      '/nowhere/y (named by $WALSEAL_CONFIG)',
    );
  });
});

test('the least settings, and every default', async () => {
  const settings = await load(LEAST);
  expect(settings).toEqual({
    path: settings.path,
    keepWalMs: 7 * 86_400_000,
    strayAfterMs: 30 * 86_400_000,
    keep: [],
    deadlineMs: 60_000,
    verify: 'checksum',
    fetch: { deadlineMs: 300_000, standbyDeadlineMs: 5000, onPromote: 'stop', onGap: 'stop', allowEmpty: false },
    archives: [{ url: 'file:///archive', scheme: 'file', required: true, mode: 'push' }],
    encryption: { kind: 'none' },
    signing: {},
    compression: { level: 3 },
    backups: [],
    agent: { enabled: true, memory: 256 * 1024 * 1024, nice: 5 },
  });
});

test('every key, as it is meant', async () => {
  const settings = await load(`
keep_backups = 2
keep_days = 14
keep_wal = "3d"
stray_after = "60d"
keep = ["before upgrade", "*/2026-01-*"]
deadline = "90s"
verify = "readback"
[fetch]
deadline = "10m"
standby_deadline = "500ms"
on_promote = "promote"
on_gap = "end"
allow_empty = true
[[archive]]
url = "s3://bucket/prefix/"
region = "eu-central-1"
endpoint = "https://s3.example.com/"
force_path_style = true
ca_file = "ca.pem"
conditional_create = "proven"
sse = "aws:kms"
kms_key = "alias/wal"
storage_class = "STANDARD_IA"
[[archive]]
url = "file:///archive"
required = false
mode = "fetch"
mounted = true
[encryption]
recipients = ["age1qqq", "age1zzz"]
identity_file = "keys/identity.txt"
[signing]
key_file = "/keys/signing.pem"
trusted = ["old.pub.pem"]
[compression]
level = 9
[[backups]]
url = "file:///backups/base/"
[[backups]]
history_files = "nightly*"
[agent]
enabled = false
socket = "/run/walseal.sock"
workers = 3
memory = "512MB"
bandwidth = "20MB"
nice = 0
`);
  const directory = dirname(settings.path);
  expect(settings).toEqual({
    path: settings.path,
    keepBackups: 2,
    keepDays: 14,
    keepWalMs: 3 * 86_400_000,
    strayAfterMs: 60 * 86_400_000,
    keep: ['before upgrade', '*/2026-01-*'],
    deadlineMs: 90_000,
    verify: 'readback',
    fetch: { deadlineMs: 600_000, standbyDeadlineMs: 500, onPromote: 'promote', onGap: 'end', allowEmpty: true },
    archives: [
      {
        url: 's3://bucket/prefix',
        scheme: 's3',
        required: true,
        mode: 'push',
        region: 'eu-central-1',
        endpoint: 'https://s3.example.com',
        forcePathStyle: true,
        caFile: join(directory, 'ca.pem'),
        conditionalCreate: 'proven',
        sse: 'aws:kms',
        kmsKey: 'alias/wal',
        storageClass: 'STANDARD_IA',
      },
      { url: 'file:///archive', scheme: 'file', required: false, mode: 'fetch', mounted: true },
    ],
    encryption: { kind: 'age', recipients: ['age1qqq', 'age1zzz'], identityFile: join(directory, 'keys/identity.txt') },
    signing: { keyFile: '/keys/signing.pem', trusted: [join(directory, 'old.pub.pem')] },
    compression: { level: 9 },
    backups: [
      { kind: 'location', url: 'file:///backups/base', scheme: 'file' },
      { kind: 'vouched', historyFiles: 'nightly*' },
    ],
    agent: {
      enabled: false,
      socket: '/run/walseal.sock',
      workers: 3,
      memory: 512 * 1024 * 1024,
      bandwidth: 20 * 1024 * 1024,
      nice: 0,
    },
  });
});

test('trusted = [] is something else than no trusted at all', async () => {
  expect((await load(`${LEAST}[signing]\n`)).signing).toEqual({});
  expect((await load(`${LEAST}[signing]\ntrusted = []\n`)).signing).toEqual({ trusted: [] });
});

test('the path of a settings file is made absolute, and key files are looked for beside it', async () => {
  const path = settingsFile(`${LEAST}[signing]\nkey_file = "../k.pem"\n`);
  mkdirSync(join(dirname(path), 'sub'));
  const settings = await loadSettings(join(dirname(path), 'sub', '..', 'walseal.toml'), {});
  expect(settings.path).toBe(path);
  expect(settings.signing.keyFile).toBe(join(dirname(dirname(path)), 'k.pem'));
});

test('a location of base backups is reached as an archive is', async () => {
  const { backups, path } = await load(
    `${LEAST}[[backups]]\nurl = "s3://b/base"\nregion = "r"\nendpoint = "http://store:9000"\n` +
      'force_path_style = true\nca_file = "ca.pem"\n[[backups]]\nurl = "file:///base"\nmounted = true\n',
  );
  expect(backups).toEqual([
    {
      kind: 'location',
      url: 's3://b/base',
      scheme: 's3',
      region: 'r',
      endpoint: 'http://store:9000',
      forcePathStyle: true,
      caFile: join(dirname(path), 'ca.pem'),
    },
    { kind: 'location', url: 'file:///base', scheme: 'file', mounted: true },
  ]);
});

test('a location of base backups refuses what its store does not know', async () => {
  const misplaced = load(`${LEAST}[[backups]]\nurl = "file:///base"\nendpoint = "http://store:9000"\n`);
  await expect(misplaced).rejects.toThrow(
    'endpoint in [[backups]] 1 is for s3://, gs://, azure://, and file:///base is',
  );
  const vouched = load(`${LEAST}[[backups]]\nhistory_files = "nightly"\nregion = "r"\n`);
  await expect(vouched).rejects.toThrow('region in [[backups]] 1 is for a url, and history_files needs none');
});

describe('what a push writes to', () => {
  test('all archives that are not read-only, in order', async () => {
    const settings = await load(
      `${LEAST}[[archive]]\nurl = "s3://b"\nmode = "fetch"\n[[archive]]\nurl = "gs://c"\nrequired = false\n`,
    );
    expect(pushArchives(settings).map((archive) => archive.url)).toEqual(['file:///archive', 'gs://c']);
  });

  test.each(['mode = "fetch"', 'required = false'])('nothing where the only archive says %s', async (line) => {
    const settings = await load(`${LEAST}${line}\n`);
    expect(() => pushArchives(settings)).toThrow(/no archive in .*walseal.toml must have a file/);
  });
});

test('a TOML error is told with its line and column, and without the lines around it', async () => {
  const { fact, shown } = await refusal('deadline = "60s"\nx = AGE-SECRET-KEY-1HUSH\n');
  expect(fact).toMatch(/walseal\.toml:2:\d+: invalid value$/);
  expect(shown).not.toContain('HUSH');
});

test.each([
  ['deadline = 60s\n', 'in quotes'],
  ['deadline = "60s"\ndeadline = "60s"\n', 'once'],
  ['[fetch]\n[fetch]\n', 'once'],
  ['[archive]\nurl = "file:///a"\n[[archive]]\nurl = "file:///b"\n', '[[archive]]'],
])('the hint fits the TOML error: %j', async (text, hint) => {
  expect((await refusal(text)).hint).toContain(hint);
});

test('a file that is not UTF-8 is refused', async () => {
  const { fact, hint } = await refusal(Buffer.from([0x61, 0xff]));
  expect(fact).toContain('it is not UTF-8');
  expect(hint).toContain('encoding');
});
