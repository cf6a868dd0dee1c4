/** What happens on a connection to the agent. */
export interface WireEvents {
  text(piece: string): void;
  /** It is over, or there never was one. Said once or more. */
  end(): void;
}

/** A connection to the agent; the runtime's own sockets in the executable, node:net on Node. */
export interface Wire {
  close(): void;
}

/** Connects to the socket at `path` and sends `text`. */
export type OpenWire = (path: string, text: string, events: WireEvents) => Wire;
