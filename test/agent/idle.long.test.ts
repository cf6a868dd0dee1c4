import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

import { socketOf, untilGone } from '../harness/agents.ts';
import { untilAllArchived } from '../harness/ledger.ts';
import { openPlace, withAgent } from './place.ts';

test('an agent goes by itself after a minute without work', async () => {
  await using place = await openPlace(0);
  const { server } = place;
  const agent = await withAgent(place);
  const log = `${socketOf(agent) ?? ''}.log`;
  await untilAllArchived(server);
  await untilGone(agent, 120_000);
  expect(readFileSync(log, 'utf8')).toContain('walseal: ends: nothing to do\n');
  expect(server.pid).toBeDefined();
});
