import { readdirSync, writeFileSync } from 'node:fs';
import { setPriority } from 'node:os';
import { resolve } from 'node:path';

import { Agent } from '../agent/agent.ts';
import { describeRequester } from '../agent/requester.ts';
import { makeSocketDirectory, socketPath } from '../agent/where.ts';
import { Failure, type Outcome } from '../exit.ts';
import { loadSettings } from '../settings/load.ts';
import type { Io } from './io.ts';

export interface AgentCommandOptions {
  readonly config?: string;
  readonly pgdata?: string;
  /** Started by wal-push or wal-fetch, and not by an operator. */
  readonly onDemand?: boolean;
}

/** When memory runs out, the kernel is to end this process, and nothing else. */
const FIRST_TO_GO = '1000';

/** `walseal agent`: works ahead for the server of a data directory, until a signal, or until it is of no use any more. */
export async function agent(options: AgentCommandOptions, io: Io): Promise<Outcome> {
  const isInterrupted = io.heedInterrupts();
  writeFileSync('/proc/self/oom_score_adj', FIRST_TO_GO);
  const dataDirectory = resolve(options.pgdata ?? '.');
  const self = describe(dataDirectory, options.config);
  const settings = await loadSettings(options.config, process.env);
  standBack(settings.agent.nice);
  makeSocketDirectory();
  const socket = socketPath(settings.agent.socket, self.dataDirectory);
  if (socket === undefined) throw unsafe(settings.agent.socket);
  const isService = options.onDemand !== true;
  const running = await Agent.open({ settings, self, dataDirectory, socket, isService });
  io.onAbandon(() => {
    running.close();
  });
  if (isService) io.warn(`works for ${dataDirectory}, and listens on ${socket}`);
  try {
    io.warn(`ends: ${await running.run(isInterrupted)}`);
  } finally {
    running.close();
  }
  return 'done';
}

/** The kernel has a priority for each thread; a later one has it from the thread that makes it (setpriority(2)). */
function standBack(nice: number): void {
  for (const thread of readdirSync('/proc/self/task')) {
    try {
      setPriority(Number(thread), nice);
    } catch {
      // That thread has ended.
    }
  }
}

/** Before a store's client changes a variable. */
function describe(dataDirectory: string, config: string | undefined): ReturnType<typeof describeRequester> {
  try {
    return describeRequester(dataDirectory, config);
  } catch (error) {
    throw new Failure(
      'usage',
      `cannot tell for whom to work: ${error instanceof Error ? error.message : String(error)}`,
      {
        hint: 'Name the data directory with --pgdata, and the settings file with --config.',
        cause: error,
      },
    );
  }
}

function unsafe(socket: string | undefined): Failure {
  return new Failure('unwritable', `there is no safe place for the socket${socket === undefined ? '' : ` ${socket}`}`, {
    hint:
      'Its directory must be a real one that belongs to the user of the server, mode 0700, and below directories that nobody else can change. ' +
      'Make /run/walseal/<uid>, or name another place as socket in [agent].',
  });
}
