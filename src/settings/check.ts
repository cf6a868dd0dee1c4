import { dirname, resolve } from 'node:path';

import { OFFLINE_CLASSES, ONLY_FOR } from './keys.ts';
import { looksSecret, Problems } from './problems.ts';
import { isTable, readList, readTable, readTop, type RawTable, type Table } from './read.ts';
import type {
  AgentSettings,
  ArchiveSettings,
  BackupLocation,
  EncryptionSettings,
  Settings,
  SigningSettings,
  StoreSettings,
} from './schema.ts';

const BOTH_WAYS =
  'Name who may read what is archived: recipients = ["age1..."] in [encryption] (`walseal keygen` makes a key). ' +
  'Or say encryption = "none" above the first table: whoever reads the archive then reads the database.';

/** Makes settings of a parsed file, or tells everything that is wrong with it at once. Errors: Failure `usage`. */
export function checkSettings(path: string, raw: RawTable): Settings {
  const problems = new Problems(path);
  const top = readTop(raw, problems);
  const fetch = readTable('fetch', raw['fetch'], problems);
  const archives = readArchives(raw['archive'], dirname(path), problems);
  const encryption = readEncryption(raw['encryption'], dirname(path), problems);
  if (top?.keep.includes('') === true) {
    problems.add('keep has an empty pattern, which no backup has', 'Write a label or a path, or a part of one with *.');
  }
  const signing = readSigning(raw['signing'], dirname(path), problems);
  const compression = readTable('compression', raw['compression'], problems);
  const backups = readBackups(raw['backups'], dirname(path), problems);
  const agent = readAgent(raw['agent'], dirname(path), problems);
  problems.throwIfAny();
  // What is undefined here has added a problem: this only tells the compiler so.
  if (!top || !fetch || !encryption || !signing || !compression || !agent) throw new Error('a problem was not told');
  return {
    path,
    ...(top.keep_backups !== undefined && { keepBackups: top.keep_backups }),
    ...(top.keep_days !== undefined && { keepDays: top.keep_days }),
    keepWalMs: top.keep_wal,
    strayAfterMs: top.stray_after,
    keep: top.keep,
    deadlineMs: top.deadline,
    verify: top.verify,
    fetch: {
      deadlineMs: fetch.deadline,
      standbyDeadlineMs: fetch.standby_deadline,
      onPromote: fetch.on_promote,
      onGap: fetch.on_gap,
      allowEmpty: fetch.allow_empty,
    },
    archives,
    encryption,
    signing,
    compression,
    backups,
    agent,
  };
}

function readArchives(raw: unknown, directory: string, problems: Problems): ArchiveSettings[] {
  const tables = readList('archive', raw, problems);
  if (tables.length === 0) {
    problems.add(
      'no archive is named',
      'Say where WAL goes: [[archive]] with url = "s3://bucket/prefix", or "file:///directory".',
    );
  }
  const archives: ArchiveSettings[] = [];
  for (const [index, table] of tables.entries()) {
    if (table === undefined) continue;
    const archive = toArchive(table, directory, problems);
    refuseMisplaced(`[[archive]] ${String(index + 1)}`, table, archive, problems);
    refuseUnfit(archive, index + 1, problems);
    if (archives.some((other) => other.url === archive.url && other.endpoint === archive.endpoint)) {
      problems.add(`${archive.url} is named by more than one [[archive]]`);
    }
    archives.push(archive);
  }
  return archives;
}

function toArchive(table: Table<'archive'>, directory: string, problems: Problems): ArchiveSettings {
  return {
    ...toStore(table.url, table, directory, problems),
    required: table.required,
    mode: table.mode,
    ...(table.conditional_create && { conditionalCreate: table.conditional_create }),
    ...(table.sse && { sse: table.sse }),
    ...(table.kms_key && { kmsKey: table.kms_key }),
    ...(table.storage_class && { storageClass: table.storage_class }),
  };
}

/** What `[[archive]]` and `[[backups]]` say in the same way. */
function toStore(
  url: Table<'archive'>['url'],
  table: Table<'archive'> | Table<'backups'>,
  directory: string,
  problems: Problems,
): StoreSettings {
  const caFile = table.ca_file && keyPath('ca_file', table.ca_file, directory, problems);
  return {
    ...url,
    ...(table.mounted !== undefined && { mounted: table.mounted }),
    ...(table.region !== undefined && { region: table.region }),
    ...(table.endpoint !== undefined && { endpoint: table.endpoint }),
    ...(table.force_path_style !== undefined && { forcePathStyle: table.force_path_style }),
    ...(caFile && { caFile }),
  };
}

/** Values that are right by themselves, and wrong beside others. */
function refuseUnfit(archive: ArchiveSettings, number: number, problems: Problems): void {
  const { scheme, storageClass, sse, kmsKey } = archive;
  const place = `[[archive]] ${String(number)}`;
  // Google's ARCHIVE is read at once, unlike the others of that kind.
  if (storageClass !== undefined && OFFLINE_CLASSES.has(storageClass)) {
    problems.add(
      `storage_class in ${place} is ${storageClass}, which is not read at once`,
      'A recovery reads WAL within seconds: choose a class that is online.',
    );
  }
  if (scheme === 's3' && kmsKey !== undefined && !sse?.startsWith('aws:kms')) {
    problems.add(`kms_key in ${place} has no effect without sse = "aws:kms" or "aws:kms:dsse"`);
  }
}

/** An option on a store that does not know it would be silently without effect. */
function refuseMisplaced(place: string, table: object, { scheme, url }: StoreSettings, problems: Problems): void {
  for (const [key, schemes] of Object.entries(ONLY_FOR)) {
    if (!(key in table) || schemes.some((known) => known === scheme)) continue;
    const owners = schemes.map((known) => `${known}://`).join(', ');
    problems.add(`${key} in ${place} is for ${owners}, and ${url} is none`);
  }
}

function readEncryption(raw: unknown, directory: string, problems: Problems): EncryptionSettings | undefined {
  if (raw === 'none') return { kind: 'none' };
  if (raw !== undefined && !isTable(raw)) {
    problems.add('encryption is neither "none" nor a table', BOTH_WAYS);
    return undefined;
  }
  const table = readTable('encryption', raw, problems);
  if (table === undefined) return undefined;
  const recipients = table.recipients ?? [];
  if (recipients.length === 0)
    problems.add('neither recipients in [encryption] nor encryption = "none" is said', BOTH_WAYS);
  for (const [index, recipient] of recipients.entries()) checkRecipient(index, recipient, problems);
  const identityFile = table.identity_file && keyPath('identity_file', table.identity_file, directory, problems);
  return { kind: 'age', recipients, ...(identityFile && { identityFile }) };
}

/** A first look, so that a private key or the name of a file is found here; whether the key is one is seen when it is used. */
function checkRecipient(index: number, recipient: string, problems: Problems): void {
  const key = `recipients[${String(index)}]`;
  if (looksSecret(recipient)) {
    const hint =
      'Put the private key into a file that identity_file names, mode 0600, and take it for known to whoever read this file.';
    problems.add(`${key} in [encryption] is a private key`, hint);
  } else if (!/^age1[02-9ac-hj-np-z]+$/.test(recipient)) {
    problems.addValue({ table: 'encryption' }, key, recipient, 'a public key, "age1..." in lower case, is expected');
  }
}

function readSigning(raw: unknown, directory: string, problems: Problems): SigningSettings | undefined {
  const table = readTable('signing', raw, problems);
  if (table === undefined) return undefined;
  const keyFile = table.key_file && keyPath('key_file', table.key_file, directory, problems);
  const trusted = table.trusted?.map((file, index) => keyPath(`trusted[${String(index)}]`, file, directory, problems));
  return { ...(keyFile && { keyFile }), ...(trusted && { trusted }) };
}

function readAgent(raw: unknown, directory: string, problems: Problems): AgentSettings | undefined {
  const table = readTable('agent', raw, problems);
  if (table === undefined) return undefined;
  const { enabled, workers, memory, bandwidth, nice } = table;
  const socket = table.socket && keyPath('socket', table.socket, directory, problems);
  return {
    enabled,
    memory,
    nice,
    ...(socket && { socket }),
    ...(workers !== undefined && { workers }),
    ...(bandwidth !== undefined && { bandwidth }),
  };
}

/** A path as the program uses it: absolute, from the directory of the settings file. */
function keyPath(key: string, path: string, directory: string, problems: Problems): string {
  if (looksSecret(path)) {
    problems.add(
      `${key} holds a private key instead of the path of one`,
      'Take this key for known to whoever read this file.',
    );
  } else if (path.startsWith('~')) {
    problems.add(
      `${key} starts with ~, which is not expanded`,
      'Write the whole path: the server has another home than you.',
    );
  }
  return resolve(directory, path);
}

function readBackups(raw: unknown, directory: string, problems: Problems): BackupLocation[] {
  return readList('backups', raw, problems).flatMap((table, index): BackupLocation[] => {
    if (table === undefined) return [];
    const place = `[[backups]] ${String(index + 1)}`;
    if (table.url !== undefined && table.history_files === undefined) {
      const store = toStore(table.url, table, directory, problems);
      refuseMisplaced(place, table, store, problems);
      return [{ kind: 'location', ...store }];
    }
    if (table.url === undefined && table.history_files !== undefined) {
      const [stray] = Object.keys(ONLY_FOR).filter((key) => key in table);
      if (stray !== undefined) problems.add(`${stray} in ${place} is for a url, and history_files needs none`);
      return [{ kind: 'vouched', historyFiles: table.history_files }];
    }
    problems.add(`${place} has ${table.url ? 'both' : 'none'} of url and history_files: one is expected`);
    return [];
  });
}
