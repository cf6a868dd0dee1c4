import type { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';

/**
 * What comes out of the transform when the source goes in. Of two errors the source's counts; what the transform says
 * of bytes that it can't take is thrown as `describe` puts it.
 */
export async function* through(
  source: AsyncIterable<Uint8Array>,
  transform: Transform,
  describe: (error: unknown) => Error,
): AsyncGenerator<Uint8Array> {
  let fault: { error: unknown } | undefined;
  async function* watched(): AsyncGenerator<Uint8Array> {
    try {
      yield* source;
    } catch (error) {
      fault = { error };
      throw error;
    }
  }
  const feeding = pipeline(watched(), transform).catch(() => undefined);
  try {
    for await (const piece of transform) yield asBytes(piece);
  } catch (error) {
    throw fault === undefined ? describe(error) : fault.error;
  } finally {
    transform.destroy();
    await feeding;
  }
}

function asBytes(piece: unknown): Uint8Array {
  if (piece instanceof Uint8Array) return piece;
  throw new TypeError('a stream of bytes gave something else');
}
