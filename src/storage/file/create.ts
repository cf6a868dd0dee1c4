import { constants } from 'node:fs';
import { dirname } from 'node:path';
import type { Deadline } from '../deadline.ts';
import { StorageError } from '../errors.ts';
import type { Body } from '../storage.ts';
import { codeOf } from '../../exit.ts';
import { doing, fault } from './faults.ts';
import { requireFile } from './read.ts';
import type { Root } from './root.ts';
import { removeTemporary, writeTemporary, type Temporary } from './temporary.ts';

/** What link(2) says on file systems without hard links: CIFS, exFAT, many in user space; EXDEV where tmp/ lies on another one. */
const LINKLESS: ReadonlySet<string> = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK', 'EXDEV']);

/** Directories that are known to survive a crash. */
export type Durable = Set<string>;

/**
 * Creates an object: written and synced under a temporary name, then linked to its own, which fails where that is
 * taken (rename would overwrite), then the directories are synced. Returns the temporary file that was.
 * `exists` is said only when the name of what is there is durable too: its writer may have died before it synced
 * the directory, and the caller will take an identical object for stored.
 */
export async function createObject(
  root: Root,
  key: string,
  body: Body,
  deadline: Deadline,
  durable: Durable,
): Promise<Temporary> {
  const path = root.pathOf(key);
  await root.prove();
  const directories = root.directoriesOf(key).filter((directory) => !durable.has(directory));
  await makeDirectories(root, directories);
  // While the object is written. Nothing is linked, nor taken for stored, before it is done.
  const syncing = makeDurable(root, directories, durable);
  syncing.catch(() => undefined);
  // Nothing depends on this look; it saves writing what could not be linked.
  if (await isTaken(root, path)) {
    await syncing;
    throw await taken(root, path);
  }
  const temporary = await writeTemporary(root, body, deadline);
  try {
    await syncing;
    deadline.signal.throwIfAborted();
    await link(root, temporary, path, durable);
    await syncDirectory(root, dirname(path));
    return temporary;
  } finally {
    await removeTemporary(root, temporary.path);
  }
}

async function makeDirectories(root: Root, directories: readonly string[]): Promise<void> {
  for (const directory of directories) {
    try {
      await root.disk.mkdir(directory, 0o750);
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw fault(error, `make ${directory}`);
    }
  }
}

/**
 * Syncs the parent of each directory, of those that were there as well: whoever made them may have died before the
 * sync. Once for each directory and process.
 */
async function makeDurable(root: Root, directories: readonly string[], durable: Durable): Promise<void> {
  for (const directory of directories) {
    await syncDirectory(root, dirname(directory));
    durable.add(directory);
  }
}

async function link(root: Root, temporary: Temporary, path: string, durable: Durable): Promise<void> {
  try {
    await root.disk.link(temporary.path, path);
  } catch (error) {
    const code = codeOf(error);
    // NFS: the reply to our own link was lost, and the client asked again.
    if (code === 'EEXIST' && (await isOurs(root, temporary, path))) return;
    if (code === 'EEXIST') throw await taken(root, path);
    // Somebody removed an empty directory that was made or seen before.
    if (code === 'ENOENT') durable.clear();
    if (code !== undefined && LINKLESS.has(code)) throw linkless(error, path, code);
    throw fault(error, `link ${temporary.path} to ${path}`);
  }
}

async function isOurs(root: Root, temporary: Temporary, path: string): Promise<boolean> {
  const { dev, ino } = await doing(`look at ${path}`, root.disk.lstat(path, { bigint: true }));
  return dev === temporary.dev && ino === temporary.ino;
}

async function isTaken(root: Root, path: string): Promise<boolean> {
  try {
    await root.disk.lstat(path);
    return true;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false;
    throw fault(error, `look at ${path}`);
  }
}

async function taken(root: Root, path: string): Promise<StorageError> {
  requireFile(path, await doing(`look at ${path}`, root.disk.lstat(path)));
  await syncDirectory(root, dirname(path));
  return new StorageError('exists', `there is a ${path} already`);
}

function linkless(cause: unknown, path: string, code: string): StorageError {
  const fact =
    code === 'EXDEV'
      ? `the archive's tmp/ and ${dirname(path)} are on different file systems`
      : `the file system of ${path} makes no hard links`;
  return new StorageError('configuration', `${fact} (${code})`, {
    cause,
    hint:
      'Without link(2) in one file system nothing can be created there only if it is absent, and an archive could be overwritten: ' +
      'use a local disk, NFS, or an object store.',
  });
}

async function syncDirectory(root: Root, path: string): Promise<void> {
  const directory = await doing(
    `open the directory ${path}`,
    root.disk.open(path, constants.O_RDONLY | constants.O_DIRECTORY),
  );
  try {
    await doing(`sync the directory ${path}`, directory.sync());
  } finally {
    await directory.close();
  }
}
