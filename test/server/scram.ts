import { connect, type Socket } from 'node:net';

/** ProtocolVersion 3.0. */
const PROTOCOL = 196_608;
const MECHANISM = 'SCRAM-SHA-256';

/**
 * The salt that a server sends to a user under scram-sha-256: of the first two messages of that dialogue, which is
 * then given up (RFC 5802; "SASL Authentication" in the manual's chapter on the protocol).
 */
export async function askForSalt(port: number, user: string): Promise<Buffer> {
  const socket = connect({ host: '127.0.0.1', port });
  try {
    const messages = readMessages(socket);
    socket.write(withLength(Buffer.concat([int32(PROTOCOL), Buffer.from(`user\0${user}\0database\0postgres\0\0`)])));
    await expectRequest(messages, 10);
    const first = Buffer.from('n,,n=,r=a nonce of the client'.replaceAll(' ', '-'));
    const body = Buffer.concat([Buffer.from(`${MECHANISM}\0`), int32(first.length), first]);
    socket.write(Buffer.concat([Buffer.from('p'), withLength(body)]));
    const answer = (await expectRequest(messages, 11)).toString();
    const salt = /(?:^|,)s=([^,]+)/.exec(answer)?.[1];
    if (salt === undefined) throw new Error(`no salt in "${answer}"`);
    return Buffer.from(salt, 'base64');
  } finally {
    socket.destroy();
  }
}

interface Message {
  readonly type: string;
  readonly body: Buffer;
}

async function expectRequest(messages: AsyncIterator<Message, undefined>, code: number): Promise<Buffer> {
  const { value, done } = await messages.next();
  if (done === true) throw new Error('the server closed the connection');
  const { type, body } = value;
  if (type !== 'R' || body.readInt32BE(0) !== code) throw new Error(`unexpected message ${type}: ${body.toString()}`);
  return body.subarray(4);
}

async function* readMessages(socket: Socket): AsyncGenerator<Message, undefined> {
  let pending = Buffer.alloc(0);
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    pending = Buffer.concat([pending, Buffer.from(chunk)]);
    while (pending.length >= 5 && pending.length > pending.readInt32BE(1)) {
      const end = 1 + pending.readInt32BE(1);
      yield { type: pending.toString('latin1', 0, 1), body: pending.subarray(5, end) };
      pending = pending.subarray(end);
    }
  }
  return undefined;
}

function withLength(body: Buffer): Buffer {
  return Buffer.concat([int32(body.length + 4), body]);
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}
