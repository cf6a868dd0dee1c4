import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

import { parseWalName, type SegmentName } from '../wal/name.ts';

const READY = '.ready';
/** A segment's name, and `.ready` behind it. */
const READY_BYTES = 24 + READY.length;

/** The segments that wait for the archiver. A look serves for as long as it holds enough: there may be thousands. */
export class Waiting {
  readonly #directory: string;
  /** Names, in the server's order. */
  #known: string[] = [];

  constructor(dataDirectory: string) {
    this.#directory = join(dataDirectory, 'pg_wal', 'archive_status');
  }

  /** How many waited, behind the segment that was asked for last. */
  get count(): number {
    return this.#known.length;
  }

  /** Up to so many of those that wait behind a segment, on its timeline, in the server's order. */
  async behind({ name }: SegmentName, atMost: number): Promise<SegmentName[]> {
    this.#known = this.#known.filter((one) => one > name);
    if (this.#onTimeline(name, atMost).length < atMost) await this.#look(name);
    return this.#onTimeline(name, atMost).flatMap((one) => {
      const parsed = parseWalName(one);
      return parsed?.kind === 'segment' ? [parsed] : [];
    });
  }

  /** Forgets what was seen: some of it may be gone. */
  forget(): void {
    this.#known = [];
  }

  async #look(name: string): Promise<void> {
    const found: string[] = [];
    for (const file of await readdir(this.#directory)) {
      if (file.length === READY_BYTES && file.endsWith(READY) && file > name) found.push(file.slice(0, -READY.length));
    }
    this.#known = found.filter((one) => one > name).sort();
  }

  #onTimeline(name: string, atMost: number): string[] {
    const timeline = name.slice(0, 8);
    return this.#known.filter((one) => one.startsWith(timeline)).slice(0, atMost);
  }
}
