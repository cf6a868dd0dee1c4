/** wal-prune through its launcher: how the process ends, on Node and as the executable. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { once } from 'node:events';
import { join } from 'node:path';

import { describe, expect, test } from 'vitest';

import { builtDist } from '../harness/dist.ts';
import { waitFor } from '../harness/wait.ts';
import { Life } from '../retention/life.ts';
import { GOING, LEFT, PrunePlace, SEGMENT, threeBackups } from './prune-place.ts';

describe.each(['bin', 'dist'] as const)('%s', (launcher) => {
  test('plans with 0, deletes with 0, and then has nothing to do', async () => {
    const place = await PrunePlace.make(threeBackups().remains());
    const run = (...args: string[]) => place.cluster.run('wal-prune', args, { launcher, cwd: '/' });
    const plan = await run();
    expect(plan, plan.stderr).toMatchObject({ status: 0, stderr: '' });
    expect(plan.stdout).toContain(`${GOING} objects of`);
    expect(place.names()).toHaveLength(LEFT.length + GOING);
    const applied = await run('--apply');
    expect(applied, applied.stderr).toMatchObject({ status: 0, stderr: '' });
    expect(place.names()).toEqual(LEFT);
    expect(await run('--apply')).toMatchObject({
      status: 0,
      stderr: '',
      stdout: expect.stringMatching('nothing to delete\n$') as string,
    });
  });

  test('says 1 where no backup can be restored, 64 where settings are missing, and 0 for help alone', async () => {
    const remains = threeBackups().remains();
    const place = await PrunePlace.make({ ...remains, backups: remains.backups.slice(0, 1) });
    const run = (...args: string[]) => place.cluster.run('wal-prune', args, { launcher, cwd: '/' });
    place.settings({ backups: [] });
    expect(await run()).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('no base backup of system') as string,
    });
    expect(await run('--apply')).toMatchObject({ status: 64 });
    place.settings();
    expect(await run()).toMatchObject({ status: 0 });
    const broken = await PrunePlace.make({
      ...remains,
      objects: new Map(
        [...remains.objects].filter(([name]) => name.endsWith('.backup') || name > '000000010000000100000006'),
      ),
    });
    expect(await broken.cluster.run('wal-prune', [], { launcher, cwd: '/' })).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('none of 3 base backups can be restored') as string,
    });
    expect(await run('--config', '/nowhere')).toMatchObject({ status: 64 });
    expect(await run('--help')).toMatchObject({ status: 0, stdout: expect.stringContaining('Exit status:') as string });
    expect(await run('--apply', '--help')).toMatchObject({ status: 64 });
  });

  test('`walseal prune` ends with plain 0 and 64', async () => {
    const place = await PrunePlace.make(threeBackups().remains());
    expect(await place.cluster.run('walseal', ['prune', '--apply'], { launcher, cwd: '/' })).toMatchObject({
      status: 0,
    });
    expect(place.names()).toEqual(LEFT);
    expect(await place.cluster.run('walseal', ['prune', '--config', '/nowhere'], { launcher, cwd: '/' })).toMatchObject(
      { status: 64 },
    );
  });
});

test.each(['SIGTERM', 'SIGINT'] as const)(
  '%s to the program ends it between two batches, with what it did, and 1',
  async (signal) => {
    const life = new Life(1);
    life.write(0, 12_000n * SEGMENT);
    life.wait(240);
    life.backup(0, { bytes: SEGMENT, from: 'primary', brings: false });
    const place = await PrunePlace.make(life.remains());
    const total = place.names().length;
    const child = spawn(join(await builtDist(), 'walseal'), ['prune', '--apply'], {
      cwd: '/',
      env: { PATH: '/usr/bin:/bin', WALSEAL_CONFIG: place.cluster.config },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let said = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => (said += text));
    await waitFor('the first batch', () => !existsSync(place.cluster.objectPath('0000000100000000000000FA')));
    child.kill(signal);
    const [status] = (await once(child, 'close')) as [number | null];
    expect(status, said).toBe(1);
    const [, deleted] = /: (\d+) objects of \S+ \S+ deleted; \d+ objects of/.exec(said) ?? [];
    expect(said).toContain('interrupted: ');
    expect(Number(deleted) % 1000).toBe(0);
    expect(place.names()).toHaveLength(total - Number(deleted));
  },
);
