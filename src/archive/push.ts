import { Failure } from '../exit.ts';
import { seal, type Sealed } from '../seal/seal.ts';
import type { Settings } from '../settings/schema.ts';
import { Deadline } from '../storage/deadline.ts';
import { StorageError } from '../storage/errors.ts';
import type { SystemId } from '../wal/control.ts';
import type { HistoryEntry } from '../wal/history.ts';
import { asideKey, objectKey } from '../wal/keys.ts';
import { formatLsn } from '../wal/lsn.ts';
import type { SegmentSize } from '../wal/name.ts';
import { holds } from './aside.ts';
import type { Archive } from './archives.ts';
import type { WalFile } from './check.ts';
import type { Content } from './compare.ts';
import { endedTimeline, type EndedTimeline } from './ended.ts';
import type { PushKeys } from './keyring.ts';
import { place, type InTurn, type PlaceOptions } from './place.ts';
import { conclude, forEachArchive, storeEverywhere, unlessAside, type Result } from './store.ts';

/** The cluster whose file it is, as its data directory tells. */
export interface PushedCluster {
  readonly systemId: SystemId;
  readonly nonce: Uint8Array;
  readonly segmentSize?: SegmentSize;
  readonly warning?: string;
}

/** What the push of any file of a cluster needs. */
export interface PushContext {
  readonly cluster: PushedCluster;
  readonly settings: Settings;
  readonly keys: PushKeys;
  readonly archives: readonly Archive[];
  /** The history files in pg_wal, as they are now. */
  readonly histories: () => Promise<readonly { name: string; entries: readonly HistoryEntry[] }[]>;
}

/** How a push among others waits for these; one that is alone waits for nobody. */
export interface Gates {
  /** Around compression and encryption. */
  sealing<T>(act: () => Promise<T>): Promise<T>;
  readonly inTurn: InTurn;
}

const MIB = 1024 * 1024;
/** Up to this size the plain deadline holds; above it each further MiB brings a second. */
const PLAIN_DEADLINE_BYTES = 64 * MIB;

/** How long the push of a file of so many bytes may take. Milliseconds. */
export function pushLimitMs(settings: Settings, bytes: number): number {
  return settings.deadlineMs + Math.ceil(Math.max(0, bytes - PLAIN_DEADLINE_BYTES) / MIB) * 1_000;
}

/** The whole push of a file ends within this. */
export function pushDeadline(settings: Settings, file: WalFile): Deadline {
  return new Deadline(pushLimitMs(settings, file.length), { what: `push of ${file.name.name}` });
}

/**
 * Stores a file that was looked at in every archive that is pushed to: sealed, once, verified. When it resolves,
 * PostgreSQL may delete its copy. What is unusual is told to `warn`. Errors: Failure.
 */
export async function pushFile(
  file: WalFile,
  context: PushContext,
  deadline: Deadline,
  warn: (line: string) => void,
  gates?: Gates,
): Promise<void> {
  const { cluster, archives } = context;
  const sealing = (): Promise<Work> => prepare(file, context, deadline, gates?.inTurn);
  const work = await (gates === undefined ? sealing() : gates.sealing(sealing));
  const ended = await leftBehind(file, context);
  const results = ended ? await pushStale(work, archives, ended, warn) : await pushCurrent(work, archives);
  for (const failure of conclude(results)) warn(`${failure.message} (not required: the file counts as archived)`);
  const aside = results.filter((result) => result.is === 'aside');
  if (aside.length > 0 && !ended)
    warn(`${file.name.name} was set aside: ${aside.map(({ archive }) => archive.storage.url).join(', ')}`);
  if (cluster.warning !== undefined) warn(cluster.warning);
  if (file.warning !== undefined) warn(`${file.name.name}: ${file.warning}`);
}

/** A checked and sealed file, with all that storing it needs. */
interface Work {
  readonly file: WalFile;
  readonly content: Content;
  readonly sealed: Sealed;
  readonly place: PlaceOptions;
}

async function prepare(
  file: WalFile,
  { cluster, settings, keys: { trusted, unsignable, ...keys } }: PushContext,
  deadline: Deadline,
  inTurn: InTurn | undefined,
): Promise<Work> {
  const { systemId, nonce } = cluster;
  const { path, name, length, modified } = file;
  const sealing = seal({ path, length, name, systemId, nonce, level: settings.compression.level }, keys);
  const sealed = await withinTime(deadline, sealing);
  const content = { name, systemId, fingerprint: sealed.fingerprint, length, modified };
  const place = {
    verify: settings.verify,
    trusted,
    deadline,
    ...(unsignable && { unsignable }),
    ...(inTurn && { inTurn }),
  };
  return { file, content, sealed, place };
}

/** Waits for the sealing as long as there is time. Errors: Failure `unreachable`, which has the server try again. */
async function withinTime<T>(deadline: Deadline, sealing: Promise<T>): Promise<T> {
  try {
    return await deadline.race(sealing);
  } catch (error) {
    if (!(error instanceof StorageError)) throw error;
    throw new Failure('unreachable', `${error.message}: compressing and encrypting took all of it`, {
      hint: 'A lower level in [compression] is faster; a longer deadline lets this one through.',
      cause: error,
    });
  }
}

/** The usual case: under its own name, unless the file is not what it claims to be. */
async function pushCurrent(
  { file, content, sealed, place: options }: Work,
  archives: readonly Archive[],
): Promise<Result[]> {
  if (file.problem === undefined) {
    return storeEverywhere(archives, objectKey(content.systemId, content.name), content, sealed, options);
  }
  const refusal = invalid(file, file.problem);
  return forEachArchive(archives, options.deadline, (archive) => unlessAside(archive, content, options, refusal));
}

/**
 * The segment's timeline has ended in this server's own history: unless the archive holds exactly this content
 * already, the copy is stale, must not take the name, and goes aside so that archiving goes on.
 */
async function pushStale(
  work: Work,
  archives: readonly Archive[],
  ended: EndedTimeline,
  warn: (line: string) => void,
): Promise<Result[]> {
  const { file, content, sealed, place: options } = work;
  const plain = objectKey(content.systemId, content.name);
  const aside = asideKey(content.systemId, content.name, content.fingerprint);
  const results = await forEachArchive(archives, options.deadline, async (archive) => {
    if (file.problem === undefined && (await holds(archive, plain, content, options.trusted, options.deadline)))
      return 'identical';
    await place(archive, aside, content, sealed, options);
    return 'aside';
  });
  if (results.some((result) => result.is === 'aside')) {
    const why = file.problem ?? 'the archive does not hold this content under that name';
    warn(
      `${file.name.name} went aside: timeline ${file.name.timeline} ended at ${formatLsn(ended.end)} (${ended.historyFile}), and ${why}`,
    );
  }
  return results;
}

async function leftBehind(file: WalFile, { cluster, histories }: PushContext): Promise<EndedTimeline | undefined> {
  if (file.name.kind !== 'segment') return undefined;
  return endedTimeline(file.name, file.length, await histories(), cluster.segmentSize);
}

function invalid(file: WalFile, problem: string): Failure {
  return new Failure('invalid', `${file.path}: ${problem}`, {
    hint:
      'Nothing was stored. If the server made this file and it is known not to be needed, ' +
      `"walseal set-aside ${asWord(file.path)}" keeps a copy under aside/ and lets archiving go on.`,
  });
}

/** As a shell takes it for one word. */
function asWord(path: string): string {
  return /^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", String.raw`'\''`)}'`;
}
