import { describe, expect, it } from 'vitest';

import type { Storage } from '../../../src/storage/storage.ts';
import { bodyOf, noise } from '../bodies.ts';
import { offered, readAll, type Capability, type InPlace } from './place.ts';

const WRITERS = 50;
const CONTENTS = [
  { what: 'different contents', contentOf: (writer: number) => noise(40_000 + writer, writer) },
  { what: 'the same content', contentOf: () => noise(40_000, 1) },
] as const;

/** Of any number of racing writers exactly one succeeds, and the others learn that they did not. */
export function describeRaces(at: InPlace, lacking: readonly Capability[]): void {
  describe.each(CONTENTS)('of 50 racing writers of $what', ({ contentOf }) => {
    it('exactly one wins, whole', async () => {
      await race(at, [at.storage, await at.place.another(), await at.place.another()], contentOf);
    });

    if (lacking.includes('apart')) return;
    it('in two processes exactly one wins, whole', async () => {
      const apart = await offered(at.place, 'apart');
      await race(at, [at.storage, apart], contentOf);
      apart.close();
    });
  });
}

async function race(at: InPlace, clients: readonly Storage[], contentOf: (writer: number) => Buffer): Promise<void> {
  // Every client has its connection, and has proven that it can write.
  await Promise.all(
    clients.map((client, index) => client.create(`1/wal/ready${index}`, bodyOf(noise(1, 1)), at.deadline)),
  );
  const results = await Promise.allSettled(
    Array.from({ length: WRITERS }, (_, writer) =>
      clientOf(clients, writer).create('1/wal/race', bodyOf(contentOf(writer), 4_096), at.deadline),
    ),
  );
  const winners = results.flatMap((result, writer) => (result.status === 'fulfilled' ? [writer] : []));
  const refusals: unknown[] = results.flatMap((result) =>
    result.status === 'rejected' ? [result.reason as unknown] : [],
  );
  expect(winners).toHaveLength(1);
  for (const reason of refusals) expect(reason).toMatchObject({ kind: 'exists' });
  const stored = await readAll(at.storage, '1/wal/race', at.deadline);
  expect(stored.equals(contentOf(winners[0] ?? -1))).toBe(true);
  expect(await at.place.leftovers()).toEqual([]);
}

function clientOf(clients: readonly Storage[], writer: number): Storage {
  const client = clients[writer % clients.length];
  if (client === undefined) throw new Error('no clients');
  return client;
}
