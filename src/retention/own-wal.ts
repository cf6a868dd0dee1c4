import { WalFormatError } from '../wal/error.ts';
import { readLongPageHeader, type LongPageHeader } from '../wal/header.ts';
import { formatLsn } from '../wal/lsn.ts';
import { parseWalName, segmentStart, toSegmentSize, type SegmentName, type SegmentSize } from '../wal/name.ts';
import type { SystemId } from '../wal/control.ts';
import type { BackupFiles } from './backup-files.ts';
import { ByteReader } from './bytes.ts';
import { TarReader } from './tar.ts';
import { unpack, type ListedTar } from './unpack.ts';

/** The names of those segments that are whole: that have the cluster's segment size. */
export function wholeSegments(sizes: ReadonlyMap<string, number>, segmentSize: SegmentSize | undefined): Set<string> {
  return new Set([...sizes].filter(([, size]) => size === segmentSize).map(([name]) => name));
}

/** What a tar of WAL tells. */
export interface WalInTar {
  readonly systemId: SystemId | undefined;
  readonly segmentSize: SegmentSize | undefined;
  /** The names of the whole segments in it; none where its beginning alone was read. */
  readonly segments: ReadonlySet<string>;
}

/** Bytes of a segment that hold its first header. */
const HEADER_BYTES = 64;

/**
 * Reads pg_wal.tar, which `pg_basebackup -Ft -X stream` writes: the names and sizes of its segments, and the cluster
 * and the segment size from the first one's header. `extent`: whether all of it is read, or its beginning alone.
 * Errors: WalFormatError where it is cut or something else; StorageError.
 */
export async function readWalTar(files: BackupFiles, file: ListedTar, extent: 'all' | 'first'): Promise<WalInTar> {
  const bytes = new ByteReader(unpack(files.open(file.file), file.packing));
  try {
    const tar = new TarReader(bytes);
    const sizes = new Map<string, number>();
    let first: LongPageHeader | undefined;
    for (let entry = await tar.next(); entry !== undefined; entry = await tar.next()) {
      const name = parseWalName(entry.name);
      if (entry.kind !== 'file' || name?.kind !== 'segment') continue;
      first ??= checkFirst(name, await tar.content(HEADER_BYTES));
      if (extent === 'first') break;
      sizes.set(entry.name, entry.size);
    }
    const segmentSize = first && toSegmentSize(first.segmentSize);
    return { systemId: first?.systemId, segmentSize, segments: wholeSegments(sizes, segmentSize) };
  } finally {
    await bytes.close();
  }
}

function checkFirst(name: SegmentName, page: Buffer): LongPageHeader {
  const header = readLongPageHeader(page);
  if (header === undefined) throw new WalFormatError(`the segment ${name.name} in it does not begin as one`);
  const size = toSegmentSize(header.segmentSize);
  const start = size && segmentStart(name, size);
  if (start === header.pageAddress) return header;
  throw new WalFormatError(`the segment ${name.name} in it is that of ${formatLsn(header.pageAddress)}`);
}
