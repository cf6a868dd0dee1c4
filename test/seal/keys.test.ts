import { generateKeyPairSync } from 'node:crypto';
import { inspect as show } from 'node:util';

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { decodeBech32, encodeBech32 } from '../../src/seal/bech32.ts';
import { Failure } from '../../src/exit.ts';
import {
  generateIdentity,
  generateSigningKey,
  parseIdentities,
  parseRecipient,
  parseSigner,
  parseTrusted,
} from '../../src/seal/keys.ts';

function usage(act: () => unknown): Failure {
  try {
    act();
  } catch (error) {
    if (error instanceof Failure && error.kind === 'usage') return error;
    throw error;
  }
  throw new Error('nothing was wrong');
}

describe('bech32', () => {
  test('gives every byte string back, in either case', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.constantFrom('age', 'AGE-SECRET-KEY-'), (bytes, prefix) => {
        expect(decodeBech32(prefix, encodeBech32(prefix, bytes))).toEqual(bytes);
      }),
    );
  });

  test('notices any one wrong character', () => {
    const { recipient } = generateIdentity();
    for (let at = 0; at < recipient.length; at += 1) {
      const wrong = recipient.slice(0, at) + (recipient[at] === 'q' ? 'p' : 'q') + recipient.slice(at + 1);
      expect(typeof decodeBech32('age', wrong)).toBe('string');
    }
  });
});

describe('a recipient', () => {
  const { recipient, identity } = generateIdentity();

  test('is read as it was written', () => {
    expect(parseRecipient(recipient).text).toBe(recipient);
  });

  test.each([
    ['upper case', recipient.toUpperCase(), 'does not start with age1'],
    ['mixed case', `A${recipient.slice(1)}`, 'mixes upper and lower case'],
    ['one character short', recipient.slice(0, -1), 'checksum'],
    ['31 bytes', encodeBech32('age', new Uint8Array(31)), 'holds 31 bytes'],
    ['33 bytes', encodeBech32('age', new Uint8Array(33)), 'holds 33 bytes'],
    ['a space', `${recipient} `, 'does not belong to bech32'],
    ['an ssh key', 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5', 'mixes upper and lower case'],
    ['nothing', '', 'does not start with age1'],
  ])('is refused: %s', (_, text, fact) => {
    expect(usage(() => parseRecipient(text)).message).toContain(fact);
  });

  test('that is a secret key is refused without being shown', () => {
    for (const text of [identity, identity.toLowerCase()]) {
      const failure = usage(() => parseRecipient(text));
      expect(failure.message + failure.hint).not.toContain(text.slice(16, 40));
    }
  });
});

describe('an identity file', () => {
  const [one, other] = [generateIdentity(), generateIdentity()];

  test('is read as age-keygen writes it, with several identities', () => {
    const text = `# created: 2024-01-01\r\n# public key: ${one.recipient}\n${one.identity}\r\n\n  ${other.identity}  \n`;
    const identities = parseIdentities(text, 'a test');
    expect(identities.map((identity) => identity.recipient.text)).toEqual([one.recipient, other.recipient]);
  });

  test.each([
    ['nothing', '# only a comment\n', 'holds no age identity'],
    ['a recipient', one.recipient, 'line 1 of keys.txt'],
    [
      'a changed line',
      `\n${one.identity.slice(0, -1)}`,
      'line 2 of keys.txt is not an age identity: its checksum is wrong',
    ],
    ['a lower-case line', one.identity.toLowerCase(), 'does not start with AGE-SECRET-KEY-1'],
  ])('is refused, and its lines are not shown: %s', (_, text, fact) => {
    const failure = usage(() => parseIdentities(text, 'keys.txt'));
    expect(failure.message).toContain(fact);
    expect(failure.message + failure.hint).not.toContain(one.identity.slice(16, 40));
  });

  test('does not show its secret by accident', () => {
    const shown = show(parseIdentities(one.identity, 'a test'), { depth: 9, showHidden: true });
    expect(shown).toContain(one.recipient);
    expect(shown).not.toContain(one.identity.slice(16, 40));
  });
});

describe('signing keys', () => {
  const { privatePem, publicPem } = generateSigningKey();
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const ed25519 = generateKeyPairSync('ed25519');
  const spki = { format: 'pem', type: 'spki' } as const;
  const pkcs8 = { format: 'pem', type: 'pkcs8' } as const;

  test('are a pair', () => {
    const signer = parseSigner(privatePem, 'a test');
    expect([...parseTrusted([{ text: publicPem, path: 'a test' }])]).toEqual([signer.publicKey]);
  });

  test('always have the host itself among the trusted', () => {
    const signer = parseSigner(privatePem, 'a test');
    expect(parseTrusted([], signer).has(signer.publicKey)).toBe(true);
    const listed = parseTrusted([{ text: ed25519.publicKey.export(spki).toString(), path: 'a test' }], signer);
    expect(listed.size).toBe(2);
  });

  test.each([
    ['an RSA key', rsa.privateKey.export(pkcs8).toString(), 'it holds a key of type rsa, not Ed25519'],
    ['the public half', publicPem, 'it holds a public key, a private one is needed'],
    [
      'a passphrase',
      ed25519.privateKey.export({ ...pkcs8, cipher: 'aes-256-cbc', passphrase: 'x' }).toString(),
      'passphrase',
    ],
    ['no PEM', 'hello', 'it holds no PEM block'],
    ['a cut PEM', privatePem.replace(/\n.{20}/, '\n'), 'cannot be read'],
  ])('that sign are refused: %s', (_, text, fact) => {
    expect(usage(() => parseSigner(text, 'signing.pem')).message).toContain(fact);
  });

  test.each([
    ['an RSA key', rsa.publicKey.export(spki).toString(), 'it holds a key of type rsa, not Ed25519'],
    ['the private half', privatePem, 'it holds a private key'],
    ['no PEM', 'hello', 'it holds no PEM block'],
  ])('that are trusted are refused: %s', (_, text, fact) => {
    const failure = usage(() => parseTrusted([{ text, path: 'host.pem' }]));
    expect(failure.message).toContain(fact);
  });
});
