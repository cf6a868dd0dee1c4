import { lstatSync, mkdirSync, realpathSync, statSync, type Stats } from 'node:fs';
import { dirname, join } from 'node:path';

/** A directory, whatever it is called: in a container it may have another path than outside. */
export interface DirectoryId {
  /** Decimal, as 64 bits are more than a number holds. */
  readonly dev: string;
  readonly ino: string;
}

export function identifyDirectory(path: string): DirectoryId {
  const { dev, ino } = statSync(path, { bigint: true });
  return { dev: String(dev), ino: String(ino) };
}

const OTHERS_MAY_WRITE = 0o022;
const STICKY = 0o1000;
const OURS_ALONE = 0o700;

/**
 * The path of the socket over which wal-push and wal-fetch speak with the agent of a data directory: as the settings
 * say, else in /run/walseal/<uid>/ where that is there, else in /tmp/walseal-<uid>/. Undefined where another user
 * could have put a socket of his own in its place: then everybody works alone.
 */
export function socketPath(configured: string | undefined, { dev, ino }: DirectoryId): string | undefined {
  const path = configured ?? join(usualDirectory(), `${dev}-${ino}.sock`);
  const directory = safely(() => realpathSync(dirname(path)));
  if (directory === undefined || !isOurs(dirname(path)) || !isOurs(directory) || !isReachedSafely(directory))
    return undefined;
  return join(directory, path.slice(dirname(path).length + 1));
}

/** Makes the directory of the sockets, where the usual one in /tmp is to be used and is not there yet. */
export function makeSocketDirectory(): void {
  const directory = usualDirectory();
  // Whatever went wrong, or lies there already, is judged by `socketPath`.
  if (directory.startsWith('/tmp/')) safely(() => mkdirSync(directory, { mode: OURS_ALONE }));
}

function usualDirectory(): string {
  const uid = String(process.getuid?.() ?? 0);
  const admins = `/run/walseal/${uid}`;
  return safely(() => lstatSync(admins)) === undefined ? `/tmp/walseal-${uid}` : admins;
}

/** A real directory that nobody but us looks into. */
function isOurs(directory: string): boolean {
  const stats = safely(() => lstatSync(directory));
  return stats?.isDirectory() === true && stats.uid === process.getuid?.() && (stats.mode & 0o777) === OURS_ALONE;
}

/** Nobody else may put another directory in the place of one of these. */
function isReachedSafely(directory: string): boolean {
  for (let above = dirname(directory); ; above = dirname(above)) {
    const stats = safely(() => lstatSync(above));
    if (stats === undefined || !isTrusted(stats)) return false;
    if (above === '/') return true;
  }
}

function isTrusted({ uid, mode }: Stats): boolean {
  if (uid !== 0 && uid !== process.getuid?.()) return false;
  return (mode & OTHERS_MAY_WRITE) === 0 || (mode & STICKY) !== 0;
}

function safely<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch {
    return undefined;
  }
}
