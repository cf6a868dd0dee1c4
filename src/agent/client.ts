import { lstatSync } from 'node:fs';

import { openWire } from '#wire';
import {
  isSameFile,
  parseAnswer,
  SILENCE_MS,
  type Answer,
  type FileId,
  type Request,
  type Requester,
} from './message.ts';
import { describeRequester, identifyFile } from './requester.ts';
import { socketPath } from './where.ts';

/** The agent works for the server's own commands alone, which run in the data directory and name files so. */
const IN_PG_WAL = 'pg_wal/';
const TEMPORARY = /^xlogtemp\.walseal\.[0-9.]+$/;

/**
 * Has the agent archive the file at `path`. Undefined where it can't, or there is none: then we work alone. `onSign` is
 * told whenever the agent shows that it is at work.
 */
export function pushByAgent(path: string, onSign: () => void): Promise<Answer | undefined> {
  return ask(path, onSign, (requester) => ({
    ...requester,
    push: { name: path.slice(IN_PG_WAL.length), file: identifyFile(path) },
  }));
}

/** Has the agent bring a segment into pg_wal, where `path` lies. Undefined as with `pushByAgent`. */
export function fetchByAgent(name: string, path: string, onSign: () => void): Promise<Answer | undefined> {
  return ask(path, onSign, (requester) => ({ ...requester, fetch: { name } }));
}

/** Whether what the agent has brought lies there still, as it was when the agent looked at it. */
export function isBrought(temporary: string, file: FileId): boolean {
  // It is renamed: nothing but a file of ours, in pg_wal, may be named.
  if (!TEMPORARY.test(temporary)) return false;
  try {
    return isSameFile(identifyFile(`${IN_PG_WAL}${temporary}`), file);
  } catch {
    return false;
  }
}

async function ask(
  path: string,
  onSign: () => void,
  requestFor: (requester: Requester) => Request,
): Promise<Answer | undefined> {
  if (!path.startsWith(IN_PG_WAL)) return undefined;
  let socket: string | undefined;
  let request: Request;
  try {
    const requester = describeRequester('.');
    socket = await findAgent(requester);
    if (socket === undefined) return undefined;
    request = requestFor(requester);
  } catch {
    // Whatever could not be read: whoever works alone says so, in the words of the part that needs it.
    return undefined;
  }
  return exchange(socket, `${JSON.stringify(request)}\n`, onSign);
}

/** The socket of an agent that may be there. */
async function findAgent({ settings: { path, text }, dataDirectory }: Requester): Promise<string | undefined> {
  let configured: string | undefined;
  if (mayNameAgent(text)) {
    const { parseSettings } = await import('../settings/load.ts');
    const { agent } = parseSettings(path, text);
    if (!agent.enabled) return undefined;
    configured = agent.socket;
  }
  const socket = socketPath(configured, dataDirectory);
  return socket !== undefined && lstatSync(socket, { throwIfNoEntry: false })?.isSocket() === true ? socket : undefined;
}

/** Settings that say nothing of the agent need not be parsed to know so. The word can be spelt with escapes, too. */
function mayNameAgent(text: string): boolean {
  return text.includes('agent') || text.includes('\\');
}

/** It may live still, so none is started in its place. */
const SILENT: Answer = { is: 'yours', why: 'the agent is silent' };

/** Sends the request, and waits for the answer for as long as there are signs of life. */
function exchange(socket: string, request: string, onSign: () => void): Promise<Answer | undefined> {
  return new Promise((resolve) => {
    let text = '';
    let silence: NodeJS.Timeout | undefined;
    const settle = (answer: Answer | undefined): void => {
      clearTimeout(silence);
      // To close is an end, too; what came first counts.
      resolve(answer);
      wire.close();
    };
    const listen = (): void => {
      clearTimeout(silence);
      silence = setTimeout(settle, SILENCE_MS, SILENT);
    };
    const wire = openWire(socket, request, {
      text: (piece) => {
        listen();
        onSign();
        text += piece;
        const lines = text.split('\n');
        text = lines.pop() ?? '';
        try {
          const answer = lines.map(parseAnswer).find((one) => one !== undefined);
          if (answer !== undefined) settle(answer);
        } catch {
          settle(undefined);
        }
      },
      end: () => {
        settle(undefined);
      },
    });
    listen();
  });
}
