import { WalFormatError } from './error.ts';

declare const lsnBrand: unique symbol;

/** A position in the WAL: a byte address of 64 bits (XLogRecPtr in xlogdefs.h). */
export type Lsn = bigint & { readonly [lsnBrand]: true };

const LSN = /^([0-9A-Fa-f]{1,8})\/([0-9A-Fa-f]{1,8})$/;
const LOW_BITS = 32n;
const LOW_MASK = 0xffff_ffffn;
const LARGEST = 0xffff_ffff_ffff_ffffn;

/** Reads `16/B374D848`, as pg_lsn_in does: up to eight hex digits of either case on each side. Errors: WalFormatError. */
export function parseLsn(text: string): Lsn {
  const [, high, low] = LSN.exec(text) ?? [];
  if (high === undefined || low === undefined) throw new WalFormatError(`"${text}" is not an LSN`);
  return toLsn((BigInt(`0x${high}`) << LOW_BITS) | BigInt(`0x${low}`));
}

/** Writes an LSN as PostgreSQL 13 to 18 do: `%X/%X`. */
export function formatLsn(lsn: Lsn): string {
  return `${hex(lsn >> LOW_BITS)}/${hex(lsn & LOW_MASK)}`;
}

/** Takes a number for an LSN. Errors: WalFormatError where it has no place in 64 bits. */
export function toLsn(value: bigint): Lsn {
  if (!isLsn(value)) throw new WalFormatError(`${value} is not an LSN: it does not fit 64 bits`);
  return value;
}

function isLsn(value: bigint): value is Lsn {
  return value >= 0n && value <= LARGEST;
}

function hex(value: bigint): string {
  return value.toString(16).toUpperCase();
}
