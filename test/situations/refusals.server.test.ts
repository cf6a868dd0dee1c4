import { readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';

import { contents, makeDirectory, objectKeys, objectPath } from '../harness/archiving.ts';
import { fillSegments, untilAllArchived, untilLogged, waiting } from '../harness/ledger.ts';
import { archiveOf, pastOf, startLife } from '../harness/past.ts';
import type { PostgresServer } from '../harness/postgres.ts';
import { makeScratch } from '../harness/scratch.ts';
import { serverUser } from '../harness/server-user.ts';
import { situation } from '../harness/situations.ts';
import {
  expectBothSides,
  recoverableElsewhere,
  expectRecoverable,
  startPromoted,
  expectUntouched,
  hintIn,
  ownUrl,
  setAside,
  snapshot,
  untilArchivingGoesOn,
  untilRefused,
} from './refused.ts';

describe('refused files, and the ways out', () => {
  situation(
    'a clone that archives to the same place; set-aside lets one file pass, a url of its own all',
    async (version) => {
      const past = await pastOf(version);
      const archive = archiveOf(past);
      await using production = await startLife(past, archive);
      const [first = '', second = ''] = await fillSegments(production.server, 3);
      await untilAllArchived(production.server);
      const before = contents(archive);

      await using clone = await startLife(past, archive);
      expect(await fillSegments(clone.server, 3)).toContain(second);
      const told = await untilRefused(clone.server, first, 73);
      expectBothSides(told, archive, first);
      expect(hintIn(told)).toMatch(
        /^Nothing was overwritten\. Most likely a copy of this cluster .* archives to the same place/,
      );
      expect(hintIn(told)).toContain(`"walseal set-aside pg_wal/${first}"`);

      const from = clone.server.log().length;
      await setAside(clone, first);
      await fillSegments(clone.server, 1);
      await untilLogged(clone.server, `wal-push: ${first} was set aside: file://${archive}`, from);
      await untilRefused(clone.server, second, 73, from);
      const own = ownUrl(clone);
      await untilArchivingGoesOn(clone.server);
      expect(objectPath(own, second)).toBeDefined();
      expectUntouched(archive, before);
      const aside = objectKeys(archive).filter((key) => key.includes('/aside/'));
      expect(aside).toEqual([expect.stringMatching(new RegExp(`/aside/${first}\\.[0-9a-f]{64}$`))]);
      await untilArchivingGoesOn(production.server);
    },
  );

  situation(
    'a clone that was faster; the original archives on when the files of the clone are out of the way',
    async (version) => {
      const past = await pastOf(version);
      const archive = archiveOf(past);
      const before = contents(archive);
      let ofClone: string[];
      {
        await using clone = await startLife(past, archive);
        await fillSegments(clone.server, 2);
        await untilAllArchived(clone.server);
        await clone.server.stop();
        ofClone = objectKeys(archive).filter((key) => before[key] === undefined);
      }
      await using original = await startLife(past, archive);
      const [first = ''] = await fillSegments(original.server, 2);
      const told = await untilRefused(original.server, first, 73);
      expectBothSides(told, archive, first);

      const away = makeDirectory(join(makeScratch('away', serverUser()), 'of-the-clone'));
      for (const key of ofClone) renameSync(join(archive, key), join(away, key.replaceAll('/', '-')));
      await untilArchivingGoesOn(original.server);
      expect(contents(archive)).toMatchObject(before);
      await expectRecoverable(original.server, original.host, past.backup);
    },
  );

  situation(
    'two copies promoted at the same place: one history, other segments; the second needs a url of its own',
    async (version) => {
      const past = await pastOf(version);
      const archive = archiveOf(past);
      await using heir = await startPromoted(past, archive);
      await fillSegments(heir.server, 2);
      await untilAllArchived(heir.server);
      const before = contents(archive);

      await using other = await startPromoted(past, archive);
      const [segment = ''] = await fillSegments(other.server, 2);
      const history = (server: PostgresServer): string =>
        readFileSync(join(server.dataDirectory, 'pg_wal/00000002.history'), 'utf8');
      expect(history(other.server)).toBe(history(heir.server));
      const told = await untilRefused(other.server, segment, 73);
      expectBothSides(told, archive, segment);
      expect(waiting(other.server)).not.toContain('00000002.history');
      expect(hintIn(told)).toContain(
        'push its history there by hand (wal-push pg_wal/00000002.history), and take a base',
      );

      await recoverableElsewhere(other, '00000002.history');
      expectUntouched(archive, before);
      await untilArchivingGoesOn(heir.server);
    },
  );

  situation(
    'a timeline number that is taken: nothing of the second timeline gets in; it needs a url of its own',
    async (version) => {
      const past = await pastOf(version);
      const archive = archiveOf(past);
      let later: string;
      {
        await using primary = await startLife(past, archive);
        await fillSegments(primary.server, 2);
        await untilAllArchived(primary.server);
        await primary.server.stop();
        later = snapshot(primary.server);
      }
      await using heir = await startPromoted(past, archive, later);
      await untilArchivingGoesOn(heir.server);
      const before = contents(archive);

      await using second = await startPromoted(past, archive);
      const [segment = ''] = await fillSegments(second.server, 2);
      const told = await untilRefused(second.server, '00000002.history', 73);
      expectBothSides(told, archive, '00000002.history');
      expect(hintIn(told)).toMatch(/two servers were promoted to timeline 2/);
      expect(hintIn(told)).toContain('base backup');
      expect(waiting(second.server)).toContain(segment);

      await recoverableElsewhere(second);
      expectUntouched(archive, before);
      await untilArchivingGoesOn(heir.server);
    },
  );

  situation('a server rolled back to a snapshot; it needs a url of its own, and a base backup', async (version) => {
    const past = await pastOf(version);
    const archive = archiveOf(past);
    {
      await using server = await startLife(past, archive);
      await fillSegments(server.server, 3);
      await untilAllArchived(server.server);
      await server.server.stop();
    }
    const before = contents(archive);
    await using back = await startLife(past, archive);
    const [first = ''] = await fillSegments(back.server, 1);
    const told = await untilRefused(back.server, first, 73);
    expectBothSides(told, archive, first);
    expect(hintIn(told)).toMatch(/rolled back to a snapshot.*url of its own.*base backup/);

    await recoverableElsewhere(back);
    expectUntouched(archive, before);
  });
});
