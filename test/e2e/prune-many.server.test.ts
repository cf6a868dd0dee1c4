import { expect, test } from 'vitest';

import { needStore } from '../harness/need.ts';
import { deletions, makeMany, segmentName } from './prune-many.ts';

const COUNT = 3_500;
const KEPT = [segmentName(COUNT + 1), segmentName(COUNT + 2)];
const REFUSAL = '<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>Access Denied.</Message></Error>';

test.skipIf(needStore('minio'))(
  'a thousand objects go with one request; where the store stops, what is left is shorter and has no hole',
  async () => {
    await using many = await makeMany(COUNT);
    const { host, relay } = many;
    let seen = 0;
    relay.misbehave(
      { do: 'answer', answer: { status: 403, headers: { 'content-type': 'application/xml' }, body: REFUSAL } },
      { when: ({ path }) => /[?&]delete\b/.test(path) && (seen += 1) === 3 },
    );
    expect(await host.run('wal-prune', ['--apply'])).toMatchObject({ status: 77 });
    const left = Array.from({ length: COUNT - 2_000 }, (_, index) => segmentName(2_001 + index));
    expect(await many.names()).toEqual([...left, ...KEPT]);

    relay.behave();
    relay.requests.length = 0;
    expect(await host.run('wal-prune', ['--apply'])).toMatchObject({ status: 0 });
    expect(await many.names()).toEqual(KEPT);
    expect(deletions(many)).toBe(2);
  },
);
