import { Failure } from '../exit.ts';
import type { Signer } from '../seal/ed25519.ts';
import {
  parseIdentities,
  parseRecipient,
  parseSigner,
  parseTrusted,
  type KeyFile,
  type OpenKeys,
  type SealKeys,
  type TrustedKeys,
} from '../seal/keys.ts';
import type { Settings } from '../settings/schema.ts';
import { readSmallFile } from '../settings/small-file.ts';

/** What a push needs: public keys, the signing key, and whose signature counts when an object exists already. */
export interface PushKeys extends SealKeys {
  readonly trusted: TrustedKeys | undefined;
  /** Why nothing new may be stored: this host demands signatures, and has no key to sign with. */
  readonly unsignable?: Failure;
}

/** Loads what a push needs. Errors: Failure `usage`, never with a secret in it. */
export async function loadPushKeys(settings: Settings): Promise<PushKeys> {
  const { encryption } = settings;
  const recipients = encryption.kind === 'age' ? encryption.recipients.map(parseRecipient) : [];
  const signer = await loadSigner(settings);
  const trusted = await loadTrusted(settings, signer);
  if (signer !== undefined) return { recipients, signer, trusted };
  return { recipients, trusted, ...(trusted && { unsignable: unsignable(settings) }) };
}

/** Loads what a fetch needs. That no identity is set is a failure only when an encrypted object is met. */
export async function loadOpenKeys(settings: Settings): Promise<OpenKeys> {
  const { encryption } = settings;
  const file = encryption.kind === 'age' ? encryption.identityFile : undefined;
  const identities = file === undefined ? [] : parseIdentities(await readKeyFile(file), file);
  // The host's own signing key is needed only where its signature would be asked for.
  const signer = settings.signing.trusted === undefined ? undefined : await loadSigner(settings);
  return { identities, trusted: await loadTrusted(settings, signer) };
}

/** The server may push a file again after a crash: refused then, it would block all archiving. */
function unsignable({ path }: Settings): Failure {
  return new Failure('usage', `${path} demands signatures (trusted in [signing]), and names no key_file to sign with`, {
    hint: 'What this host pushes, it would refuse itself. Give it a key_file ("walseal keygen" makes one), or remove trusted.',
  });
}

async function loadSigner({ signing }: Settings): Promise<Signer | undefined> {
  if (signing.keyFile === undefined) return undefined;
  return parseSigner(await readKeyFile(signing.keyFile), signing.keyFile);
}

async function loadTrusted({ signing }: Settings, own: Signer | undefined): Promise<TrustedKeys | undefined> {
  if (signing.trusted === undefined) return undefined;
  const files = signing.trusted.map(async (path): Promise<KeyFile> => ({ path, text: await readKeyFile(path) }));
  return parseTrusted(await Promise.all(files), own);
}

async function readKeyFile(path: string): Promise<string> {
  return (await readSmallFile(path, `key file ${path}`)).toString('utf8');
}
