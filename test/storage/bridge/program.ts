/** The storages of the product behind a socket: program SOCKET. It ends when the other side does. */
import { connect as connectTo } from 'node:net';

import { connect } from '../../../src/storage/connect.ts';
import { Deadline } from '../../../src/storage/deadline.ts';
import type { Body, Storage } from '../../../src/storage/storage.ts';
import { Iterators, pulledBytes } from './iterators.ts';
import { Peer } from './peer.ts';
import type { Call, Handlers } from './protocol.ts';
import { errorFromWire, errorToWire, infoToWire, storageErrorFromWire } from './values.ts';

/** The caller's deadline as it is here: it passes when the caller says so, with the caller's words. */
class CallersDeadline extends Deadline {
  readonly #endsAt: number;
  readonly #onProgress: () => void;

  constructor({ remainingMs, expired }: Call, onProgress: () => void) {
    super(Infinity);
    this.#endsAt = performance.now() + (remainingMs ?? Infinity);
    this.#onProgress = onProgress;
    if (expired) this.expire(storageErrorFromWire(expired));
  }

  override remainingMs(): number {
    return Math.min(super.remainingMs(), Math.max(0, this.#endsAt - performance.now()));
  }

  override progress(): void {
    super.progress();
    this.#onProgress();
  }
}

const storages = new Map<number, Storage>();
const deadlines = new Map<number, Deadline>();
const iterators = new Iterators();

const handlers: Handlers = {
  ...iterators.handlers,
  connect: async ({ archive }) => {
    const storage = await connect(archive);
    const number = storages.size + 1;
    storages.set(number, storage);
    return { reply: { storage: number, url: storage.url } };
  },
  create: (call) =>
    during(call, async (deadline) => {
      await storageOf(call).create(call.key, bodyOf(call), deadline);
      return { reply: null };
    }),
  get: async (call) => {
    const deadline = begin(call);
    const { info, bytes } = await storageOf(call)
      .get(call.key, deadline)
      .catch((error: unknown) => {
        end(call);
        throw error;
      });
    return { reply: { info: infoToWire(info), iterator: iterators.holdBytes(bytes, () => end(call)) } };
  },
  head: (call) =>
    during(call, async (deadline) => ({ reply: infoToWire(await storageOf(call).head(call.key, deadline)) })),
  list: async (call) => {
    const pages = storageOf(call).list(call.prefix, call.options, begin(call));
    return { reply: { iterator: iterators.holdPages(pages, () => end(call)) } };
  },
  delete: (call) =>
    during(call, async (deadline) => {
      await storageOf(call).delete(call.keys, deadline);
      return { reply: null };
    }),
  close: async ({ storage }) => {
    storages.get(storage)?.close();
    return { reply: null };
  },
  environment: async () => ({ reply: { ...process.env } }),
  expire: async ({ call, error }) => {
    deadlines.get(call)?.expire(storageErrorFromWire(error));
    return { reply: null };
  },
};

const socket = connectTo(process.argv[2] ?? '');
const lost = new Promise<Error>((resolve) => {
  socket.once('close', () => resolve(new Error('the caller is gone')));
});
const peer = new Peer(socket, handlers, { toWire: errorToWire, fromWire: errorFromWire }, { lost, mayEndIdle: false });

function storageOf({ storage }: Call): Storage {
  const found = storages.get(storage);
  if (found === undefined) throw new Error(`there is no storage number ${storage}`);
  return found;
}

function begin(call: Call): Deadline {
  const deadline = new CallersDeadline(call, () => {
    peer.tell('progress', { call: call.call });
  });
  deadlines.set(call.call, deadline);
  return deadline;
}

function end({ call }: Call): void {
  deadlines.get(call)?.close();
  deadlines.delete(call);
}

async function during<T>(call: Call, act: (deadline: Deadline) => Promise<T>): Promise<T> {
  try {
    return await act(begin(call));
  } finally {
    end(call);
  }
}

function bodyOf({ call, length }: Call & { length: number }): Body {
  return {
    length,
    digest: async (algorithm) => (await peer.ask('digest', { call, algorithm })).bytes,
    open: async function* () {
      const { reply } = await peer.ask('open', { call });
      yield* pulledBytes(peer, reply.iterator);
    },
  };
}
