import type { OpenWire } from './wire.ts';

interface RuntimeSocket {
  /** Returns how many bytes were taken. */
  write(bytes: Uint8Array): number;
  end(): void;
}

/** What is used of the runtime's own sockets. */
declare const Bun: {
  connect(options: {
    readonly unix: string;
    readonly socket: {
      open(socket: RuntimeSocket): void;
      drain(socket: RuntimeSocket): void;
      data(socket: RuntimeSocket, bytes: Uint8Array): void;
      close(): void;
      error(): void;
      connectError(): void;
    };
  }): Promise<unknown>;
};

/** In the executable: to load node:net there takes five times as long as all of this. */
export const openWire: OpenWire = (path, text, events) => {
  let rest: Uint8Array = new TextEncoder().encode(text);
  let socket: RuntimeSocket | undefined;
  const decoder = new TextDecoder();
  const end = (): void => {
    events.end();
  };
  const send = (to: RuntimeSocket): void => {
    socket = to;
    rest = rest.subarray(Math.max(0, to.write(rest)));
  };
  const data = (_socket: RuntimeSocket, bytes: Uint8Array): void => {
    events.text(decoder.decode(bytes, { stream: true }));
  };
  const handlers = { open: send, drain: send, data, close: end, error: end, connectError: end };
  Bun.connect({ unix: path, socket: handlers }).catch(end);
  return { close: () => socket?.end() };
};
