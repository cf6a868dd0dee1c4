/**
 * What test/seal/runtimes.server.test.ts has bun do, in a directory that it prepared: the same work under the runtime of
 * the executable, with the results as JSON on stdout.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { chacha } from '#chacha';

import { generateSigningKey, parseIdentities, parseSigner } from '../../src/seal/keys.ts';
import { seal } from '../../src/seal/seal.ts';
import { unseal } from '../../src/seal/unseal.ts';
import { newFrameDecoder, newFrameEncoder } from '../../src/seal/zstd-handle.ts';
import { parseSystemId } from '../../src/wal/control.ts';
import { parseWalName } from '../../src/wal/name.ts';
import { aeadDigests, type RuntimeReport } from './runtime-report.ts';
import { inPieces, readVectors, tryVector } from './vectors.ts';

async function main(directory: string): Promise<void> {
  const identities = parseIdentities(readFileSync(join(directory, 'identity.txt'), 'utf8'), 'identity.txt');
  const recipients = identities.map((identity) => identity.recipient);
  const signer = parseSigner(generateSigningKey().privatePem, 'a new key');
  const name = parseWalName('000000010000000000000001');
  const systemId = parseSystemId('7390012345678901234');
  if (name === undefined || systemId === undefined) throw new Error('a name or an identifier is none');
  const opened: Record<string, string> = {};
  for (const file of readdirSync(directory)) {
    const path = join(directory, file);
    const bytes = readFileSync(path);
    if (file.endsWith('.content')) {
      for (const [kind, keys] of [
        ['age', { recipients, signer }],
        ['plain', { recipients: [] }],
      ] as const) {
        const input = { name, systemId, nonce: Buffer.alloc(32), path, length: bytes.length, level: 3 };
        const sealed = await seal(input, keys);
        const parts: Uint8Array[] = [];
        for await (const part of sealed.body.open()) parts.push(part);
        await sealed.verifyCopy(inPieces(Buffer.concat(parts), 50_000));
        writeFileSync(`${path}.${kind}.by-bun`, Buffer.concat(parts));
      }
    } else if (file.endsWith('.by-node')) {
      const hash = createHash('sha256');
      const write = (part: Uint8Array): void => void hash.update(part);
      await unseal(inPieces(bytes, 50_000), { name, systemId }, { identities, trusted: undefined }, write);
      opened[file] = hash.digest('hex');
    }
  }
  const vectors = [];
  for (const vector of readVectors()) vectors.push(await tryVector(vector));
  const report: RuntimeReport = {
    aead: await aeadDigests(chacha),
    vectors,
    reusesBuffers: newFrameDecoder() !== undefined && newFrameEncoder({ level: 3, size: 0 }) !== undefined,
    opened,
  };
  writeFileSync(join(directory, 'report.json'), JSON.stringify(report));
}

await main(process.argv[2] ?? '');
