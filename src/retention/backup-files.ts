import type { Deadline } from '../storage/deadline.ts';
import { StorageError } from '../storage/errors.ts';
import type { Storage } from '../storage/storage.ts';
import type { SystemId } from '../wal/control.ts';
import { WalFormatError } from '../wal/error.ts';
import type { SegmentSize } from '../wal/name.ts';
import { ByteReader } from './bytes.ts';
import type { LabelFacts } from './label.ts';

/** What lies in the directory of one backup. */
export class BackupFiles {
  /** As messages show it. */
  readonly path: string;
  readonly #storage: Storage;
  readonly #prefix: string;
  readonly #deadline: Deadline;

  /** `directory`: in the location, without a slash at its end; '' is the location itself. */
  constructor(storage: Storage, directory: string, deadline: Deadline) {
    this.path = directory === '' ? storage.url : `${storage.url}/${directory}`;
    this.#prefix = directory === '' ? '' : `${directory}/`;
    this.#storage = storage;
    this.#deadline = deadline;
  }

  /** All files with their sizes in bytes, by their paths in the directory. Errors: StorageError. */
  async *list(): AsyncGenerator<{ readonly path: string; readonly size: number }> {
    for await (const page of this.#storage.list(this.#prefix, {}, this.#deadline)) {
      for (const { key, size } of page) yield { path: key.slice(this.#prefix.length), size };
    }
  }

  /**
   * A file from its first byte on, as far as it is read. Errors: WalFormatError where it vanished or changes;
   * StorageError where the store fails.
   */
  async *open(path: string): AsyncGenerator<Uint8Array> {
    try {
      yield* (await this.#storage.get(`${this.#prefix}${path}`, this.#deadline)).bytes;
    } catch (error) {
      if (error instanceof StorageError && (error.kind === 'absent' || error.kind === 'corrupt')) {
        throw new WalFormatError(error.message, { cause: error });
      }
      throw error;
    }
  }

  /** A small file, whole. Errors: as with `open`; WalFormatError where it has more than `limit` bytes. */
  async read(path: string, limit: number): Promise<Buffer> {
    const bytes = new ByteReader(this.open(path));
    try {
      const content = await bytes.take(limit + 1);
      if (content.length > limit) throw new WalFormatError(`it has more than ${limit} bytes`);
      return content;
    } finally {
      await bytes.close();
    }
  }
}

/** What the files of a backup tell, besides its manifest. */
export interface Evidence {
  label: LabelFacts | undefined;
  systemId: SystemId | undefined;
  /** As pg_control or a segment says it. */
  segmentSize: SegmentSize | undefined;
  /** Bytes of each segment in its pg_wal, by name. */
  segments: ReadonlyMap<string, number>;
  readonly problems: string[];
}

/** Nothing yet. */
export function noEvidence(): Evidence {
  return { label: undefined, systemId: undefined, segmentSize: undefined, segments: new Map(), problems: [] };
}

/** Reads something of a backup; where it is wrong, that becomes a problem of the backup. Errors: those of the store. */
export async function orProblem<T>(problems: string[], what: string, read: () => Promise<T>): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (!(error instanceof WalFormatError)) throw error;
    problems.push(`${what} can't be read: ${error.message}`);
    return undefined;
  }
}
