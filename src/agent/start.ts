import { spawn } from 'node:child_process';
import { closeSync, constants, openSync, readFileSync } from 'node:fs';

import type { Settings } from '../settings/schema.ts';
import { hasRoomForAgent } from './cgroup.ts';
import { identifyDirectory, makeSocketDirectory, socketPath } from './where.ts';

/** What the runtime and the program take up, beside the files on their way. Bytes. */
const OWN_MEMORY = 100 * 1024 * 1024;
const ADOPTING_POSTMASTER = '1';

/**
 * Starts an agent for the data directory that is the current one, where it can do no harm: not below a postmaster that
 * is PID 1, which adopts orphans and takes their end for a crash, nor in a control group that is tight or dies as a
 * whole. It goes on when we have ended. Errors: those of the system.
 * @param environment as the server gave it: the next command that has it is whom the agent works for
 */
export function startAgent(settings: Settings, environment: NodeJS.ProcessEnv, warn: (line: string) => void): void {
  const [postmaster = ADOPTING_POSTMASTER] = readFileSync('postmaster.pid', 'latin1').split('\n');
  if (postmaster === ADOPTING_POSTMASTER) return;
  if (!hasRoomForAgent(settings.agent.memory + OWN_MEMORY)) return;
  makeSocketDirectory();
  const socket = socketPath(settings.agent.socket, identifyDirectory('.'));
  if (socket === undefined) return;
  // Nothing of the server's is inherited: its log would not be closed before we end.
  const { O_WRONLY, O_APPEND, O_CREAT, O_TRUNC, O_NOFOLLOW } = constants;
  const log = openSync(`${socket}.log`, O_WRONLY | O_APPEND | O_CREAT | O_TRUNC | O_NOFOLLOW, 0o600);
  try {
    const words = ['agent', '--on-demand', '--config', settings.path, '--pgdata', process.cwd()];
    const [program = '', ...first] = ownCommand();
    const stdio = ['ignore', 'ignore', log] as const;
    spawn(program, [...first, ...words], {
      cwd: '/',
      env: lasting(environment),
      detached: true,
      stdio: [...stdio],
    })
      // Where no process can be made any more (EAGAIN). Nobody listening, it would be a bug, of a file that is stored.
      .on('error', (error) => {
        warn(`no agent was started: ${error.message}`);
      })
      .unref();
  } finally {
    closeSync(log);
  }
}

/** What the launchers set for a program that lives for a moment does not suit one that stays. */
function lasting(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !name.startsWith('BUN_JSC_')));
}

/** How this program is started: the executable by itself, or the sources by Node. */
function ownCommand(): string[] {
  const [runtime = '', script = ''] = process.argv;
  return 'bun' in process.versions ? [process.execPath] : [runtime, ...process.execArgv, script];
}
