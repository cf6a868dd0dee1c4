import { isAside } from '../archive/aside.ts';
import { asFailure, openArchives, type Archive } from '../archive/archives.ts';
import { readWalFile, type WalFile } from '../archive/check.ts';
import { compareHeld, type Content, type Held } from '../archive/compare.ts';
import { loadPushKeys } from '../archive/keyring.ts';
import { place, type PlaceOptions } from '../archive/place.ts';
import { conclude, forEachArchive } from '../archive/store.ts';
import type { Outcome } from '../exit.ts';
import { seal } from '../seal/seal.ts';
import { openCluster } from '../server/cluster.ts';
import { loadSettings, pushArchives } from '../settings/load.ts';
import { Deadline } from '../storage/deadline.ts';
import { StorageError } from '../storage/errors.ts';
import { asideKey, objectKey } from '../wal/keys.ts';
import type { Io } from './io.ts';
import type { PushOptions } from './push.ts';

export interface SetAsideOptions extends PushOptions {
  readonly json?: boolean;
}

/**
 * The way out of a refusal: shows the file here and the one in each archive, and keeps ours under aside/. From
 * then on a push of exactly this content succeeds. Nothing under the plain name is touched.
 * 'done' also where there is nothing to set aside, since each archive holds this content or would take it.
 */
export async function setAside(path: string, options: SetAsideOptions, io: Io): Promise<Outcome> {
  const settings = await loadSettings(options.config, process.env);
  const { systemId, nonce } = await openCluster({ ...options, walPath: path }, process.cwd());
  const file = await readWalFile(path, systemId);
  const archives = await openArchives(pushArchives(settings));
  const deadline = new Deadline(settings.deadlineMs, { what: `set-aside of ${file.name.name}` });
  try {
    const { trusted, ...keys } = await loadPushKeys(settings);
    const input = { path, length: file.length, name: file.name, systemId, nonce, level: settings.compression.level };
    const sealed = await seal(input, keys);
    const { name, length, modified } = file;
    const content = { name, systemId, fingerprint: sealed.fingerprint, length, modified };
    const placing = { verify: settings.verify, trusted, deadline };

    const findings = await Promise.all(archives.map((archive) => look(archive, file, content, placing)));
    const refusing = findings.filter((finding) => finding.refuses).map((finding) => finding.archive);
    const aside = asideKey(systemId, file.name, content.fingerprint);
    const results = await forEachArchive(refusing, async (archive) => {
      await place(archive, aside, content, sealed, placing);
      return 'aside';
    });
    for (const failure of conclude(results)) io.warn(failure.message);
    report({ file, content, findings, aside }, options.json === true, io);
    return 'done';
  } finally {
    deadline.close();
    for (const archive of archives) archive.storage.close();
  }
}

/** What one archive has under the file's own name, and whether a push of the file is refused there. */
interface Finding {
  readonly archive: Archive;
  readonly held: Held | { readonly is: 'absent' };
  readonly refuses: boolean;
  /** The content is kept under aside/ already. */
  readonly kept: boolean;
}

async function look(archive: Archive, file: WalFile, content: Content, options: PlaceOptions): Promise<Finding> {
  const { trusted, deadline } = options;
  const held = await heldUnderPlainName(archive, content, options);
  const refuses = file.problem !== undefined || held.is === 'different' || held.is === 'unsigned';
  return { archive, held, refuses, kept: refuses && (await isAside(archive, content, trusted, deadline)) };
}

async function heldUnderPlainName(archive: Archive, content: Content, options: PlaceOptions): Promise<Finding['held']> {
  try {
    return await compareHeld(
      archive,
      objectKey(content.systemId, content.name),
      content,
      options.trusted,
      options.deadline,
    );
  } catch (error) {
    if (error instanceof StorageError && error.kind === 'absent') return { is: 'absent' };
    throw asFailure(error, archive.storage.url);
  }
}

interface Report {
  readonly file: WalFile;
  readonly content: Content;
  readonly findings: readonly Finding[];
  readonly aside: string;
}

function report({ file, content, findings, aside }: Report, json: boolean, io: Io): void {
  const here = {
    path: file.path,
    bytes: file.length,
    modified: file.modified.toISOString(),
    fingerprint: content.fingerprint,
  };
  if (json) {
    const archives = findings.map(({ archive, held, refuses }) => ({
      url: archive.storage.url,
      holds: held.is,
      ...('fingerprint' in held && { fingerprint: held.fingerprint, stored: held.info.modified.toISOString() }),
      ...(refuses && { aside }),
    }));
    io.out(
      JSON.stringify({ here: { ...here, ...(file.problem && { problem: file.problem }) }, archives }, undefined, 2),
    );
    return;
  }
  io.out(`here: ${here.path}, ${here.bytes} bytes, modified ${here.modified}, fingerprint ${here.fingerprint}`);
  if (file.problem !== undefined) io.out(`      ${file.problem}`);
  for (const { archive, held, refuses, kept } of findings) {
    io.out(`archive ${archive.storage.url}: ${describe(held)}`);
    if (!refuses) io.out('      nothing to set aside: a push of this file succeeds');
    else io.out(`      ${kept ? 'was kept already' : 'kept'} as ${aside}; a push of exactly this content now succeeds`);
  }
}

function describe(held: Finding['held']): string {
  switch (held.is) {
    case 'absent':
      return 'no object of that name';
    case 'identical':
      return 'exactly this content';
    case 'damaged':
      return `a corrupt object (${held.reason}); look at the store first`;
    case 'unsigned':
      return 'this content, but no trusted key signed it';
    case 'different':
      return `a different file, fingerprint ${held.fingerprint}, ${held.payloadLength} bytes sealed, stored ${held.info.modified.toISOString()}`;
  }
}
