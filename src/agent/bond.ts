import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { livingProcess } from '../server/guard.ts';

/**
 * What binds the agent to the server that it works for: the postmaster as it was when the agent began. What it knows
 * of files is true of that server's life alone.
 */
export class Bond {
  readonly #path: string;
  #postmaster: string | undefined;
  readonly #isAlive: () => boolean;

  /** @param isService an agent that was started for itself outlives a server, and may not see its processes */
  constructor(dataDirectory: string, isService: boolean) {
    this.#path = join(dataDirectory, 'postmaster.pid');
    this.#postmaster = this.#read();
    const pid = Number.parseInt(this.#postmaster ?? '', 10);
    this.#isAlive = isService ? () => true : (livingProcess(pid) ?? (() => false));
  }

  /** Whether the same postmaster lives. */
  holds(): boolean {
    return this.#postmaster !== undefined && this.#isAlive() && this.#read() === this.#postmaster;
  }

  /** Binds a service to the postmaster that is there now. */
  renew(): void {
    this.#postmaster = this.#read();
  }

  /** Pid, data directory and start time: the lines of postmaster.pid that stay as they are (pidfile.h). */
  #read(): string | undefined {
    try {
      return readFileSync(this.#path, 'latin1').split('\n', 3).join('\n');
    } catch {
      return undefined;
    }
  }
}
