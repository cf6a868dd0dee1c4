import { Failure } from '../../exit.ts';
import type { ArchiveSettings, Settings } from '../../settings/schema.ts';
import { parseArchiveUrl, redactUrl, UrlProblem } from '../../settings/url.ts';

/** The archives that are pruned, and those that are never written. Errors: Failure `usage`. */
export function chooseArchives(
  { archives, path }: Settings,
  only: string | undefined,
): { readonly chosen: readonly ArchiveSettings[]; readonly passedOver: readonly string[] } {
  const named = only === undefined ? archives : archives.filter(({ url }) => url === normal(only));
  if (named.length === 0 && only !== undefined) {
    throw new Failure('usage', `${path} names no archive ${redactUrl(only)}`, {
      hint: `It names ${archives.map(({ url }) => url).join(', ')}.`,
    });
  }
  const chosen = named.filter(({ mode }) => mode === 'push');
  const passedOver = named.filter(({ mode }) => mode !== 'push').map(({ url }) => url);
  if (chosen.length > 0) return { chosen, passedOver };
  throw new Failure('usage', `${passedOver.join(', ')}: mode = "fetch" means that it is never written, nor pruned`, {
    hint: 'Prune it by the settings of the host that pushes there, or of one that is to prune it.',
  });
}

function normal(text: string): string {
  try {
    return parseArchiveUrl(text).url;
  } catch (error) {
    if (!(error instanceof UrlProblem)) throw error;
    throw new Failure('usage', `--archive: ${error.message}`);
  }
}
