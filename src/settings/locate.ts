import { resolve } from 'node:path';

/** The settings file that nobody has to name. */
const DEFAULT_SETTINGS = '/etc/walseal/walseal.toml';

/** The settings file: the one that `--config` names, else `$WALSEAL_CONFIG`, else the one in /etc; and who chose it. */
export function locateSettings(
  configPath: string | undefined,
  env: NodeJS.ProcessEnv,
): { readonly path: string; readonly chosenBy: string } {
  const named = env['WALSEAL_CONFIG'];
  if (configPath !== undefined) return { path: resolve(configPath), chosenBy: 'named by --config' };
  if (named !== undefined && named !== '') return { path: resolve(named), chosenBy: 'named by $WALSEAL_CONFIG' };
  return { path: DEFAULT_SETTINGS, chosenBy: 'the default, as neither --config nor $WALSEAL_CONFIG names one' };
}
