import { codeOf } from '../../exit.ts';
import { StorageError, type Meaning } from '../errors.ts';

const DENIED: Meaning = {
  kind: 'denied',
  hint: `The archive's directory must belong to the user that runs this, or grant it access (uid ${process.getuid?.() ?? 'unknown'}).`,
};
const FULL: Meaning = { kind: 'full', hint: 'Make room in the archive, or raise its limit; nothing was stored.' };
const READ_ONLY: Meaning = {
  kind: 'full',
  hint: 'The file system of the archive is read-only: so mounted, or made so by the system after an error; nothing was stored.',
};
const UNREACHABLE: Meaning = {
  kind: 'unreachable',
  hint: "The archive's disk or file server does not answer as it should.",
};
const CORRUPT: Meaning = { kind: 'corrupt', hint: 'Something else than an object lies in the archive at this path.' };
const BUSY: Meaning = { kind: 'unreachable', hint: 'This machine ran short of descriptors or memory.' };
const NAME: Meaning = { kind: 'configuration', hint: 'The file system does not take this name.' };

/** What the errors of system calls mean. What is not here is `unreachable` and not tried again. */
const MEANINGS: Readonly<Record<string, Meaning>> = {
  EACCES: DENIED,
  EPERM: DENIED,
  ENOSPC: FULL,
  EDQUOT: FULL,
  EROFS: READ_ONLY,
  EFBIG: FULL,
  EIO: UNREACHABLE,
  ESTALE: UNREACHABLE,
  ETIMEDOUT: UNREACHABLE,
  EHOSTDOWN: UNREACHABLE,
  EHOSTUNREACH: UNREACHABLE,
  ENETDOWN: UNREACHABLE,
  ENETUNREACH: UNREACHABLE,
  ECONNREFUSED: UNREACHABLE,
  ECONNRESET: UNREACHABLE,
  ECONNABORTED: UNREACHABLE,
  ENOTCONN: UNREACHABLE,
  EREMOTEIO: UNREACHABLE,
  ENXIO: UNREACHABLE,
  ENODEV: UNREACHABLE,
  ESHUTDOWN: UNREACHABLE,
  EAGAIN: UNREACHABLE,
  EBUSY: UNREACHABLE,
  EINTR: UNREACHABLE,
  /** Where a missing file means 'absent', this is not asked: a directory has gone while it was used. */
  ENOENT: { kind: 'unreachable', hint: 'A directory of the archive has gone while it was used.' },
  EMFILE: BUSY,
  ENFILE: BUSY,
  ENOMEM: BUSY,
  ENOBUFS: BUSY,
  EISDIR: CORRUPT,
  ENOTDIR: CORRUPT,
  ELOOP: CORRUPT,
  ENAMETOOLONG: NAME,
  EILSEQ: NAME,
  EINVAL: { kind: 'configuration', hint: 'The file system does not know this operation, which an archive needs.' },
};

/** The StorageError that a failed system call stands for. Anything else is a bug, and is returned as it is. */
export function fault(error: unknown, doing: string): Error {
  const code = codeOf(error);
  if (!(error instanceof Error)) return new Error(`cannot ${doing}`, { cause: error });
  if (code === undefined || !/^E[A-Z0-9]+$/.test(code)) return error;
  const meaning = MEANINGS[code] ?? { kind: 'unreachable', retryable: false };
  // The runtime's message ends with the call and its paths, which `doing` names already.
  const reason = error.message.replace(/, \w+( '.*)?$/s, '');
  return new StorageError(meaning.kind, `cannot ${doing}: ${reason}`, { cause: error, ...meaning });
}

/** Waits for a system call; its errors become StorageErrors that say what was being done. */
export async function doing<T>(what: string, call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (error) {
    throw fault(error, what);
  }
}
