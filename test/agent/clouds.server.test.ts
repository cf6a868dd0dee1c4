import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

import { agentsOf, socketOf } from '../harness/agents.ts';
import { archiverStatistics, fillSegments, untilAllArchived } from '../harness/ledger.ts';
import { needStore } from '../harness/need.ts';
import { CLOUDS, makeCloudArchive, type Cloud } from '../harness/stores/archives.ts';
import { openPlace, withAgent } from './place.ts';

/** Their clients change what they find: the environment, above all, by which an agent is known. */
const CLOUD_NAMES: readonly Cloud[] = ['s3', 'azure', 'gs'];

for (const cloud of CLOUD_NAMES) {
  test.runIf(!needStore(CLOUDS[cloud]))(`${cloud}: the agent that is started is the one that is used`, async () => {
    const archive = await makeCloudArchive(cloud);
    await using place = await openPlace(0, { archives: [archive.table], env: archive.env });
    const { server } = place;
    const agent = await withAgent(place, 20);
    const log = `${socketOf(agent) ?? ''}.log`;
    await untilAllArchived(server);
    const later = await fillSegments(server, 3);
    await untilAllArchived(server);
    expect(agentsOf(server.dataDirectory)).toEqual([agent]);
    expect(readFileSync(log, 'utf8').replaceAll('walseal: ends: there is an agent already\n', '')).toBe('');
    expect((await archiverStatistics(server)).failed).toBe(0);
    const names = (await archive.eye.keys(archive.bucket)).map((key) => key.slice(key.lastIndexOf('/') + 1));
    expect(names).toEqual(expect.arrayContaining(later));
  });
}
