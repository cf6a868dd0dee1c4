import type { SystemId } from '../wal/control.ts';
import type { SegmentSize } from '../wal/name.ts';
import { locateDataDirectory, readControlFile } from './data-directory.ts';

/** The cluster that a data directory belongs to. */
export interface Cluster {
  readonly dataDirectory: string;
  readonly systemId: SystemId;
  /** mock_authentication_nonce: 32 bytes that every physical copy shares, and nobody outside knows. */
  readonly nonce: Uint8Array;
  /** As pg_control says it. */
  readonly segmentSize?: SegmentSize;
  /** What is unusual about pg_control. */
  readonly warning?: string;
}

/** Reads the cluster's identity from its data directory. Errors: Failure `usage` where pg_control can't be read. */
export async function openCluster(options: { pgdata?: string; walPath: string }, cwd: string): Promise<Cluster> {
  const dataDirectory = locateDataDirectory(options, cwd);
  const { systemId, nonce, segmentSize, warning } = await readControlFile(dataDirectory);
  return {
    dataDirectory,
    systemId,
    nonce,
    ...(segmentSize !== undefined && { segmentSize }),
    ...(warning !== undefined && { warning }),
  };
}
