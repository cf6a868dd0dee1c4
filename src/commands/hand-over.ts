import { pushByAgent } from '../agent/client.ts';
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
  return conclude(answer, io);
}

/** For as long as there are signs of life, it is the agent's own deadlines that count. */
function awaitAgent(io: Io): void {
  io.endsWithin(SILENCE_MS);
}

function conclude(answer: Answer | undefined, io: Io): HandedOver {
  if (answer === undefined) return 'no agent';
  if (answer.is === 'yours') return 'declined';
  for (const warning of answer.warnings) io.warn(warning);
  if (answer.is === 'failed') throw new Failure(answer.kind, answer.message, { hint: answer.hint });
  return 'done';
}
