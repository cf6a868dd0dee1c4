/**
 * How long the server asks us to wait: seconds, or a date (RFC 9110, 10.2.3). As options of a StorageError; none where
 * it asks for nothing that can be read.
 */
export function retryAfter(headers: Readonly<Record<string, string>>): { retryAfterMs?: number } {
  const value = headers['retry-after'];
  if (value === undefined) return {};
  const ms = /^\d+$/.test(value) ? Number(value) * 1_000 : Date.parse(value) - Date.now();
  return Number.isFinite(ms) ? { retryAfterMs: Math.max(0, ms) } : {};
}
