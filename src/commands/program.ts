import { codeOf, type Outcome } from '../exit.ts';
import type { Settings } from '../settings/schema.ts';
import type { HandedOver } from './hand-over.ts';
import type { Io } from './io.ts';

const SEGMENT = /^[0-9A-F]{24}$/;
const IN_PG_WAL = 'pg_wal/';

/**
 * Runs one command line. `argv` starts with the verb: the server's `wal-push`, `wal-fetch`, `wal-prune`, or an
 * operator's command. Errors: Failure; anything else that is thrown is a bug.
 */
export async function run(argv: readonly string[], io: Io): Promise<Outcome> {
  const [verb, ...operands] = argv;
  // As the server says it, there is nothing to parse, and what parses would be a tenth of the work.
  if (!operands.some((word) => word.startsWith('-'))) {
    const [first, second] = operands;
    if (verb === 'wal-push' && operands.length === 1 && first !== undefined) return pushForServer(first, io);
    if (verb === 'wal-fetch' && operands.length === 2 && first !== undefined && second !== undefined) {
      return fetchForServer(first, second, io);
    }
  }
  const { runLine } = await import('./command-line.ts');
  return runLine(argv, io);
}

/** By the agent where there is one, else alone; then one is started, if there is more to do. */
async function pushForServer(path: string, io: Io): Promise<Outcome> {
  const { handOverPush } = await import('./hand-over.ts');
  const handed = await handOverPush(path, io);
  if (handed !== 'no agent' && handed !== 'declined') return handed;
  const environment = { ...process.env };
  const options = await beginSettings();
  const { push } = await import('./push.ts');
  const outcome = await push(path, options, io);
  if (handed === 'no agent') await begin(await options.settings, environment, muchIsWaiting, io);
  return outcome;
}

/** A segment as `pushForServer` does a file; all else, which is small and has no successor, alone. */
async function fetchForServer(name: string, path: string, io: Io): Promise<Outcome> {
  const isSegment = SEGMENT.test(name) && path.startsWith(IN_PG_WAL);
  let handed: HandedOver = 'declined';
  if (isSegment) {
    const { handOverFetch } = await import('./hand-over.ts');
    handed = await handOverFetch(name, path, io);
    if (handed !== 'no agent' && handed !== 'declined') return handed;
  }
  const environment = { ...process.env };
  const options = await beginSettings();
  const { fetch } = await import('./fetch.ts');
  const outcome = await fetch(name, path, options, io);
  if (handed === 'no agent' && outcome === 'done') await begin(await options.settings, environment, () => true, io);
  return outcome;
}

/**
 * Starts an agent, if it is worth while. The work is done, whatever becomes of this.
 * @param environment as it was before the client of a store added its own
 */
async function begin(
  settings: Settings,
  environment: NodeJS.ProcessEnv,
  isWorthWhile: () => boolean | Promise<boolean>,
  io: Io,
): Promise<void> {
  if (!settings.agent.enabled) return;
  const warn = (line: string): void => {
    io.warn(line);
  };
  try {
    if (!(await isWorthWhile())) return;
    const { startAgent } = await import('../agent/start.ts');
    startAgent(settings, environment, warn);
  } catch (error) {
    // Not in a data directory, or of a server that is gone: there is nobody to work ahead for.
    if (codeOf(error) !== 'ENOENT') warn(`no agent was started: ${String(error)}`);
  }
}

async function muchIsWaiting(): Promise<boolean> {
  const worth = await import('../agent/worth.ts');
  return worth.muchIsWaiting();
}

/** The settings file is opened on another thread while this one loads the rest of the command. */
async function beginSettings(): Promise<{ readonly settings: Promise<Settings> }> {
  const { loadSettings } = await import('../settings/load.ts');
  const settings = loadSettings(undefined, process.env);
  // They are waited for when the rest is there.
  settings.catch(() => undefined);
  return { settings };
}
