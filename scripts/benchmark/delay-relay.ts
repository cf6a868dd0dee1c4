/**
 * A process that passes bytes on to a server, later: a network of which each round trip takes so many milliseconds more.
 * Arguments: the server's port, the milliseconds. It prints its own port, and lives until it is killed.
 */
import { connect, createServer, type Socket } from 'node:net';

function passOn(from: Socket, to: Socket, delayMs: number): void {
  // Timers of one length fire in the order in which they were made, so bytes stay in theirs.
  const later = (act: () => void): void => {
    if (delayMs === 0) act();
    else setTimeout(act, delayMs);
  };
  from.on('data', (bytes) => {
    later(() => to.write(bytes));
  });
  from.on('end', () => {
    later(() => to.end());
  });
  from.on('error', () => to.destroy());
  from.on('close', () => {
    later(() => to.destroySoon());
  });
}

function main(port: number, roundTripMs: number): void {
  const server = createServer({ noDelay: true, allowHalfOpen: true }, (client) => {
    client.pause();
    client.on('error', () => undefined);
    // The handshake of TCP is a round trip too, and is over here already.
    setTimeout(() => {
      const target = connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true });
      passOn(client, target, roundTripMs / 2);
      passOn(target, client, roundTripMs / 2);
      client.resume();
    }, roundTripMs);
  });
  server.listen(0, '127.0.0.1', () => {
    const address = server.address();
    console.log(address === null || typeof address === 'string' ? '' : address.port);
  });
}

main(Number(process.argv[2]), Number(process.argv[3]));
