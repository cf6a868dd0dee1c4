import { parse, TomlError } from 'smol-toml';

import { Failure } from '../exit.ts';
import { checkSettings } from './check.ts';
import { locateSettings } from './locate.ts';
import type { RawTable } from './read.ts';
import type { ArchiveSettings, Settings } from './schema.ts';
import { readSmallFile } from './small-file.ts';

/**
 * Reads and checks the settings file that `locateSettings` finds. No key file is opened. Errors: Failure `usage`, which
 * tells all that is wrong and shows no secret.
 */
export async function loadSettings(configPath: string | undefined, env: NodeJS.ProcessEnv): Promise<Settings> {
  const { path, chosenBy } = locateSettings(configPath, env);
  return parseSettings(path, await read(path, chosenBy));
}

/** Checks settings that were read from the file at `path`. Errors: as `loadSettings`. */
export function parseSettings(path: string, text: string): Settings {
  return checkSettings(path, parseToml(path, text));
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

async function read(path: string, chosenBy: string): Promise<string> {
  const what = `settings file ${path} (${chosenBy})`;
  const bytes = await readSmallFile(path, what);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw new Failure('usage', `cannot read the ${what}: it is not UTF-8`, {
      hint: 'Save it in that encoding, or name the file that was meant.',
      cause: error,
    });
  }
}

/** The parser's message quotes the lines around an error, which may hold a secret: only its first line is passed on. */
function parseToml(path: string, text: string): RawTable {
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const said = error.message.split('\n', 1).join().replace('Invalid TOML document: ', '');
    // Neither the error nor its cause is kept: a stack that is printed would show these lines.
    throw new Failure('usage', `${path}:${String(error.line)}:${String(error.column)}: ${said}`, {
      hint: said.includes('redefine')
        ? 'A key stands once in its table, and a [table] once in the file. What there are several of has two brackets each time: [[archive]].'
        : 'Strings, and durations such as "60s", stand in quotes.',
    });
  }
}
