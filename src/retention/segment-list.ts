const FIRST_CAPACITY = 256;

/**
 * The segments that an archive holds of one timeline: their numbers, sizes and times in typed arrays, 20 bytes for
 * each, since an archive can hold millions. Filled by `add` in any order, then `sort`ed once; all else needs that.
 */
export class SegmentList {
  #numbers = new Float64Array(FIRST_CAPACITY);
  #sizes = new Uint32Array(FIRST_CAPACITY);
  #times = new Float64Array(FIRST_CAPACITY);
  #count = 0;
  #isSorted = true;

  get count(): number {
    return this.#count;
  }

  /** `bytes`: below 4 GiB. `modifiedMs`: milliseconds since 1970, as the store tells it. */
  add(number: number, bytes: number, modifiedMs: number): void {
    if (this.#count === this.#numbers.length) this.#grow();
    if (this.#count > 0 && number <= valueAt(this.#numbers, this.#count - 1)) this.#isSorted = false;
    this.#numbers[this.#count] = number;
    this.#sizes[this.#count] = bytes;
    this.#times[this.#count] = modifiedMs;
    this.#count += 1;
  }

  /** Brings the segments into the order of their numbers. One that a listing told twice (it was cut by a push) counts once. */
  sort(): void {
    if (this.#isSorted) return;
    const order = Uint32Array.from({ length: this.#count }, (_, index) => index);
    // The sort is stable: of an object that was told twice the first telling counts.
    order.sort((a, b) => valueAt(this.#numbers, a) - valueAt(this.#numbers, b));
    const [numbers, sizes, times] = [this.#numbers, this.#sizes, this.#times];
    this.#numbers = new Float64Array(this.#count);
    this.#sizes = new Uint32Array(this.#count);
    this.#times = new Float64Array(this.#count);
    let count = 0;
    let last = -1;
    for (const index of order) {
      const number = valueAt(numbers, index);
      if (number === last) continue;
      last = number;
      this.#numbers[count] = number;
      this.#sizes[count] = valueAt(sizes, index);
      this.#times[count] = valueAt(times, index);
      count += 1;
    }
    this.#count = count;
    this.#isSorted = true;
  }

  numberAt(index: number): number {
    return valueAt(this.#numbers, index);
  }

  bytesAt(index: number): number {
    return valueAt(this.#sizes, index);
  }

  /** Milliseconds since 1970. */
  modifiedAt(index: number): number {
    return valueAt(this.#times, index);
  }

  /** The index of the first segment with this number or a higher one; the count where there is none. */
  indexFrom(number: number): number {
    let [low, high] = [0, this.#count];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (valueAt(this.#numbers, middle) < number) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The index of this very segment; undefined where it is not there. */
  indexOf(number: number): number | undefined {
    const index = this.indexFrom(number);
    return index < this.#count && valueAt(this.#numbers, index) === number ? index : undefined;
  }

  /** The number behind the last one of the unbroken run that begins with `number`; `number` itself where it is not there. */
  runEnd(number: number): number {
    const first = this.indexOf(number);
    if (first === undefined) return number;
    // Numbers are distinct and ascend: a stretch is unbroken where it is as long as its numbers say.
    let [low, high] = [first, this.#count - 1];
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (valueAt(this.#numbers, middle) - number === middle - first) low = middle;
      else high = middle - 1;
    }
    return valueAt(this.#numbers, low) + 1;
  }

  /** Bytes of the objects from one index up to another, exclusive. */
  bytesBetween(from: number, to: number): number {
    let bytes = 0;
    for (let index = from; index < to; index += 1) bytes += valueAt(this.#sizes, index);
    return bytes;
  }

  /** The time of the newest object, in milliseconds since 1970; undefined where there is none. */
  newestMs(): number | undefined {
    let newest: number | undefined;
    for (let index = 0; index < this.#count; index += 1) newest = Math.max(newest ?? -Infinity, this.modifiedAt(index));
    return newest;
  }

  /** The lowest number of an object that is younger than `sinceMs`; undefined where all are older. */
  firstYounger(sinceMs: number): number | undefined {
    for (let index = 0; index < this.#count; index += 1)
      if (this.modifiedAt(index) > sinceMs) return this.numberAt(index);
    return undefined;
  }

  #grow(): void {
    this.#numbers = copied(this.#numbers, new Float64Array(this.#count * 2));
    this.#sizes = copied(this.#sizes, new Uint32Array(this.#count * 2));
    this.#times = copied(this.#times, new Float64Array(this.#count * 2));
  }
}

function copied<Values extends Float64Array | Uint32Array>(from: Values, to: Values): Values {
  to.set(from);
  return to;
}

function valueAt(array: Float64Array | Uint32Array, index: number): number {
  const value = array[index];
  if (value === undefined) throw new RangeError(`there is no segment at index ${index}`);
  return value;
}
