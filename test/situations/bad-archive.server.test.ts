import { copyFileSync, existsSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';

import { damage, Host, makeDirectory, objectPath, signingKeyIn, type HostOptions } from '../harness/archiving.ts';
import { leftoversIn } from '../harness/failures.ts';
import { startCopy, summary, untilOpen, untilStopped, type Summary } from '../harness/ledger.ts';
import { archiveOf, pastOf, type Past } from '../harness/past.ts';
import type { PostgresServer } from '../harness/postgres.ts';
import { makeScratch } from '../harness/scratch.ts';
import { serverUser } from '../harness/server-user.ts';
import { situation } from '../harness/situations.ts';

describe('recovering from an archive that is not what it should be', () => {
  situation('a wrong prefix opens no empty history, alone or beside the right archive', async (version) => {
    const past = await pastOf(version);
    const url = makeDirectory(join(makeScratch('wrong', serverUser()), 'prefix'));
    await using alone = await stops(past, { archives: [{ url }] }, 201);
    expect(alone.log()).toMatch(/holds nothing of system \d+/);
    expect(alone.log()).toContain('A wrong URL or prefix');
    await using beside = await stops(past, { archives: [{ url: archiveOf(past) }, { url }] }, 201);
    expect(beside.log()).toContain(`archive file://${url} holds nothing of system`);
  });

  situation('with on_gap = "end" it opens before a gap, and says what that costs', async (version) => {
    const past = await pastOf(version);
    const url = archiveOf(past);
    rmSync(objectPath(url, middleOf(past)) ?? '');
    const { held, log } = await opens(past, { archives: [{ url }], fetch: { on_gap: 'end' } });
    expect(held.rows).toBeGreaterThan(0);
    expect(held.rows).toBeLessThan(past.held.rows);
    expect(log).toContain(`${middleOf(past)} is in no archive`);
    expect(log).toContain('on_gap = "end" accepts the loss');
  });

  situation('the real file in pg_wal closes a gap; an old segment under its name does not', async (version) => {
    const past = await pastOf(version);
    const url = archiveOf(past);
    const middle = middleOf(past);
    rmSync(objectPath(url, middle) ?? '');
    const inPgWal = (name: string): string => join(past.dataDirectory, 'pg_wal', name);

    const { held, log } = await opens(past, { archives: [{ url }] }, { [middle]: inPgWal(middle) });
    expect(held).toEqual(past.held);
    expect(log).toContain('the server has the file in pg_wal');
    const [older = ''] = past.segments;
    await using stale = await stops(past, { archives: [{ url }] }, 207, { [middle]: inPgWal(older) });
    expect(stale.log()).toContain(`pg_wal/${middle} is not that file`);
  });

  situation('what is corrupt in one archive is taken from the next, with a warning', async (version) => {
    const past = await pastOf(version);
    const [url, second] = [archiveOf(past), archiveOf(past)];
    damage(objectPath(url, middleOf(past)) ?? '');
    const { held, log } = await opens(past, { archives: [{ url }, { url: second }] });
    expect(held).toEqual(past.held);
    expect(log).toContain(`taken from archive file://${second}`);
  });

  situation('an object under the wrong name is refused', async (version) => {
    const past = await pastOf(version);
    const url = archiveOf(past);
    const [other = ''] = past.segments;
    copyFileSync(objectPath(url, other) ?? '', objectPath(url, middleOf(past)) ?? '');
    await using server = await stops(past, { archives: [{ url }] }, 204);
    expect(server.log()).toContain(`label names ${other}, expected was ${middleOf(past)}`);
  });

  situation(
    'an object that a stranger sealed for us is refused, and taken where that key is trusted',
    async (version) => {
      const past = await pastOf(version);
      const { site } = past;
      const middle = middleOf(past);
      const key = signingKeyIn(makeScratch('stranger', serverUser()));
      const strange = makeDirectory(join(makeScratch('strange', serverUser()), 'archive'));
      const stranger = await Host.make(site, { archives: [{ url: strange }], signing: { key_file: key.file } });
      const pushed = await stranger.run('wal-push', [`pg_wal/${middle}`], past.dataDirectory);
      expect(pushed.status, pushed.stderr).toBe(0);

      const url = archiveOf(past);
      renameSync(objectPath(strange, middle) ?? '', objectPath(url, middle) ?? '');
      await using server = await stops(past, { archives: [{ url }] }, 204);
      expect(server.log()).toMatch(/wal-fetch: .*it is signed by [0-9a-f]{64}, which is not trusted/);
      const signing = { key_file: site.signingKeyFile, trusted: [key.publicFile] };
      expect((await opens(past, { archives: [{ url }], signing })).held).toEqual(past.held);
    },
  );
});

function middleOf({ segments }: Past): string {
  return segments[Math.floor(segments.length / 2)] ?? '';
}

type InPgWal = Readonly<Record<string, string>>;

/** A recovery that does not open, and leaves no half-fetched file. */
async function stops(past: Past, options: HostOptions, status: number, inPgWal: InPgWal = {}): Promise<PostgresServer> {
  const { restoring: settings, env } = await Host.make(past.site, options);
  const starting = { signal: 'recovery', settings, env, inPgWal, waitUntilReady: false } as const;
  const server = await startCopy(past.backup, starting);
  await untilStopped(server);
  expect(server.log()).toContain(`child process exited with exit code ${status}`);
  expect(server.log()).not.toContain('archive recovery complete');
  expect(existsSync(join(server.dataDirectory, 'recovery.signal'))).toBe(true);
  expect(leftoversIn(server.dataDirectory)).toEqual([]);
  return server;
}

async function opens(
  past: Past,
  options: HostOptions,
  inPgWal: InPgWal = {},
): Promise<{ readonly log: string; readonly held: Summary }> {
  const { restoring: settings, env } = await Host.make(past.site, options);
  await using server = await startCopy(past.backup, { signal: 'recovery', settings, env, inPgWal });
  await untilOpen(server);
  return { log: server.log(), held: await summary(server) };
}
