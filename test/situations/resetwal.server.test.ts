import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';

import { contents, objectKeys } from '../harness/archiving.ts';
import { fillSegments, logged, takeBackup, untilAllArchived } from '../harness/ledger.ts';
import { archiveOf, pastOf, startLife } from '../harness/past.ts';
import { pgResetwal, resetwalVersions } from '../harness/pg-clients.ts';
import type { PostgresServer } from '../harness/postgres.ts';
import { situation } from '../harness/situations.ts';
import {
  expectBothSides,
  expectRecoverable,
  hintIn,
  recoverableElsewhere,
  untilArchivingGoesOn,
  untilRefused,
} from './refused.ts';

const SEGMENT = /^[0-9A-F]{24}$/;

const ALL = resetwalVersions();
/** There is no pg_resetwal to be had for other versions; where time is short, the outermost stand for those between. */
const SEEN =
  process.env['WALSEAL_TEST_VERSIONS'] === 'all' ? ALL : ALL.filter((version) => version === ALL[0] || version === 18);

describe('pg_resetwal, and the ways out', () => {
  for (const version of SEEN) {
    const only = { from: version, to: version };

    situation(
      '-f after a crash: names go on behind those that are taken, and nothing is refused',
      async () => {
        const past = await pastOf(version);
        const archive = archiveOf(past);
        await using life = await startLife(past, archive);
        const { server, host } = life;
        await fillSegments(server, 2);
        await untilAllArchived(server);
        const before = contents(archive);
        await crash(server);
        await pgResetwal(version, server.dataDirectory, ['-f']);
        await server.start();
        await untilArchivingGoesOn(server);
        await expectRecoverable(server, host, await takeBackup(server));
        expect(logged(server, 'archive command failed'), server.log()).toBe(false);
        expect(contents(archive)).toMatchObject(before);
      },
      only,
    );

    situation(
      '-f with an empty pg_wal: names are used again and refused; -l behind the newest object is a way out',
      async () => {
        const past = await pastOf(version);
        const archive = archiveOf(past);
        await using life = await startLife(past, archive);
        const { server, host } = life;
        const [taken = '', ...others] = await fillSegments(server, 4);
        await untilAllArchived(server);
        const before = contents(archive);
        await crash(server);
        emptyPgWal(server);
        await pgResetwal(version, server.dataDirectory, ['-f']);
        await server.start();
        const written = await fillSegments(server, 2);
        const refused = written.find((name) => name === taken || others.includes(name)) ?? '';
        const told = await untilRefused(server, refused, 73);
        expectBothSides(told, archive, refused);
        expect(hintIn(told)).toMatch(/pg_resetwal was run.*url of its own.*base backup/);
        expect(contents(archive)).toMatchObject(before);

        await server.stop();
        const newest =
          objectKeys(archive)
            .flatMap((key) => key.split('/').at(-1) ?? [])
            .filter((name) => SEGMENT.test(name))
            .sort()
            .at(-1) ?? '';
        await pgResetwal(version, server.dataDirectory, ['-l', next(newest)]);
        await server.start();
        const from = server.log().length;
        await untilArchivingGoesOn(server);
        await expectRecoverable(server, host, await takeBackup(server));
        expect(logged(server, 'archive command failed', from), server.log()).toBe(false);
        expect(contents(archive)).toMatchObject(before);
      },
      only,
    );

    situation(
      '--wal-segsize: names are used again at another size and refused; a url of its own is the way out',
      async () => {
        const past = await pastOf(version);
        const archive = archiveOf(past);
        await using life = await startLife(past, archive);
        const { server } = life;
        await fillSegments(server, 2);
        await untilAllArchived(server);
        await server.stop();
        const before = contents(archive);
        await pgResetwal(version, server.dataDirectory, ['--wal-segsize=2']);
        await server.start();
        const written = await fillSegments(server, 6);
        const refused = written.find((name) => Object.keys(before).some((key) => key.endsWith(`/${name}`))) ?? '';
        const told = await untilRefused(server, refused, 73);
        expectBothSides(told, archive, refused);
        expect(told).toContain('2097152 bytes, modified');
        expect(hintIn(told)).toMatch(/pg_resetwal was run.*url of its own.*base backup/);
        expect(contents(archive)).toMatchObject(before);
        await recoverableElsewhere(life);
        expect(contents(archive)).toMatchObject(before);
      },
      only,
    );
  }
});

/** Ends it, and the lock file too, as pg_resetwal asks for. */
async function crash(server: PostgresServer): Promise<void> {
  await server.kill();
  rmSync(join(server.dataDirectory, 'postmaster.pid'));
}

/** What somebody does whose disk is full. */
function emptyPgWal({ dataDirectory }: PostgresServer): void {
  const directory = join(dataDirectory, 'pg_wal');
  for (const name of readdirSync(directory).filter((one) => SEGMENT.test(one))) rmSync(join(directory, name));
}

/** The name behind a segment of 1 MB, of the first 4 GB. */
function next(name: string): string {
  return name.slice(0, 16) + (Number.parseInt(name.slice(16), 16) + 1).toString(16).toUpperCase().padStart(8, '0');
}
