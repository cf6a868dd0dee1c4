import { renameSync } from 'node:fs';

import { fetchByAgent, isBrought, pushByAgent } from '../agent/client.ts';
import { SILENCE_MS, type Answer } from '../agent/message.ts';
import { Failure, type Outcome } from '../exit.ts';
import type { Io } from './io.ts';

/** What became of the attempt to have the agent do it: its outcome, or why we work alone. */
export type HandedOver = Outcome | 'declined' | 'no agent';

/** Has the agent archive a file. Errors: the Failure that it met. */
export async function handOverPush(path: string, io: Io): Promise<HandedOver> {
  const answer = await pushByAgent(path, () => {
    awaitAgent(io);
  });
  if (answer === undefined) return 'no agent';
  return heed(answer, io) && answer.is === 'stored' ? 'done' : 'declined';
}

/** Has the agent bring a segment, and gives it its name. Errors: the Failure that it met. */
export async function handOverFetch(name: string, path: string, io: Io): Promise<HandedOver> {
  const answer = await fetchByAgent(name, path, () => {
    awaitAgent(io);
  });
  if (answer === undefined) return 'no agent';
  if (!heed(answer, io) || answer.is !== 'fetched' || !isBrought(answer.temporary, answer.file)) return 'declined';
  if (!io.stillWanted())
    throw new Failure('unwritable', `nobody waits for ${path} any more: the process that asked for it is gone`);
  try {
    renameSync(`pg_wal/${answer.temporary}`, path);
  } catch {
    // Swept, dropped for somebody else who asked, or not to be written: whoever works alone says so as the settings want it.
    return 'declined';
  }
  return 'done';
}

/** For as long as there are signs of life, it is the agent's own deadlines that count. */
function awaitAgent(io: Io): void {
  io.endsWithin(SILENCE_MS);
}

/** Passes on what the agent says. False where it leaves the work to us. */
function heed(answer: Answer, io: Io): boolean {
  if (answer.is === 'yours') return false;
  for (const warning of answer.warnings) io.warn(warning);
  if (answer.is !== 'failed') return true;
  io.onPromote(answer.onPromote);
  throw new Failure(answer.kind, answer.message, { hint: answer.hint });
}
