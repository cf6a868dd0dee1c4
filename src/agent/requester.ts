import { closeSync, constants, fstatSync, openSync, readFileSync, statSync, type BigIntStats } from 'node:fs';

import manifest from '../../package.json' with { type: 'json' };
import { locateSettings } from '../settings/locate.ts';
import type { FileId, Requester } from './message.ts';
import { identifyDirectory } from './where.ts';

const SETTINGS_MAX_BYTES = 1024 * 1024;

/** What differs from one command of the same server to the next, and has no say in what a push does. */
const VOLATILE: ReadonlySet<string> = new Set(['_', 'PWD', 'OLDPWD', 'SHLVL', 'WALSEAL_LAUNCHER']);
const OF_RUNTIME = 'BUN_JSC_';

/**
 * Who asks the agent, and who the agent is: on behalf of the data directory at `dataDirectory`, with the settings that
 * `config` names, else the environment. Reads the settings without a look at what they say. Errors: those of the
 * system; whoever works alone then says what is wrong.
 */
export function describeRequester(dataDirectory: string, config?: string): Requester {
  const { path } = locateSettings(config, process.env);
  return {
    program: { version: manifest.version, file: programFile() },
    dataDirectory: identifyDirectory(dataDirectory),
    settings: { path, text: readSettings(path) },
    environment: usedEnvironment(process.env),
  };
}

/** Another build of the same version is another program. */
function programFile(): string {
  const { dev, ino, mtimeNs } = statSync(process.execPath, { bigint: true });
  return [dev, ino, mtimeNs, process.argv[1]].join(':');
}

function readSettings(path: string): string {
  // Without O_NONBLOCK, opening a pipe waits for somebody who writes to it.
  const descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const stats = fstatSync(descriptor);
    if (!stats.isFile() || stats.size > SETTINGS_MAX_BYTES) throw new RangeError(`${path} is no settings file`);
    return readFileSync(descriptor, 'utf8');
  } finally {
    closeSync(descriptor);
  }
}

function usedEnvironment(environment: NodeJS.ProcessEnv): Record<string, string> {
  const used: Record<string, string> = {};
  for (const [name, value] of Object.entries(environment)) {
    if (value !== undefined && !VOLATILE.has(name) && !name.startsWith(OF_RUNTIME)) used[name] = value;
  }
  return used;
}

/** What a look at a file tells. Errors: those of stat(2). */
export function identifyFile(path: string): FileId {
  return toFileId(statSync(path, { bigint: true }));
}

function toFileId({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): FileId {
  return { dev: String(dev), ino: String(ino), size: String(size), mtime: String(mtimeNs), ctime: String(ctimeNs) };
}

/** Why the one is not for the other: another program, data directory, settings or credentials. Undefined where it is. */
export function difference(one: Requester, other: Requester, isService: boolean): string | undefined {
  if (one.program.version !== other.program.version) return 'program';
  if (one.dataDirectory.dev !== other.dataDirectory.dev || one.dataDirectory.ino !== other.dataDirectory.ino)
    return 'data directory';
  if (one.settings.text !== other.settings.text) return 'settings';
  // A service has its own credentials, and its own view of the file system: that is what it was set up for.
  if (isService) return undefined;
  if (one.program.file !== other.program.file) return 'program';
  if (one.settings.path !== other.settings.path) return 'settings';
  return areSame(one.environment, other.environment) ? undefined : 'environment';
}

function areSame(one: Readonly<Record<string, string>>, other: Readonly<Record<string, string>>): boolean {
  const names = Object.keys(one);
  return names.length === Object.keys(other).length && names.every((name) => one[name] === other[name]);
}
