import { Failure } from '../exit.ts';
import type { Settings } from './schema.ts';

/** Reads and checks the settings file. Errors: Failure `usage`. */
export async function loadSettings(configPath: string | undefined, env: NodeJS.ProcessEnv): Promise<Settings> {
  await Promise.resolve();
  throw new Failure('usage', `no settings file at ${configPath ?? env['WALSEAL_CONFIG'] ?? ''}`);
}
