import { isAside } from '../archive/aside.ts';
import { asFailure, openArchives, type Archive } from '../archive/archives.ts';
import { readWalFile, type WalFile } from '../archive/check.ts';
import { compareHeld, type Content, type Held } from '../archive/compare.ts';
import { loadPushKeys } from '../archive/keyring.ts';
import { place, type PlaceOptions } from '../archive/place.ts';
import { conclude, forEachArchive, type Result } from '../archive/store.ts';
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
 * 'done' also where there is nothing to set aside, since each archive holds this content or would take it;
 * 'found-wrong' where an archive holds a corrupt object of that name, which setting aside does not mend.
 */
export async function setAside(path: string, options: SetAsideOptions, io: Io): Promise<Outcome> {
  const settings = await loadSettings(options.config, process.env);
  const { systemId, nonce } = await openCluster({ ...options, walPath: path }, process.cwd());
  const file = await readWalFile(path, systemId);
  const archives = await openArchives(pushArchives(settings));
  const deadline = new Deadline(settings.deadlineMs, { what: `set-aside of ${file.name.name}` });
  try {
    const { trusted, unsignable, ...keys } = await loadPushKeys(settings);
    const input = { path, length: file.length, name: file.name, systemId, nonce, level: settings.compression.level };
    const sealed = await seal(input, keys);
    const { name, length, modified } = file;
    const content = { name, systemId, fingerprint: sealed.fingerprint, length, modified };
    const placing = { verify: settings.verify, trusted, deadline, ...(unsignable && { unsignable }) };

    const aside = asideKey(systemId, file.name, content.fingerprint);
    const findings = new Map<Archive, Finding>();
    const results = await forEachArchive(archives, deadline, async (archive) => {
      const finding = await look(archive, file, content, placing);
      findings.set(archive, finding);
      if (!finding.refuses) return 'identical';
      await place(archive, aside, content, sealed, placing);
      return 'aside';
    });
    report({ file, content, findings, results, aside }, options.json === true, io);
    for (const failure of conclude(results)) io.warn(`${failure.message} (not required)`);
    return [...findings.values()].some(({ held }) => held.is === 'damaged') ? 'found-wrong' : 'done';
  } finally {
    deadline.close();
    for (const archive of archives) archive.storage.close();
  }
}

/** What one archive has under the file's own name, and whether a push of the file is refused there. */
interface Finding {
  readonly held: Held | { readonly is: 'absent' };
  readonly refuses: boolean;
  /** The content is kept under aside/ already. */
  readonly kept: boolean;
}

async function look(archive: Archive, file: WalFile, content: Content, options: PlaceOptions): Promise<Finding> {
  const { trusted, deadline } = options;
  const held = await heldUnderPlainName(archive, content, options);
  const refuses = file.problem !== undefined || held.is === 'different' || held.is === 'unsigned';
  return { held, refuses, kept: refuses && (await isAside(archive, content, trusted, deadline)) };
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
  /** Of the archives that could be looked at. */
  readonly findings: ReadonlyMap<Archive, Finding>;
  readonly results: readonly Result[];
  readonly aside: string;
}

function report({ file, content, findings, results, aside }: Report, json: boolean, io: Io): void {
  const modified = file.modified.toISOString();
  const here = { path: file.path, bytes: file.length, modified, fingerprint: content.fingerprint };
  if (json) {
    const archives = results.map((result) => asJson(result, findings.get(result.archive), aside));
    io.out(
      JSON.stringify({ here: { ...here, ...(file.problem && { problem: file.problem }) }, archives }, undefined, 2),
    );
    return;
  }
  io.out(`here: ${here.path}, ${here.bytes} bytes, modified ${modified}, fingerprint ${here.fingerprint}`);
  if (file.problem !== undefined) io.out(`      ${file.problem}`);
  for (const result of results) {
    const finding = findings.get(result.archive);
    if (finding !== undefined) io.out(`archive ${result.archive.storage.url}: ${describe(finding.held)}`);
    io.out(finding === undefined ? failureOf(result) : `      ${whatBecame(result, finding, aside)}`);
  }
}

function asJson(result: Result, finding: Finding | undefined, aside: string): object {
  const held = finding?.held;
  return {
    url: result.archive.storage.url,
    ...(held && { holds: held.is }),
    ...(held && 'fingerprint' in held && { fingerprint: held.fingerprint, stored: held.info.modified.toISOString() }),
    ...(result.is === 'aside' && { aside }),
    ...(result.is === 'failed' && { failure: result.failure.message }),
  };
}

function whatBecame(result: Result, { held, kept }: Finding, aside: string): string {
  if (result.is === 'failed') return failureOf(result);
  if (result.is === 'aside') {
    return `${kept ? 'was kept already' : 'kept'} as ${aside}; a push of exactly this content now succeeds`;
  }
  if (held.is === 'damaged') return 'nothing was set aside: a push fails until the object there is mended or removed';
  return 'nothing to set aside: a push of this file succeeds';
}

function failureOf(result: Result): string {
  return result.is === 'failed' ? result.failure.message : '';
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
