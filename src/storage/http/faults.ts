import { codeOf } from '../../exit.ts';
import { StorageError } from '../errors.ts';

const CERTIFICATE_HINT =
  "The store's certificate is not trusted: name its authority's file with ca_file, or correct the endpoint. A proxy that reads along looks just so.";

/** What the verification of a certificate says (X509_V_ERR_* of OpenSSL, and the check of the host's name). */
const CERTIFICATE_CODES: ReadonlySet<string> = new Set([
  'CERT_CHAIN_TOO_LONG',
  'CERT_HAS_EXPIRED',
  'CERT_NOT_YET_VALID',
  'CERT_REJECTED',
  'CERT_REVOKED',
  'CERT_SIGNATURE_FAILURE',
  'CERT_UNTRUSTED',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'ERR_TLS_CERT_ALTNAME_INVALID',
  'HOSTNAME_MISMATCH',
  'INVALID_CA',
  'INVALID_PURPOSE',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
]);

/**
 * What a request that has no answer, or half of one, ended with: always `unreachable`. Certificates are not tried
 * again; all else may be a passing trouble of a network. An error without a code is no network's, and is returned as it
 * is.
 */
export function networkFault(error: unknown, where: string): unknown {
  if (error instanceof StorageError) return error;
  const code = codeOf(error);
  if (code === undefined || !(error instanceof Error)) return error;
  if (CERTIFICATE_CODES.has(code)) {
    return new StorageError('unreachable', `no trusted connection to ${where}: ${code}`, {
      cause: error,
      hint: CERTIFICATE_HINT,
      retryable: false,
    });
  }
  return new StorageError('unreachable', `no answer from ${where}: ${code}`, { cause: error, ...HINTS[code] });
}

/** Where there is more to say than the code. Codes of system calls, of Node's TLS, HTTP parser and resolver. */
const HINTS: Readonly<Record<string, { hint: string }>> = {
  ECONNREFUSED: { hint: 'Nothing listens there: is the endpoint right, and the store up?' },
  ENOTFOUND: { hint: 'The name is not known here: is the endpoint or the region right, and the resolver up?' },
  EAI_AGAIN: { hint: 'The resolver of this machine does not answer.' },
  EPROTO: { hint: 'The other side does not speak TLS: is the endpoint https:// where http:// is meant?' },
  ERR_SSL_WRONG_VERSION_NUMBER: {
    hint: 'The other side does not speak TLS: is the endpoint https:// where http:// is meant?',
  },
};
