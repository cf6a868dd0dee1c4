import { compareKeys } from '../storage/order.ts';

/** Keys that prune never touches, and how many there are of them. */
export interface NamedKeys {
  readonly count: number;
  readonly bytes: number;
  /** The first ones in the order of their bytes: at most `MOST_NAMED`. */
  readonly first: readonly string[];
}

const MOST_NAMED = 100;
/** How many are collected before the first ones are sought again. */
const SLACK = 1000;

/** Counts keys, and remembers the first ones, however many come and in whatever order. */
export class KeyTally {
  #count = 0;
  #bytes = 0;
  #first: string[] = [];

  add(key: string, bytes: number): void {
    this.#count += 1;
    this.#bytes += bytes;
    this.#first.push(key);
    if (this.#first.length > SLACK) this.#cut();
  }

  named(): NamedKeys {
    this.#cut();
    return { count: this.#count, bytes: this.#bytes, first: this.#first };
  }

  #cut(): void {
    this.#first = this.#first.sort(compareKeys).slice(0, MOST_NAMED);
  }
}
