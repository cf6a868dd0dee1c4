import type { Deadline } from '../../src/storage/deadline.ts';
import type { ListedObject, ListOptions } from '../../src/storage/storage.ts';
import { MemoryStorage } from '../storage/memory.ts';
import { fixture } from './manifests.ts';

/** A location in memory. Of most files there is nothing but a size, as nobody reads them. */
export class Location extends MemoryStorage {
  readonly sizes = new Map<string, number>();
  /** Stores promise no order. */
  order: (a: ListedObject, b: ListedObject) => number = () => 0;
  modified = new Date('2026-11-26T12:00:00Z');

  put(key: string, content: Uint8Array | string | number): void {
    this.remove(key);
    if (typeof content === 'number') this.sizes.set(key, content);
    else this.objects.set(key, { bytes: Buffer.from(content), modified: this.modified });
  }

  remove(key: string): void {
    this.sizes.delete(key);
    this.objects.delete(key);
  }

  /** The data directory that a real server's backup was, as far as its fixture tells. */
  putFixture(directory: string, backup: string): void {
    for (const line of fixture(backup, 'listing').toString().trimEnd().split('\n')) {
      const [, size, path = ''] = /^(\d+) (.*)$/.exec(line) ?? [];
      const isKept = ['backup_manifest', 'backup_label', 'global/pg_control'].includes(path);
      this.put(directory === '' ? path : `${directory}/${path}`, isKept ? fixture(backup, path) : Number(size));
    }
  }

  override async *list(
    prefix: string,
    options: ListOptions,
    deadline: Deadline,
  ): AsyncGenerator<readonly ListedObject[], void, undefined> {
    const all: ListedObject[] = [];
    for await (const page of super.list(prefix, options, deadline)) all.push(...page);
    for (const [key, size] of this.sizes) if (key.startsWith(prefix)) all.push({ key, size, modified: this.modified });
    deadline.signal.throwIfAborted();
    yield all.sort(this.order);
  }
}
