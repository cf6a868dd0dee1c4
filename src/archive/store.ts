import { Failure, PUSH_PRECEDENCE } from '../exit.ts';
import type { Sealed } from '../seal/seal.ts';
import { isAside } from './aside.ts';
import { asFailure, type Archive } from './archives.ts';
import type { Content } from './compare.ts';
import { place, type Placed, type PlaceOptions } from './place.ts';

/** What became of a file in one archive. `aside` means that exactly this content is kept under aside/. */
export type Result =
  | { readonly archive: Archive; readonly is: Placed | 'aside' }
  | { readonly archive: Archive; readonly is: 'failed'; readonly failure: Failure };

/** Runs `act` for all archives at once; the failure of one neither delays nor stops another. Bugs are thrown. */
export async function forEachArchive(
  archives: readonly Archive[],
  act: (archive: Archive) => Promise<Placed | 'aside'>,
): Promise<Result[]> {
  const attempt = async (archive: Archive): Promise<Result> => {
    try {
      return { archive, is: await act(archive) };
    } catch (error) {
      return { archive, is: 'failed', failure: asFailure(error, archive.storage.url) };
    }
  };
  return Promise.all(archives.map(attempt));
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
  return forEachArchive(archives, async (archive) => {
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
