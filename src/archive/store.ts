import { Failure, PUSH_PRECEDENCE } from '../exit.ts';
import type { Sealed } from '../seal/seal.ts';
import type { Deadline } from '../storage/deadline.ts';
import { isAside } from './aside.ts';
import { asFailure, type Archive } from './archives.ts';
import type { Content } from './compare.ts';
import { place, type Placed, type PlaceOptions } from './place.ts';

/** What became of a file in one archive. `aside` means that exactly this content is kept under aside/. */
export type Result =
  | { readonly archive: Archive; readonly is: Placed | 'aside' }
  | { readonly archive: Archive; readonly is: 'failed'; readonly failure: Failure };

/** Of the time that is left, what the archives that are not required get when the required ones have all ended. */
const EXTRA_PART = 1 / 4;

/**
 * Runs `act` for all archives at once, within `deadline`. The failure of one does not stop another; one that is not
 * required does not hold up the rest for the whole deadline. Bugs are thrown.
 */
export async function forEachArchive(
  archives: readonly Archive[],
  deadline: Deadline,
  act: (archive: Archive) => Promise<Placed | 'aside'>,
): Promise<Result[]> {
  const attempt = async (archive: Archive): Promise<Result> => {
    try {
      return { archive, is: await act(archive) };
    } catch (error) {
      return { archive, is: 'failed', failure: asFailure(error, archive.storage.url) };
    }
  };
  const attempts = archives.map((archive) => ({ required: archive.settings.required, result: attempt(archive) }));
  const all = Promise.all(attempts.map(({ result }) => result));
  const required = attempts.filter((one) => one.required).map(({ result }) => result);
  // Of both, so that a bug that is thrown meanwhile has somebody who waits for it.
  await Promise.race([all, Promise.all(required)]);
  deadline.shorten(deadline.remainingMs() * EXTRA_PART);
  return all;
}

/**
 * Stores the sealed file under `key` in every archive. A refused content that an operator has set aside counts as
 * stored: that is the way out of a refusal.
 */
export async function storeEverywhere(
  archives: readonly Archive[],
  key: string,
  content: Content,
  sealed: Sealed,
  options: PlaceOptions,
): Promise<Result[]> {
  return forEachArchive(archives, options.deadline, async (archive) => {
    try {
      return await place(archive, key, content, sealed, options);
    } catch (error) {
      const refused = error instanceof Failure && (error.kind === 'different' || error.kind === 'invalid');
      if (refused) return unlessAside(archive, content, options, error);
      throw error;
    }
  });
}

/**
 * Whether a refused content was set aside in the archive; else the refusal is thrown, also where that can't be told:
 * an archive that does not answer must not hide what is wrong.
 */
export async function unlessAside(
  archive: Archive,
  content: Content,
  { trusted, deadline }: PlaceOptions,
  refusal: Failure,
): Promise<'aside'> {
  try {
    if (await isAside(archive, content, trusted, deadline)) return 'aside';
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
  }
  throw refusal;
}

/**
 * Ends a push: all required archives hold the file, or a Failure says for each archive what happened. The failures
 * of archives that are not required are returned, for a warning.
 */
export function conclude(results: readonly Result[]): Failure[] {
  const failed = results.filter((result) => result.is === 'failed');
  const blocking = failed.filter((result) => result.archive.settings.required).map((result) => result.failure);
  if (blocking.length === 0) return failed.map((result) => result.failure);
  const first =
    PUSH_PRECEDENCE.map((kind) => blocking.find((failure) => failure.kind === kind)).find(Boolean) ?? blocking[0];
  if (first === undefined || results.length === 1) throw first ?? new Error('a blocking failure that is none');
  const lines = results.map((result) =>
    result.is === 'failed' ? result.failure.message : `archive ${result.archive.storage.url}: ${result.is}`,
  );
  throw new Failure(first.kind, [...new Set(lines)].join('; '), { hint: first.hint, cause: first });
}
