import { constants } from 'node:fs';
import { open, unlink, type FileHandle } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import { codeOf, Failure } from '../exit.ts';
import { generateIdentity, generateSigningKey } from '../seal/keys.ts';

interface KeyFile {
  readonly path: string;
  readonly mode: number;
  readonly text: string;
}

/**
 * Makes an age identity and a signing key in `directory`: `identity.txt`, `signing.pem` (both 0600) and
 * `signing.pub.pem` (0644). All or none of them, and never over a file that is there. `out` gets what belongs into
 * settings, public halves only; where each half belongs is said on stderr. Errors: Failure `usage`, `unwritable`.
 */
export async function keygen(options: { directory: string }, out: (line: string) => void): Promise<void> {
  const directory = resolve(options.directory);
  const { identity, recipient } = generateIdentity();
  const { privatePem, publicPem } = generateSigningKey();
  const identityText = `# created: ${timestamp(new Date())}\n# public key: ${recipient}\n${identity}\n`;
  const [identityFile, keyFile, publicFile] = [
    { path: join(directory, 'identity.txt'), mode: 0o600, text: identityText },
    { path: join(directory, 'signing.pem'), mode: 0o600, text: withNewline(privatePem) },
    { path: join(directory, 'signing.pub.pem'), mode: 0o644, text: withNewline(publicPem) },
  ] as const;
  await createAll([identityFile, keyFile, publicFile], directory);
  for (const line of settingsLines(recipient, identityFile.path, keyFile.path, publicPem)) out(line);
  process.stderr.write(whereTheyBelong(identityFile.path, keyFile.path, publicFile.path));
}

function settingsLines(recipient: string, identityFile: string, keyFile: string, publicPem: string): string[] {
  return [
    '[encryption]',
    `recipients = [${JSON.stringify(recipient)}]`,
    `identity_file = ${JSON.stringify(identityFile)}`,
    '',
    '[signing]',
    `key_file = ${JSON.stringify(keyFile)}`,
    'trusted = []',
    '',
    '# The public half of the signing key:',
    ...publicPem
      .trimEnd()
      .split('\n')
      .map((line) => `# ${line}`),
  ];
}

function whereTheyBelong(identityFile: string, keyFile: string, publicFile: string): string {
  return `made ${identityFile}, ${keyFile} and ${publicFile}

${identityFile} opens everything that is archived for its public key. It belongs where WAL is fetched
  (each node of a cluster with failover, each host that restores), readable for the server's user alone, and once in
  a safe place away from the database and the archive: without it the archive is lost. A host that only pushes does
  not need it: leave out identity_file there.
${keyFile} signs what this host pushes. It belongs on this host alone. With trusted = [] only what it signed
  is accepted on a fetch.
${publicFile} belongs on every other host that fetches, named in its list trusted.
Both private keys are mode 0600 and belong to the user that ran this: chown them to the user that the server runs as.
`;
}

/** Creates the files whole and durably, or leaves none of them. */
async function createAll(files: readonly KeyFile[], directory: string): Promise<void> {
  const made: string[] = [];
  try {
    for (const file of files) {
      const handle = await create(file.path, file.mode);
      made.push(file.path);
      await fill(handle, file);
    }
    await syncDirectory(directory);
  } catch (error) {
    await Promise.allSettled(made.map((path) => unlink(path)));
    throw error instanceof Failure ? error : unwritable(directory, error);
  }
}

/** O_EXCL follows no link and takes no file that is there: a key that somebody needs is never overwritten. */
async function create(path: string, mode: number): Promise<FileHandle> {
  try {
    return await open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, mode);
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error;
    throw new Failure('usage', `${path} is there already`, {
      hint: 'Keys are never overwritten, as what they sealed could not be opened any more: give another --directory, or move the old keys away.',
    });
  }
}

async function fill(handle: FileHandle, file: KeyFile): Promise<void> {
  try {
    await handle.writeFile(file.text);
    // The mode that `open` was given is cut by the umask: the public half is for others to read.
    await handle.chmod(file.mode);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function unwritable(directory: string, cause: unknown): Failure {
  const code = codeOf(cause) ?? String(cause);
  const hint =
    code === 'ENOENT'
      ? 'Make the directory first, mode 0700.'
      : 'Run this as a user that may write there, or give another --directory.';
  return new Failure('unwritable', `cannot write keys into ${directory}: ${code}`, { hint, cause });
}

function withNewline(pem: string): string {
  return pem.endsWith('\n') ? pem : `${pem}\n`;
}

/** As age-keygen writes it: to the second. */
function timestamp(date: Date): string {
  return date.toISOString().replace(/\.\d+Z$/, 'Z');
}
