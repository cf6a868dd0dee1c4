import { constants, createZstdDecompress } from 'node:zlib';

import { WINDOW_LOG, type CompressOptions } from './zstd.ts';

/**
 * The object behind a zstd stream of bun's node:zlib. Unlike the stream it reads from and writes into buffers that its
 * caller owns and can use again. It is no public interface, so it is looked at before it is used, and where it is
 * not what is known of the pinned version there is none: docs/decisions/0007-zstd-handle.md.
 */

/** What compresses or decompresses one frame, on another thread; one step at a time. */
export interface FrameCoder {
  /**
   * Does what it can with this input and this output, which must stay as they are until it is done. `isLast`: nothing
   * follows this input. Errors: whatever the runtime says of a frame that is corrupt.
   */
  step(input: Uint8Array, output: Uint8Array, isLast?: boolean): Promise<Step>;
  /** Frees what it holds. No step may be under way. */
  close(): void;
}

/** Bytes of a step. An output that was filled may mean that more of it waits inside. */
export interface Step {
  readonly consumed: number;
  readonly produced: number;
}

interface Handle {
  onerror: (message: string, errno: number, code: string) => void;
  init(parameters: Uint32Array, size: number | undefined, left: Uint32Array, onStep: () => void): unknown;
  write(
    flush: number,
    input: Uint8Array,
    inputAt: number,
    inputBytes: number,
    output: Uint8Array,
    outputAt: number,
    outputBytes: number,
  ): void;
  close(): void;
}

type HandleClass = new (mode: number) => Handle;

/** As node:zlib numbers its modes; the types don't know them. */
const MODE = { compress: 10, decompress: 11 };
/** A parameter that nobody sets. */
const UNSET = 0xffff_ffff;

/** For one frame that is to be made; undefined where the runtime has no such object. */
export function newFrameEncoder({ level, size }: CompressOptions): FrameCoder | undefined {
  const parameters = new Uint32Array(constants.ZSTD_c_overlapLog + 1).fill(UNSET);
  parameters[constants.ZSTD_c_compressionLevel] = level;
  parameters[constants.ZSTD_c_checksumFlag] = 1;
  parameters[constants.ZSTD_c_windowLog] = WINDOW_LOG;
  return newFrameCoder(MODE.compress, parameters, size);
}

/** For one frame that is to be opened; undefined where the runtime has no such object. */
export function newFrameDecoder(): FrameCoder | undefined {
  const parameters = new Uint32Array(constants.ZSTD_d_windowLogMax + 1).fill(UNSET);
  return newFrameCoder(MODE.decompress, parameters, undefined);
}

function newFrameCoder(mode: number, parameters: Uint32Array, size: number | undefined): FrameCoder | undefined {
  const Native = handleClass();
  if (Native === undefined) return undefined;
  const handle = new Native(mode);
  /** What the last step left: bytes of the output, bytes of the input. */
  const left = new Uint32Array(2);
  let settle = { resolve: (): void => undefined, reject: (_error: Error): void => undefined };
  const isReady = handle.init(parameters, size, left, () => {
    settle.resolve();
  });
  if (isReady !== true) return undefined;
  handle.onerror = (message, _errno, code) => {
    settle.reject(new Error(`${message} (${code})`));
  };
  return {
    async step(input, output, isLast = false) {
      const flush = isLast ? constants.ZSTD_e_end : constants.ZSTD_e_continue;
      await new Promise<void>((resolve, reject) => {
        settle = { resolve, reject };
        handle.write(flush, input, 0, input.length, output, 0, output.length);
      });
      const [outputLeft = output.length, inputLeft = input.length] = left;
      return { consumed: input.length - inputLeft, produced: output.length - outputLeft };
    },
    close() {
      handle.close();
    },
  };
}

let known: { readonly Native: HandleClass | undefined } | undefined;

function handleClass(): HandleClass | undefined {
  known ??= { Native: findHandleClass() };
  return known.Native;
}

/** The class of the handle of a stream, in bun. Node's handles look alike, and were never tried. */
function findHandleClass(): HandleClass | undefined {
  if (process.versions['bun'] === undefined) return undefined;
  const stream = createZstdDecompress();
  const handle: unknown = Reflect.get(stream, '_handle');
  const Native: unknown = typeof handle === 'object' && handle !== null ? handle.constructor : undefined;
  if (isHandleClass(Native) && handle instanceof Native) {
    // What destroying the stream would do, which takes a quarter of a millisecond.
    handle.close();
    return Native;
  }
  stream.destroy();
  return undefined;
}

function isHandleClass(value: unknown): value is HandleClass {
  if (typeof value !== 'function' || value.name !== 'NativeZstd') return false;
  const prototype: unknown = value.prototype;
  if (typeof prototype !== 'object' || prototype === null || !('onerror' in prototype)) return false;
  return ['init', 'write', 'close'].every((name) => typeof Reflect.get(prototype, name) === 'function');
}
