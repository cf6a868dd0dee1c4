import { StorageError } from '../errors.ts';

/**
 * The directory that a `file:///directory` URL names, absolute, without a slash at the end. `%` with two hexadecimal
 * digits stands for a byte; all other characters but `?` and `#` stand for themselves. Errors: StorageError `configuration`.
 */
export function directoryOf(url: string): string {
  const [, host, encoded] = /^file:\/\/([^/?#]*)(\/[^?#]*)$/is.exec(url) ?? [];
  if (host === undefined || encoded === undefined) {
    throw wrong(url, 'is no file URL', 'Write file:///directory, and %3F and %23 for ? and #.');
  }
  if (host !== '' && host.toLowerCase() !== 'localhost') {
    throw wrong(url, `names the host ${host}`, 'A directory has three slashes: file:///directory.');
  }
  const parts = encoded.split('/').filter((part) => part !== '');
  const names = parts.map((part) => decode(url, part));
  if (names.length === 0) throw wrong(url, 'names the root directory, or none', 'Name a directory of its own.');
  return `/${names.join('/')}`;
}

function decode(url: string, part: string): string {
  const name = decoded(url, part);
  if (name === '.' || name === '..' || name.includes('/') || name.includes('\0')) {
    throw wrong(url, `has the part ${part}`, 'Name the directory without ".", "..", encoded slashes and zero bytes.');
  }
  return name;
}

function decoded(url: string, part: string): string {
  try {
    return decodeURIComponent(part);
  } catch (cause) {
    throw wrong(url, `has the part ${part}, which cannot be decoded`, 'Write a percent sign as %25.', cause);
  }
}

function wrong(url: string, fact: string, hint: string, cause?: unknown): StorageError {
  return new StorageError('configuration', `archive ${url} ${fact}`, { hint, cause });
}
