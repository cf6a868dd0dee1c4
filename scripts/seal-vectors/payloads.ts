import { build, CONTENT, SYSTEM } from './build.ts';
import { fails, made, type Made } from './vector.ts';

const BOMB_BYTES = 2 ** 26;
const BLOCK_BYTES = 2 ** 17;
/** Descriptor and window descriptor: a checksum, no content size, a window of 2^n bytes. */
const window = (log: number): Buffer => Buffer.from([0x04, (log - 10) << 3]);

/** Payloads under a label that is not theirs. */
export function payloads(): Promise<Made>[] {
  const appended = (bytes: Buffer): Buffer => Buffer.concat([bytes, Buffer.from([0])]);
  return [
    build('trailing').then((object) =>
      made('trailing', 'a byte after the payload', 'invalid', 'bytes follow', appended(object), {}),
    ),
    build('payload-other').then(async (object) => {
      // Both are true objects of the same length; only the label is of the first and the payload of the second.
      const other = await build('payload-other-2', {
        content: Buffer.from(CONTENT.toString('latin1').toUpperCase(), 'latin1'),
      });
      const head = object.indexOf('\n', object.indexOf('\n---') + 1) + 1;
      return made(
        'payload-other',
        'a true label over another payload',
        'invalid',
        'payload has another SHA-256',
        Buffer.concat([object.subarray(0, head), other.subarray(-(object.length - head))]),
        {},
      );
    }),
    fails(
      'payload-nonce-only',
      'a payload that is its nonce',
      { payload: (payload) => payload.subarray(0, 16) },
      'invalid',
      'chunk 0',
    ),
    fails('payload-empty', 'a payload of no bytes', { payload: () => Buffer.alloc(0) }, 'invalid', 'ends in its nonce'),
  ];
}

/** Payloads that are authentic, and hold what they must not. */
export function contents(): Promise<Made>[] {
  const flipLast = (frame: Buffer): Buffer =>
    Buffer.concat([frame.subarray(0, -1), Buffer.from([(frame.at(-1) ?? 0) ^ 1])]);
  const without = (frame: Buffer): Buffer =>
    Buffer.concat([frame.subarray(0, 4), Buffer.from([(frame.at(4) ?? 0) & ~4]), frame.subarray(5, -4)]);
  const size = (bytes: bigint) => (frame: Buffer) => {
    const changed = Buffer.from(frame);
    changed.writeBigUInt64LE(bytes, 24);
    return changed;
  };
  return [
    fails('zstd-checksum', 'a wrong content checksum', { frame: flipLast }, 'invalid', 'zstd frame is corrupt'),
    fails(
      'zstd-no-checksum',
      'a frame without a content checksum',
      { frame: without },
      'invalid',
      'no content checksum',
    ),
    fails(
      'zstd-cut',
      'a frame that lacks its checksum',
      { frame: (frame) => frame.subarray(0, -4) },
      'invalid',
      'zstd frame is cut',
    ),
    fails(
      'zstd-twice',
      'two frames',
      { frame: (frame) => Buffer.concat([frame, frame]) },
      'invalid',
      'bytes follow the zstd frame',
    ),
    fails(
      'zstd-trailing',
      'a byte after the frame',
      { frame: (frame) => Buffer.concat([frame, Buffer.from([0])]) },
      'invalid',
      'bytes follow the zstd frame',
    ),
    fails(
      'plain-zstd-twice',
      'two frames, not encrypted',
      { encrypted: false, frame: (frame) => Buffer.concat([frame, frame]) },
      'invalid',
      'bytes follow the zstd frame',
    ),
    fails('zstd-missing', 'no frame at all', { frame: () => Buffer.alloc(0) }, 'invalid', 'zstd frame is cut'),
    fails(
      'zstd-stored',
      'the file itself where a frame should be',
      { frame: () => CONTENT },
      'invalid',
      'no zstd frame',
    ),
    fails(
      'zstd-content-size',
      'a frame that announces another size than the file',
      { fileFrame: size(BigInt(CONTENT.length + 1)) },
      'invalid',
      'zstd frame announces',
    ),
    fails(
      'zstd-window',
      'a frame that needs a window of 256 MiB',
      { frame: () => bomb(window(28), 1) },
      'invalid',
      'needs a window',
    ),
    fails(
      'bomb',
      'a frame of 64 MiB under a size of 306 bytes',
      { frame: () => bomb(window(17), BOMB_BYTES / BLOCK_BYTES) },
      'invalid',
      'holds more than',
    ),
    fails(
      'bomb-announced',
      'a segment of 1 TiB is announced',
      { fileFrame: size(2n ** 40n) },
      'invalid',
      'its kind has at most',
    ),
    fails(
      'bomb-history',
      'a history file of 1 GiB is announced',
      { name: '00000002.history', fileFrame: size(2n ** 30n) },
      'invalid',
      'its kind has at most',
      { expected: { name: '00000002.history', systemId: SYSTEM } },
    ),
    fails(
      'file-short',
      'fewer bytes than announced, in a frame that announces none',
      { frame: () => bomb(window(17), 0) },
      'invalid',
      'zstd frame holds 0 bytes',
    ),
    fails(
      'file-sha256',
      'another file of the announced size',
      { fileFrame: (frame) => flipLast(frame) },
      'invalid',
      'another SHA-256',
    ),
    fails(
      'file-frame-missing',
      'a frame of zstd, with nothing about the file before it',
      { fileFrame: () => Buffer.alloc(0) },
      'invalid',
      'payload does not start with',
    ),
    fails(
      'file-frame-tag',
      'another tag before size and digest',
      {
        fileFrame: (frame) =>
          Buffer.concat([frame.subarray(0, 8), Buffer.from('walseal file v2\n'), frame.subarray(24)]),
      },
      'invalid',
      'does not start with',
    ),
  ];
}

/** A frame of RLE blocks, 128 KiB each out of four bytes, with the checksum of no bytes. */
function bomb(descriptorAndWindow: Buffer, blocks: number): Buffer {
  const block = Buffer.alloc(4);
  block.writeUIntLE((BLOCK_BYTES << 3) | (1 << 1), 0, 3);
  const emptyLastBlock = Buffer.from([1, 0, 0]);
  return Buffer.concat([
    Buffer.from([0x28, 0xb5, 0x2f, 0xfd]),
    descriptorAndWindow,
    ...Array.from({ length: blocks }, () => block),
    emptyLastBlock,
    Buffer.from([0x99, 0xe9, 0xd8, 0x51]),
  ]);
}
