import type { Dirent } from 'node:fs';
import type { Deadline } from '../deadline.ts';
import { StorageError } from '../errors.ts';
import { compareKeys } from '../order.ts';
import type { ListedObject, ListOptions } from '../storage.ts';
import { codeOf } from '../../exit.ts';
import { fault } from './faults.ts';
import { isReserved, type Root } from './root.ts';

const PAGE = 1_000;
/** How many files are looked at together. */
const TOGETHER = 16;

interface Query {
  readonly root: Root;
  readonly prefix: string;
  readonly after: string;
  readonly deadline: Deadline;
}

/**
 * All regular files whose keys match, in the order of keys. Only directories that can hold such keys are read. Links
 * to directories are followed, as `get` does; temporary files and what is neither file nor directory are no objects.
 */
export async function* listObjects(
  root: Root,
  prefix: string,
  options: ListOptions,
  deadline: Deadline,
): AsyncGenerator<readonly ListedObject[], void, undefined> {
  const query = { root, prefix, after: options.after ?? '', deadline };
  const start = startOf(prefix);
  if (isReserved(start)) return;
  const size = Math.max(1, Math.min(options.limit ?? PAGE, PAGE));
  const before = await root.prove();
  let keys: string[] = [];
  for await (const key of keysBelow(query, start)) {
    keys.push(key);
    if (keys.length < size) continue;
    yield await look(root, keys);
    keys = [];
  }
  if (keys.length > 0) yield await look(root, keys);
  // Directories that were not there count as empty: so the root must be what it was, and the way to the first one whole.
  await root.proveAbsent(root.directoriesOf(`${start}x`), before);
}

/** The directory that all keys with this prefix lie in, with its slash; '' is the root. */
function startOf(prefix: string): string {
  const start = prefix.slice(0, prefix.lastIndexOf('/') + 1);
  if (
    start !== '' &&
    start
      .slice(0, -1)
      .split('/')
      .some((part) => part === '' || part === '.' || part === '..')
  ) {
    throw new TypeError(`"${prefix}" is no prefix of keys`);
  }
  return start;
}

async function* keysBelow(query: Query, directory: string): AsyncGenerator<string, void, undefined> {
  query.deadline.signal.throwIfAborted();
  const entries = await readDirectory(query.root, directory);
  query.deadline.progress();
  const keys: string[] = [];
  for (const entry of entries) {
    const key = `${directory}${entry.name}`;
    if (isReserved(key) || !(matches(query, key) || mayHold(query, `${key}/`))) continue;
    requireReadable(query.root, directory, entry.name);
    const kind = await kindOf(query.root, key, entry);
    if (kind === 'file' && matches(query, key)) keys.push(key);
    if (kind === 'directory' && mayHold(query, `${key}/`)) keys.push(`${key}/`);
  }
  for (const key of keys.sort(compareKeys)) {
    if (key.endsWith('/')) yield* keysBelow(query, key);
    else yield key;
  }
}

function matches({ prefix, after }: Query, key: string): boolean {
  return key.startsWith(prefix) && compareKeys(key, after) > 0;
}

/** Whether keys that start with `directory` can match. */
function mayHold({ prefix, after }: Query, directory: string): boolean {
  if (!directory.startsWith(prefix) && !prefix.startsWith(directory)) return false;
  return after.startsWith(directory) || compareKeys(directory, after) > 0;
}

/** A directory that is not there is empty: whether the archive still stands is proven at the end. */
async function readDirectory(root: Root, directory: string): Promise<Dirent[]> {
  const path = `${root.path}/${directory}`;
  try {
    return await root.disk.readdir(path, { withFileTypes: true });
  } catch (error) {
    const code = codeOf(error);
    // ENOTDIR: "a/b" is an object, and was asked for what starts with "a/b/".
    if (code === 'ENOENT' || (code === 'ENOTDIR' && directory !== '')) return [];
    throw fault(error, `list ${path}`);
  }
}

async function kindOf(root: Root, key: string, entry: Dirent): Promise<'file' | 'directory' | 'other'> {
  if (entry.isFile()) return 'file';
  if (entry.isDirectory()) return 'directory';
  if (!entry.isSymbolicLink()) return 'other';
  return (await root.followLink(`${root.path}/${key}`)).isDirectory() ? 'directory' : 'other';
}

/** A name that is not UTF-8 can't be a key, and leaving it out would be a listing that is not whole. */
function requireReadable(root: Root, directory: string, name: string): void {
  if (!name.includes('\ufffd')) return;
  throw new StorageError('corrupt', `${root.path}/${directory} holds a file whose name is not UTF-8: ${name}`, {
    hint: 'It is no object: move it away.',
  });
}

async function look(root: Root, keys: readonly string[]): Promise<ListedObject[]> {
  const page: ListedObject[] = [];
  for (let start = 0; start < keys.length; start += TOGETHER) {
    const objects = await Promise.all(keys.slice(start, start + TOGETHER).map((key) => lookAt(root, key)));
    page.push(...objects.filter((object) => object !== undefined));
  }
  return page;
}

/** Undefined where it was deleted after its directory was read. */
async function lookAt(root: Root, key: string): Promise<ListedObject | undefined> {
  const path = `${root.path}/${key}`;
  try {
    const stats = await root.disk.lstat(path);
    return stats.isFile() ? { key, size: stats.size, modified: stats.mtime } : undefined;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw fault(error, `look at ${path}`);
  }
}
