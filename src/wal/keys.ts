import { parseSystemId, type SystemId } from './control.ts';
import { parseWalName, type WalName } from './name.ts';

/** What an object's key says about it. */
export type ParsedKey =
  | { readonly place: 'wal'; readonly system: SystemId; readonly name: WalName }
  | { readonly place: 'aside'; readonly system: SystemId; readonly name: WalName; readonly fingerprint: string };

const KEY = /^([0-9]+)\/(?:wal\/(?:([0-9A-F]{16})\/)?([^/]+)|aside\/([^/]+)\.([0-9a-f]{64}))$/;
const FINGERPRINT = /^[0-9a-f]{64}$/;
/** Timeline and second part: one directory for 4 GiB of WAL. */
const DIRECTORY_CHARS = 16;

/** The key of a WAL file in an archive. It depends on nothing but the cluster and the name. */
export function objectKey(system: SystemId, name: WalName): string {
  const directory = name.kind === 'history' ? '' : `${name.name.slice(0, DIRECTORY_CHARS)}/`;
  return `${walPrefix(system)}${directory}${name.name}`;
}

/** The key of a file whose place is taken by another. `fingerprintHex`: 64 lower-case digits. */
export function asideKey(system: SystemId, name: WalName, fingerprintHex: string): string {
  if (!FINGERPRINT.test(fingerprintHex)) throw new TypeError('a fingerprint has 64 lower-case hex digits');
  return `${systemPrefix(system)}aside/${name.name}.${fingerprintHex}`;
}

/** What the keys of a cluster start with. */
export function systemPrefix(system: SystemId): string {
  return `${system}/`;
}

/** What the keys of a cluster's WAL start with. */
export function walPrefix(system: SystemId): string {
  return `${systemPrefix(system)}wal/`;
}

/** Reads a key back; undefined where it is none that we would write. */
export function parseKey(key: string): ParsedKey | undefined {
  const [, digits, , plain, aside, fingerprint] = KEY.exec(key) ?? [];
  const system = parseSystemId(digits ?? '');
  const name = parseWalName(plain ?? aside ?? '');
  if (system === undefined || name === undefined) return undefined;
  if (fingerprint !== undefined) return { place: 'aside', system, name, fingerprint };
  return objectKey(system, name) === key ? { place: 'wal', system, name } : undefined;
}
