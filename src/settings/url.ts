import type { Scheme } from './schema.ts';

/** What is wrong with a URL, in words that never repeat a secret from it. */
export class UrlProblem extends Error {
  override readonly name = 'UrlProblem';
}

interface Parts {
  readonly scheme: string;
  readonly host: string;
  readonly path: string;
}

/**
 * Reads the URL of an archive: `file:///directory`, `s3://bucket/prefix`, `gs://bucket/prefix` or
 * `azure://container/prefix`. Two spellings of one place give the same text. Errors: UrlProblem.
 */
export function parseArchiveUrl(text: string): { url: string; scheme: Scheme } {
  const { scheme, host, path } = split(text);
  switch (scheme) {
    case 'file':
      return { scheme, url: normaliseFile(host, path) };
    case 's3':
    case 'gs':
    case 'azure':
      return { scheme, url: normaliseBucket(scheme, host, path) };
    default:
      throw new UrlProblem(`the scheme ${scheme}:// is none of file, s3, gs and azure`);
  }
}

/** Reads an endpoint: `http://` or `https://`, a host, a port and a path. Errors: UrlProblem. */
export function parseEndpoint(text: string): string {
  const { scheme, host, path } = split(text);
  if (scheme !== 'http' && scheme !== 'https')
    throw new UrlProblem(`the scheme ${scheme}:// is neither http nor https`);
  if (!URL.canParse(`${scheme}://${host}${path}`)) throw new UrlProblem('it is no URL that a request can be sent to');
  return withoutEndSlash(new URL(`${scheme}://${host}${path}`).href);
}

/** A URL as it may be shown: without what stands before an '@', and without its query and fragment. */
export function redactUrl(text: string): string {
  return text.replace(/^([a-z][a-z0-9+.-]*:\/\/)?.*@/is, '$1...@').replace(/[?#].*$/s, '?...');
}

function split(text: string): Parts {
  const [, scheme, host, path, rest] = /^([A-Za-z][A-Za-z0-9+.-]*):\/\/([^/?#]*)([^?#]*)(.*)$/s.exec(text) ?? [];
  if (scheme === undefined || host === undefined || path === undefined) {
    throw new UrlProblem('it does not start with a scheme, as file:// or s3:// do');
  }
  // A password may contain the slash that it should not, so an '@' is looked for in the path's first part as well.
  if (host.includes('@') || /^[^/]*:[^/]*\/[^/]*@/.test(host + path)) {
    throw new UrlProblem("it holds credentials: these come from the store's own default chain, never from a URL");
  }
  if (rest !== '')
    throw new UrlProblem('it has a query or a fragment, which an archive cannot have (write ? as %3F, # as %23)');
  if (/[\p{Cc}\\]/u.test(text)) {
    throw new UrlProblem('it has a control character or a backslash in it');
  }
  return { scheme: scheme.toLowerCase(), host, path };
}

function normaliseFile(host: string, path: string): string {
  if (host !== '')
    throw new UrlProblem(`file://${host} names a host: a directory has three slashes, file:///directory`);
  const names = withoutEndSlash(path).split('/').slice(1).map(decodeName);
  if (names.length === 0) throw new UrlProblem('it names the root directory, or none');
  return ['file://', ...names.map(encodeName)].join('/');
}

function decodeName(part: string): string {
  const name = orProblem(() => decodeURIComponent(part), 'it has a % that stands for no character: write %25');
  refuseOddName(name);
  if (/[/\0]/.test(name)) throw new UrlProblem('its path has an encoded slash or zero byte');
  return name;
}

function encodeName(name: string): string {
  const encoded = orProblem(() => encodeURI(name), 'it has half of a character in it');
  return encoded.replace(/[?#]/g, encodeURIComponent);
}

function orProblem(act: () => string, problem: string): string {
  try {
    return act();
  } catch (error) {
    if (error instanceof URIError) throw new UrlProblem(problem);
    throw error;
  }
}

function normaliseBucket(scheme: Scheme, bucket: string, path: string): string {
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(bucket)) {
    throw new UrlProblem(
      `${scheme}:// is not followed by the name of a ${scheme === 'azure' ? 'container' : 'bucket'}`,
    );
  }
  if (path.includes('%')) throw new UrlProblem('its prefix is taken as it is written, so it cannot have a % in it');
  withoutEndSlash(path).split('/').slice(1).forEach(refuseOddName);
  return withoutEndSlash(`${scheme}://${bucket}${path}`);
}

function refuseOddName(name: string): void {
  if (name === '' || name === '.' || name === '..')
    throw new UrlProblem(`its path has an empty part, or one that is '.' or '..'`);
}

function withoutEndSlash(text: string): string {
  return text.endsWith('/') ? text.slice(0, -1) : text;
}
