import { Failure } from '../exit.ts';
import type { TrustedKeys } from '../seal/keys.ts';
import type { Sealed } from '../seal/seal.ts';
import type { Deadline } from '../storage/deadline.ts';
import { StorageError } from '../storage/errors.ts';
import { formatTimeline } from '../wal/name.ts';
import { asFailure, type Archive } from './archives.ts';
import { compareHeld, type Content, type Held } from './compare.ts';
import { damaged, isStored } from './verify.ts';

/** How a file is stored, the same for every archive. */
export interface PlaceOptions {
  readonly verify: 'checksum' | 'readback';
  /** Undefined: signatures are not demanded. */
  readonly trusted: TrustedKeys | undefined;
  readonly deadline: Deadline;
  /** Why nothing new may be stored; what is there already is still compared. */
  readonly unsignable?: Failure;
  /** Where files are pushed at the same time, what takes a name waits for its turn. Default: it waits for nobody. */
  readonly inTurn?: InTurn;
}

/** Runs `act` when it is this file's turn in that archive, and lets the next one go when it has succeeded. */
export type InTurn = <T>(archive: Archive, act: () => Promise<T>) => Promise<T>;

/** What was true of the archive when `place` returned; in either case it holds exactly this content. */
export type Placed = 'stored' | 'identical';

/**
 * Stores a sealed file under `key`, once: created only if absent, then verified; or proves that the archive holds
 * the same content already. Nothing is ever overwritten.
 * Errors: Failure `different` where another content has the name, `damaged` where what lies there is corrupt, and
 * what the store's errors mean.
 */
export async function place(
  archive: Archive,
  key: string,
  content: Content,
  sealed: Sealed,
  options: PlaceOptions,
): Promise<Placed> {
  const { inTurn = atOnce } = options;
  try {
    const placed = await inTurn(archive, () => createOrProve(archive, key, content, sealed, options));
    if (placed === 'identical') return placed;
    if (await isStored(archive, key, sealed, options.verify, options.deadline)) return 'stored';
    // A store whose conditional PUT is not atomic lets a racing writer win after us: look at what it left.
    return await proveIdentical(archive, key, content, options);
  } catch (error) {
    throw asDamage(error, archive, key);
  }
}

const atOnce: InTurn = (_archive, act) => act();

/** The part of a push that must not overtake another one: from then on the name is taken, and by this content. */
async function createOrProve(
  archive: Archive,
  key: string,
  content: Content,
  sealed: Sealed,
  options: PlaceOptions,
): Promise<Placed> {
  if (await create(archive, key, sealed, options)) return 'stored';
  return proveIdentical(archive, key, content, options);
}

/** After an upload, an object that is gone or contradicts itself is damage in the archive, not a fault of our file. */
function asDamage(error: unknown, archive: Archive, key: string): Failure {
  if (error instanceof StorageError && (error.kind === 'corrupt' || error.kind === 'absent')) {
    return damaged(archive, key, error.message);
  }
  return asFailure(error, archive.storage.url);
}

/** Whether the object was created: false where the key is taken, by anybody, ourselves with a lost response included. */
async function create(archive: Archive, key: string, sealed: Sealed, options: PlaceOptions): Promise<boolean> {
  const { deadline, unsignable } = options;
  if (unsignable !== undefined) {
    if (await isThere(archive, key, deadline)) return false;
    throw unsignable;
  }
  try {
    await archive.storage.create(key, sealed.body, deadline);
    return true;
  } catch (error) {
    if (error instanceof StorageError && error.kind === 'exists') return false;
    throw error;
  }
}

async function isThere(archive: Archive, key: string, deadline: Deadline): Promise<boolean> {
  try {
    await archive.storage.head(key, deadline);
    return true;
  } catch (error) {
    if (error instanceof StorageError && error.kind === 'absent') return false;
    throw error;
  }
}

async function proveIdentical(
  archive: Archive,
  key: string,
  content: Content,
  options: PlaceOptions,
): Promise<'identical'> {
  const held = await compareHeld(archive, key, content, options.trusted, options.deadline);
  switch (held.is) {
    case 'identical':
      return 'identical';
    case 'damaged':
      throw damaged(archive, key, held.reason);
    case 'unsigned':
    case 'different':
      throw refusal(archive, key, content, held);
  }
}

/** The message of a refusal: both sides, then the likely causes with the most frequent one first. */
function refusal(
  archive: Archive,
  key: string,
  content: Content,
  held: Exclude<Held, { is: 'identical' | 'damaged' }>,
): Failure {
  const there = `fingerprint ${held.fingerprint}, ${held.payloadLength} bytes sealed, stored ${held.info.modified.toISOString()}`;
  const here = `fingerprint ${content.fingerprint}, ${content.length} bytes, modified ${content.modified.toISOString()}`;
  if (held.is === 'unsigned') {
    const who = held.signedBy === undefined ? 'it is not signed' : `it is signed by ${held.signedBy}`;
    const fact = `archive ${archive.storage.url} holds ${key} with this content, but no trusted key signed it: ${who} (${there})`;
    return new Failure('different', fact, { hint: untrusted(content, held.signedBy) });
  }
  return new Failure(
    'different',
    `archive ${archive.storage.url} holds a different file named ${content.name.name}: there ${there}; here ${here}`,
    { hint: content.name.kind === 'history' ? secondPromotion(content) : foreignWal(content) },
  );
}

/** The likely causes, the most frequent one first, each with what to do. */
function foreignWal({ name }: Content): string {
  // The server has noted that its history is archived, and pushes it once only.
  const history = `${formatTimeline(name.timeline)}.history`;
  const withHistory = name.timeline > 1 ? `, push its history there by hand (wal-push pg_wal/${history})` : '';
  return (
    'Nothing was overwritten. Most likely a copy of this cluster (a clone, a restored copy, a second promotion) archives to the same place: ' +
    'stop it, or give it an [[archive]] url of its own, or mode = "fetch". ' +
    'If this server was rolled back to a snapshot, or pg_resetwal was run, its WAL does not continue what the archive holds: ' +
    `give it an [[archive]] url of its own${withHistory}, and take a base backup at once. ` +
    `Only where the file here is known not to be needed, "walseal set-aside pg_wal/${name.name}" keeps it under aside/ and lets archiving go on.`
  );
}

/** To set a history aside would let the segments of two branches mix. */
function secondPromotion({ name }: Content): string {
  return (
    `Nothing was overwritten. Most likely two servers were promoted to timeline ${name.timeline}: the one whose file is there is ahead. ` +
    'If this server is not the one to go on, stop it. If it is, give it an [[archive]] url of its own, and take a base backup at once. ' +
    `Do not set ${name.name} aside: the segments of both would mix under one timeline.`
  );
}

/** A key can be listed, but what was never signed can't be made trusted: objects are not rewritten. */
function untrusted({ name }: Content, signedBy: string | undefined): string {
  if (signedBy !== undefined) {
    return `If a host of yours signed it, add its public key, ${signedBy}, to [signing] trusted; else somebody else wrote it.`;
  }
  return (
    'No key can be listed for it. If it was pushed before signing was set up, so were others, and none of them can be fetched while trusted is set: ' +
    'leave trusted out of the settings until the base backups from before have expired, or archive to a new prefix and take a base backup at once. ' +
    `"walseal set-aside pg_wal/${name.name}" keeps a signed copy under aside/ and lets archiving go on. If nobody of yours wrote it, somebody else did.`
  );
}
