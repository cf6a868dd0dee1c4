import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { Worker } from 'node:worker_threads';

/** Longer than a connection on the loopback interface can take. */
const HANGS_AFTER_MS = 200;
/** More than any backlog that was asked for as this one. */
const MOST_CONNECTIONS = 32;

/** Listens, says where, and stands still for ever: what it does not accept fills the backlog. */
const LISTENER = `
  const { createServer } = require('node:net');
  const { parentPort } = require('node:worker_threads');
  const server = createServer();
  server.listen({ host: '127.0.0.1', port: 0, backlog: 1 }, () => {
    parentPort.postMessage(server.address().port);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  });
`;

export interface Unreachable extends AsyncDisposable {
  readonly endpoint: string;
  close(): Promise<void>;
}

/** A host behind a firewall that drops packets: to connect takes for ever. */
export async function startNeverAccepting(): Promise<Unreachable> {
  const worker = new Worker(LISTENER, { eval: true });
  const [port] = (await once(worker, 'message')) as [number];
  const fillers: Socket[] = [];
  const close = async (): Promise<void> => {
    for (const socket of fillers) socket.destroy();
    await worker.terminate();
  };
  for (let count = 0; count < MOST_CONNECTIONS; count += 1) {
    const socket = connect(port, '127.0.0.1').on('error', () => undefined);
    fillers.push(socket);
    if (await hangs(socket)) return { endpoint: `http://127.0.0.1:${port}`, close, [Symbol.asyncDispose]: close };
  }
  await close();
  throw new Error(`${MOST_CONNECTIONS} connections do not fill the backlog`);
}

async function hangs(socket: Socket): Promise<boolean> {
  try {
    await once(socket, 'connect', { signal: AbortSignal.timeout(HANGS_AFTER_MS) });
    return false;
  } catch {
    return true;
  }
}
