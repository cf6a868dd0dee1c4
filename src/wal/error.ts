/** Text or bytes that are not what PostgreSQL writes. The message is a lower-case fact that holds what was found. */
export class WalFormatError extends Error {
  override readonly name = 'WalFormatError';
}
