import { EventEmitter } from 'node:events';
import { linkSync, rmSync, writeFileSync } from 'node:fs';

import type { Io } from '../../../src/commands/io.ts';
import { Failure, type FailureKind, type Outcome } from '../../../src/exit.ts';

/**
 * Takes the place of src/commands/program.ts in a copy of the sources. The first argument of the verb says how it
 * goes wrong. What does its work truly leaves a proof: the file at the last argument.
 */
if (process.argv[3] === 'throw-at-import') throw new Error('thrown at import');

export async function run(argv: readonly string[], io: Io): Promise<Outcome> {
  const [, fault = 'done'] = argv;
  const path = argv.at(-1) ?? '';
  const act = FAULTS[fault];
  if (act !== undefined) return act(io, path);
  if (fault.startsWith('fail-'))
    throw new Failure(kindOf(fault.slice('fail-'.length)), 'the fact', { hint: 'The hint.' });
  writeFileSync(path, 'done');
  return 'done';
}

type Act = (io: Io, path: string) => Outcome | Promise<Outcome>;

const FAULTS: Readonly<Record<string, Act>> = {
  lie: () => 'done',
  '--help': (io) => {
    io.out('usage');
    return 'done';
  },
  absent: () => 'absent',
  'found-wrong': () => 'found-wrong',
  throw: () => {
    throw new TypeError('thrown in run');
  },
  'throw-later': async () => {
    setTimeout(() => {
      throw new Error('thrown later');
    }, 1);
    return forEver();
  },
  'reject-elsewhere': async () => {
    void Promise.reject(new Error('rejected elsewhere'));
    return forEver();
  },
  'error-event': async () => {
    setTimeout(() => new EventEmitter().emit('error', new Error('an error event')), 1);
    return forEver();
  },
  /** Neither an Error nor anything that can be made a string. */
  'throw-nothing': () => {
    const nothing: unknown = Object.create(null);
    throw nothing;
  },
  'exit-0': () => process.exit(0),
  'exit-1': () => process.exit(1),
  'exit-143': () => process.exit(143),
  crash: () => process.abort(),
  never: () => new Promise(() => undefined),
  'never-but-alive': (io) => {
    setInterval(() => undefined, 1_000);
    io.endsWithin(-9_900);
    return forEver();
  },
  'out-of-memory': () => {
    const all: unknown[] = [];
    for (;;) all.push({ name: String(all.length), next: all.at(-1) });
  },
  'out-of-buffers': () => {
    const all: unknown[] = [];
    for (;;) all.push(new Uint8Array(16 << 20).fill(1));
  },
  talkative: (io, path) => {
    for (let line = 0; line < 20_000; line += 1) io.out(`${line} ${'x'.repeat(90)}`);
    console.log('from a library');
    console.error('from a library');
    io.warn('last words');
    writeFileSync(path, 'done');
    return 'done';
  },
  promoting: (io) => {
    io.onPromote('promote');
    throw new Failure('unreachable', 'the fact');
  },
  /** Writes a temporary file, says that it is ready, and makes it final only if that is wanted after `WAIT_MS`. */
  slow: async (io, path): Promise<Outcome> => {
    const temporary = `${path}.temporary`;
    writeFileSync(temporary, 'done');
    io.onAbandon(() => {
      rmSync(temporary, { force: true });
    });
    io.warn(`ready ${process.pid}`);
    await new Promise((resolve) => setTimeout(resolve, WAIT_MS));
    if (!io.stillWanted()) throw new Failure('unwritable', 'nobody waits');
    linkSync(temporary, path);
    rmSync(temporary);
    return 'done';
  },
  /** The same, but so busy that no timer runs: only the last look before the end can find out. */
  busy: (io, path) => {
    io.warn(`ready ${process.pid}`);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, WAIT_MS / 2);
    if (!io.stillWanted()) throw new Failure('unwritable', 'nobody waits');
    writeFileSync(path, 'done');
    return 'done';
  },
};

const WAIT_MS = 3_000;

function kindOf(text: string): FailureKind {
  return KINDS.find((kind) => kind === text) ?? 'bug';
}

const KINDS: readonly FailureKind[] = [
  'usage',
  'unreachable',
  'denied',
  'invalid',
  'different',
  'damaged',
  'no-key',
  'unwritable',
  'gap',
];

function forEver(): Promise<never> {
  return new Promise((_, reject) => {
    setTimeout(() => {
      reject(new Error('nothing ended this'));
    }, 60_000);
  });
}
