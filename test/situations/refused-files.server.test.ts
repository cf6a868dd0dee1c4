import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';

import { contents, damage, objectKeys, objectPath, signingKeyIn, type Table } from '../harness/archiving.ts';
import { archiverStatistics, fillSegments, untilAllArchived, untilLogged } from '../harness/ledger.ts';
import { archiveOf, pastOf, startLife, type Life } from '../harness/past.ts';
import { makeScratch } from '../harness/scratch.ts';
import { serverUser, writeAsServer } from '../harness/server-user.ts';
import { situation } from '../harness/situations.ts';
import {
  expectBothSides,
  hintIn,
  pushAgain,
  setAside,
  startPromoted,
  untilArchivingGoesOn,
  untilRefused,
} from './refused.ts';

const MIB = 1024 * 1024;
const ZEROS = Buffer.alloc(MIB);
const UNKNOWN_MAGIC = 0xd1ff;

describe('files that are not what they should be, and the ways out', () => {
  situation(
    'a segment that is pushed again is taken once, and refused if it is another one by then',
    async (version) => {
      const past = await pastOf(version);
      const archive = archiveOf(past);
      await using life = await startLife(past, archive);
      const { server } = life;
      const [segment = ''] = await fillSegments(server, 1);
      await untilAllArchived(server);
      const before = contents(archive);
      pushAgain(server, segment);
      await untilArchivingGoesOn(server);
      expect((await archiverStatistics(server)).failed).toBe(0);
      expect(contents(archive)).toMatchObject(before);

      damage(walPath(life, segment));
      pushAgain(server, segment);
      await fillSegments(server, 1);
      const told = await untilRefused(server, segment, 73);
      expectBothSides(told, archive, segment);
      await setAside(life, segment);
      await untilArchivingGoesOn(server);
      expect(contents(archive)).toMatchObject(before);
    },
  );

  situation(
    'an object that was damaged in the archive; it is stored anew when it has been removed',
    async (version) => {
      const past = await pastOf(version);
      const archive = archiveOf(past);
      await using life = await startLife(past, archive);
      const { server } = life;
      const [segment = ''] = await fillSegments(server, 1);
      await untilAllArchived(server);
      damage(objectPath(archive, segment) ?? '');
      const before = contents(archive);
      pushAgain(server, segment);
      await fillSegments(server, 1);
      const told = await untilRefused(server, segment, 74);
      expect(told).toMatch(new RegExp(`wal-push: archive file://${archive} holds a corrupt object [^ ]*/${segment}: `));
      expect(hintIn(told)).toMatch(/remove it by hand, and the next attempt stores the file/);
      expect(contents(archive)).toMatchObject(before);

      rmSync(objectPath(archive, segment) ?? '');
      await untilArchivingGoesOn(server);
      await expectArchivedAs(life, segment);
    },
  );

  situation('a signature that is not trusted; the old key is listed, or a signed copy set aside', async (version) => {
    const past = await pastOf(version);
    const archive = archiveOf(past);
    await using life = await startLife(past, archive, { walseal: { signing: {} } });
    const { server } = life;
    const [unsigned = ''] = await fillSegments(server, 1);
    await untilAllArchived(server);
    const first = signingKeyIn(makeScratch('key', serverUser()));
    const second = signingKeyIn(makeScratch('key', serverUser()));
    const archives = [{ url: archive }];
    const signing = (key: { readonly file: string }, trusted: readonly string[]): { signing: Table } => ({
      signing: { key_file: key.file, trusted },
    });
    life.host.configure({ archives, ...signing(first, []) });
    const signed = await untilArchivingGoesOn(server);
    const before = contents(archive);

    life.host.configure({ archives, ...signing(second, []) });
    pushAgain(server, signed);
    await fillSegments(server, 1);
    let told = await untilRefused(server, signed, 73);
    expect(told).toMatch(/with this content, but no trusted key signed it: it is signed by [0-9a-f]{64} \(fingerprint/);
    expect(hintIn(told)).toMatch(/add its public key, [0-9a-f]{64}, to \[signing\] trusted/);
    life.host.configure({ archives, ...signing(second, [first.publicFile]) });
    await untilArchivingGoesOn(server);

    const from = server.log().length;
    pushAgain(server, unsigned);
    await fillSegments(server, 1);
    told = await untilRefused(server, unsigned, 73, from);
    expect(told).toContain('but no trusted key signed it: it is not signed (fingerprint');
    expect(hintIn(told)).toContain(`"walseal set-aside pg_wal/${unsigned}" keeps a signed copy under aside/`);
    await setAside(life, unsigned);
    await untilArchivingGoesOn(server);
    expect(contents(archive)).toMatchObject(before);
  });

  situation('zeros that an ended timeline left behind go aside by themselves', async (version) => {
    const past = await pastOf(version);
    const archive = archiveOf(past);
    await using life = await startPromoted(past, archive);
    const { server } = life;
    const [, behindTheFork = ''] = await fillSegments(server, 2);
    const leftover = `00000001${behindTheFork.slice(8)}`;
    writeAsServer(walPath(life, leftover), ZEROS);
    await fillSegments(server, 2);
    // A checkpoint marks what no recovery needs any more, and has no status yet.
    await server.query('CHECKPOINT');
    await untilLogged(server, `wal-push: ${leftover} went aside: timeline 1 ended at`);
    await untilArchivingGoesOn(server);
    expect((await archiverStatistics(server)).failed, server.log()).toBe(0);
    expect(objectPath(archive, leftover)).toBeUndefined();
    expect(objectKeys(archive).filter((key) => key.includes(`/aside/${leftover}.`))).toHaveLength(1);
  });

  situation('a page magic of a newer server is a warning, and the segment is archived as it is', async (version) => {
    const past = await pastOf(version);
    const archive = archiveOf(past);
    await using life = await startLife(past, archive, { settings: { archive_command: 'false' } });
    const { server, host } = life;
    const [segment = ''] = await fillSegments(server, 1);
    const bytes = readFileSync(walPath(life, segment));
    bytes.writeUInt16LE(UNKNOWN_MAGIC, 0);
    writeAsServer(walPath(life, segment), bytes);
    server.reload(host.archiving);
    await untilArchivingGoesOn(server);
    await untilLogged(
      server,
      `wal-push: ${segment}: page magic is D1FF, unknown to this program, which knows PostgreSQL 13 to`,
    );
    expect(server.log()).not.toMatch(/archive command failed with exit code [^1]/);
    await expectArchivedAs(life, segment);
  });
});

/** That the archive gives back what lies in pg_wal. */
async function expectArchivedAs(life: Life, segment: string): Promise<void> {
  const fetched = join(makeScratch('fetched', serverUser()), segment);
  const { dataDirectory } = life.server;
  const { status, stderr } = await life.host.run('wal-fetch', [segment, fetched], dataDirectory);
  expect(status, stderr).toBe(0);
  expect(readFileSync(fetched).equals(readFileSync(walPath(life, segment)))).toBe(true);
}

function walPath({ server }: Life, name: string): string {
  return join(server.dataDirectory, 'pg_wal', name);
}
