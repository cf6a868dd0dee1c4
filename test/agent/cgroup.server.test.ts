import { describe, expect, test } from 'vitest';

import { agentsOf, untilGone } from '../harness/agents.ts';
import { archiverStatistics, fillSegments, untilAllArchived } from '../harness/ledger.ts';
import { MemoryGroup } from '../harness/memory-group.ts';
import { openPlace, untilListening, withAgent } from './place.ts';

const MIB = 1024 ** 2;
/** Four times what the agent may take up: 64 MB of files, and 100 MB for itself. */
const WANTED = 4 * (64 + 100) * MIB;
/** More than the server and what is around it need: what is free is all that counts. */
const OTHERS = 1024 * MIB;

const isPossible = ((): boolean => {
  using group = MemoryGroup.make(WANTED);
  return group !== undefined;
})();

describe.runIf(isPossible)('a server in a control group', () => {
  test.each([
    ['that it sees from outside', (group: MemoryGroup) => group.within()],
    ['that is the root of what it sees, as in a container', (group: MemoryGroup) => group.withinContainer()],
  ])('%s: near the limit no agent is started, and one is where there is room', async (_what, wordsFor) => {
    using group = MemoryGroup.make(WANTED - MIB);
    if (group === undefined) throw new Error('there was one before');
    await using place = await openPlace(0, { agent: { memory: '64MB' }, within: wordsFor(group) });
    const { server, host } = place;
    server.reload({ archive_mode: 'on', archive_command: host.archiveCommand });
    await fillSegments(server, 12);
    await untilAllArchived(server);
    // One that was started would stay for a minute.
    expect(agentsOf(server.dataDirectory)).toEqual([]);

    group.limit = WANTED + OTHERS;
    const agent = await withAgent(place);
    await untilAllArchived(server);
    expect(await untilListening(server.dataDirectory)).toBe(agent);
    expect((await archiverStatistics(server)).failed).toBe(0);
    await server.stop();
    await untilGone(agent);
  });
});
