import type { ArchiveSettings } from '../../../src/settings/schema.ts';
import type { DigestAlgorithm, ListOptions } from '../../../src/storage/storage.ts';
import type { WireError, WireInfo, WireObject } from './values.ts';

/**
 * What the two sides ask each other. The executable serves storages; what they need of a body, or tell a deadline, it
 * asks of the side that called.
 */
export interface Calls {
  // The executable answers:
  connect: { params: { archive: ArchiveSettings }; reply: { storage: number; url: string } };
  create: { params: Call & { key: string; length: number }; reply: null };
  get: { params: Call & { key: string }; reply: { info: WireInfo; iterator: number } };
  head: { params: Call & { key: string }; reply: WireInfo };
  list: { params: Call & { prefix: string; options: ListOptions }; reply: { iterator: number } };
  delete: { params: Call & { keys: readonly string[] }; reply: null };
  close: { params: { storage: number }; reply: null };
  environment: { params: null; reply: Record<string, string | undefined> };
  /** The caller's deadline has passed, or was ended, for this reason. */
  expire: { params: { call: number; error: WireError }; reply: null };

  // The caller answers:
  digest: { params: { call: number; algorithm: DigestAlgorithm }; reply: null };
  open: { params: { call: number }; reply: { iterator: number } };
  /** The call's deadline made progress. */
  progress: { params: { call: number }; reply: null };

  // Both do: bytes go beside the reply, pages in it.
  next: { params: { iterator: number }; reply: { done: boolean; page?: readonly WireObject[] } };
  return: { params: { iterator: number }; reply: null };
}

/** Every call of a verb has a number of its own, and a deadline. */
export interface Call {
  storage: number;
  call: number;
  /** Null: no limit. */
  remainingMs: number | null;
  /** The deadline has passed already. */
  expired?: WireError;
}

export type Method = keyof Calls;

/** A reply, with bytes beside it where it has some. */
export interface Reply<M extends Method> {
  readonly reply: Calls[M]['reply'];
  readonly bytes?: Uint8Array;
}

export type Handlers = { readonly [M in Method]?: (params: Calls[M]['params']) => Promise<Reply<M>> };

/** How what is thrown goes over the wire, and what is thrown on the other side then. */
export interface Errors {
  toWire(error: unknown): WireError;
  fromWire(error: WireError): unknown;
}
