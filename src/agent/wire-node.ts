import { connect } from 'node:net';

import type { OpenWire } from './wire.ts';

/** On Node. */
export const openWire: OpenWire = (path, text, events) => {
  const socket = connect(path);
  socket
    .setEncoding('utf8')
    .on('data', (piece: string) => {
      events.text(piece);
    })
    .on('error', () => {
      events.end();
    })
    .on('close', () => {
      events.end();
    })
    .write(text);
  return { close: () => socket.destroy() };
};
