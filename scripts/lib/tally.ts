/** What became of a run: the names of what failed and what was left out, and how much passed. */
export class Tally {
  #passed = 0;
  readonly #failed: string[] = [];
  readonly #skipped: string[] = [];

  check(name: string, passed: boolean): void {
    if (passed) this.#passed += 1;
    else this.#failed.push(name);
  }

  skip(name: string): void {
    this.#skipped.push(name);
  }

  add(other: Tally): void {
    this.#passed += other.#passed;
    this.#failed.push(...other.#failed);
    this.#skipped.push(...other.#skipped);
  }

  get hasFailed(): boolean {
    return this.#failed.length > 0;
  }

  get isEmpty(): boolean {
    return this.#passed + this.#failed.length + this.#skipped.length === 0;
  }

  /** The names of what was left out and of what failed, then one line with the numbers. */
  lines(): string[] {
    return [
      ...this.#skipped.map((name) => `skipped: ${name}`),
      ...this.#failed.map((name) => `failed: ${name}`),
      `${this.#passed} passed, ${this.#failed.length} failed, ${this.#skipped.length} skipped`,
    ];
  }
}
