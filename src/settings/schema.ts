/**
 * What a settings file means, after it was checked: units in names, paths absolute, URLs normalised, defaults filled
 * in. The keys as they are written are in keys.ts.
 */

/** The stores that an archive can lie in. */
export type Scheme = 'file' | 's3' | 'gs' | 'azure';

export interface Settings {
  /** The settings file that this was read from, absolute. */
  readonly path: string;
  /** How many of the newest restorable full backups prune keeps. */
  readonly keepBackups?: number;
  /** Any moment of this many last days stays restorable. */
  readonly keepDays?: number;
  /** Nothing younger than this is pruned. */
  readonly keepWalMs: number;
  /** A timeline whose newest object is older than this is no live tip. */
  readonly strayAfterMs: number;
  /** Patterns of labels and paths of backups that prune keeps whatever else is said. */
  readonly keep: readonly string[];
  /** The limit of one wal-push of up to 64 MB. */
  readonly deadlineMs: number;
  readonly verify: 'checksum' | 'readback';
  readonly fetch: FetchSettings;
  /** In the order of the file: fetched from the first that has it. At least one. */
  readonly archives: readonly ArchiveSettings[];
  readonly encryption: EncryptionSettings;
  readonly signing: SigningSettings;
  readonly compression: { readonly level: number };
  readonly backups: readonly BackupLocation[];
  readonly agent: AgentSettings;
}

/** What the agent may do, and take from the machine that it shares with the database. */
export interface AgentSettings {
  readonly enabled: boolean;
  /** Where it listens; undefined: in a directory of its own choice. */
  readonly socket?: string;
  /** How many files are compressed and encrypted at once; undefined: half of the cores, all of them while much waits. */
  readonly workers?: number;
  /** Bytes that files on their way may take up. */
  readonly memory: number;
  /** Bytes a second to each archive; undefined: no limit. */
  readonly bandwidth?: number;
  /** Of the process, as nice(1) counts; the kernel derives the priority of its I/O from it (ioprio_set(2)). */
  readonly nice: number;
}

export interface FetchSettings {
  readonly deadlineMs: number;
  /** On a standby: the longest wait without a byte received. */
  readonly standbyDeadlineMs: number;
  readonly onPromote: 'stop' | 'promote';
  readonly onGap: 'stop' | 'end';
  readonly allowEmpty: boolean;
}

/** A place in a store, how it is reached, and what becomes of new objects, where any are made. */
export interface StoreSettings {
  /** Normalised, no slash at the end, never with credentials: as messages show it. */
  readonly url: string;
  readonly scheme: Scheme;
  readonly region?: string;
  /** http(s) URL of an S3-compatible store or an emulator, no slash at the end. */
  readonly endpoint?: string;
  readonly forcePathStyle?: boolean;
  /** file: the root must lie on another device than its parent. */
  readonly mounted?: boolean;
  /** Absolute: certificates (PEM) of authorities that are trusted besides the system's. */
  readonly caFile?: string;
  /** s3 with an endpoint: whether the store is known to refuse a key that is taken, without a look beforehand. */
  readonly conditionalCreate?: 'proven' | 'unproven';
  /** s3: server-side encryption of new objects. */
  readonly sse?: 'AES256' | 'aws:kms' | 'aws:kms:dsse';
  /** s3, gs: the key of the store's key service for new objects. */
  readonly kmsKey?: string;
  /** Of new objects, as the store names it; never an offline one. */
  readonly storageClass?: string;
}

export interface ArchiveSettings extends StoreSettings {
  /** Whether a push fails where this archive fails. */
  readonly required: boolean;
  /** `fetch`: never written. */
  readonly mode: 'push' | 'fetch';
}

export type EncryptionSettings =
  | { readonly kind: 'none' }
  | { readonly kind: 'age'; readonly recipients: readonly string[]; readonly identityFile?: string };

export interface SigningSettings {
  readonly keyFile?: string;
  /** Files of public keys. Undefined: signatures are not demanded. Empty: only our own key is trusted. */
  readonly trusted?: readonly string[];
}

/** Where base backups are, or a label pattern of those that are kept where we can't look. */
export type BackupLocation =
  ({ readonly kind: 'location' } & StoreSettings) | { readonly kind: 'vouched'; readonly historyFiles: string };
