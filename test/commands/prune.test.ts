/** What wal-prune says, and what it does where all is well. */
import { cpSync, mkdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, test } from 'vitest';

import { Life } from '../retention/life.ts';
import { call } from './in-process.ts';
import { GOING, LEFT, PrunePlace, SEGMENT, threeBackups, TOP } from './prune-place.ts';

async function place(): Promise<PrunePlace> {
  return PrunePlace.make(threeBackups().remains());
}

describe('without --apply', () => {
  test('tells in tables what becomes of each backup and of the WAL, and deletes nothing', async () => {
    const there = await place();
    const before = there.cluster.state();
    const said = await there.prune();
    expect(said).toMatchObject({ status: 0, failure: '', warnings: '' });
    for (const line of [
      /^archive file:\/\/\S+: system 7311111111111111111, segments of 16 MB$/m,
      /^ {2}ENDED +LABEL +KIND +TIMELINE +START +STOP +RECOVERY UP TO +BECOMES$/m,
      /primary 1 +full +1 +0\/FA00008C +0\/FB000154 +1\/9000000 on 1, \S+ +given up, lost$/m,
      /primary 3 +full +1 +1\/400008C +1\/5000154 +1\/9000000 on 1, \S+ +kept$/m,
      /^ +1\/B000000 on 2, \S+Z$/m,
      /backups\/3: kept: the newest full backup that leads to timeline 1; the newest full backup that leads to timeline 2$/m,
      /^ +1 +0000000100000000000000FA +000000010000000100000003 +12 +\S+ kB +needed by none: /m,
      /^ +2 +000000020000000100000009 +00000002000000010000000A +2 +2 kB +needed by kept backup \S+\/3$/m,
      /^12 objects of \S+ kB would go; nothing was deleted: --apply does it$/m,
    ]) {
      expect(said.out).toMatch(line);
    }
    expect(there.cluster.state()).toEqual(before);
  });

  test('tells backups of one label apart by so much of their paths as it takes', async () => {
    const remains = threeBackups().remains();
    const [first, second, third] = remains.backups;
    if (first === undefined || second === undefined || third === undefined) throw new Error('there are three backups');
    const label = 'pg_basebackup base backup';
    const there = await PrunePlace.make({ ...remains, backups: [third] });
    there.putBackup({ ...first, label, path: 'one' });
    there.putBackup({ ...second, label, path: 'two' });
    const { out } = await there.prune();
    expect(out).toMatch(/^ {2}ENDED +LABEL +PATH +KIND +TIMELINE /m);
    expect(out).toMatch(/Z +pg_basebackup base backup +one +full +1 .* given up, lost$/m);
    expect(out).toMatch(/Z +pg_basebackup base backup +two +full +1 .* given up, lost$/m);
    expect(out).toMatch(/Z +primary 3 +full +1 .* kept$/m);
    expect(out).toMatch(/^ +1\/B000000 on 2, \S+Z$/m);

    const other = there.cluster.makeArchive('other');
    cpSync(join(there.backups, 'one'), join(other, 'one'), { recursive: true, preserveTimestamps: true });
    there.settings({ backups: [there.backups, other].map((path) => `url = "file://${path}"`) });
    const both = (await there.prune()).out;
    for (const place of ['backups/one', 'other/one', 'two'])
      expect(both).toMatch(new RegExp(`Z +pg_basebackup base backup +${place} +full `));
  });

  test('`walseal prune` is the same command', async () => {
    const there = await place();
    const { out } = await there.prune('--json');
    const said = await call(['prune', '--config', there.cluster.config, '--json']);
    expect(said.status).toBe(0);
    const withoutTime = (text: string): object => ({ ...(JSON.parse(text) as object), at: '' });
    expect(withoutTime(said.out)).toEqual(withoutTime(out));
  });

  test('names what is never touched, and what lies beside the backups', async () => {
    const there = await place();
    there.put('README', 3);
    there.put(`${there.cluster.systemId}/wal/0000000100000001/000000010000000100000004.gz`, 3);
    there.put('7322222222222222222/wal/0000000100000001/000000010000000100000004', 3);
    mkdirSync(join(there.backups, 'half'));
    renameSync(join(there.backups, '1', 'backup_manifest'), join(there.backups, '1', 'backup_manifest.tmp'));
    const said = await there.prune('--system-id', there.cluster.systemId);
    expect(said.status).toBe(0);
    expect(said.out).toContain(
      '2 objects of 6 bytes unknown: 7311111111111111111/wal/0000000100000001/000000010000000100000004.gz, README',
    );
    expect(said.out).toContain('1 object of 3 bytes of system 7322222222222222222');
    expect(said.out).toContain('1 history file:');
    expect(said.out).toMatch(/\/backups\/1: unfinished: /);
  });
});

describe('a timeline that nobody comes to any more', () => {
  const newest = '0000000100000000000000FC';

  async function abandoned(): Promise<PrunePlace> {
    const life = new Life(1);
    life.write(0, 3n * SEGMENT);
    life.promote(0);
    life.write(1, 2n * SEGMENT);
    life.wait(240);
    life.backup(1, { bytes: SEGMENT, from: 'primary', brings: false });
    return PrunePlace.make(life.remains());
  }

  test('keeps its newest segment, and what lies behind it, and it is said why', async () => {
    const there = await abandoned();
    const { out } = await there.prune();
    expect(out).toMatch(/^ +1 +\S+FA +\S+FB +2 +2 kB +no kept backup leads to timeline 1, /m);
    expect(out).toMatch(/^ +1 +\S+FC +\S+FD +2 +2 kB +the newest segment of timeline 1, or behind it: it stays so /m);
    expect((await there.prune('--explain', newest)).out).toMatch(/FC stays\n {2}the newest segment of timeline 1, /);
    for (let turn = 0; turn < 2; turn += 1) {
      expect(await there.prune('--apply')).toMatchObject({ status: 0, warnings: '' });
      expect(there.names().filter((name) => name.startsWith('00000001'))).toEqual([
        newest,
        '0000000100000000000000FD.partial',
      ]);
    }
  });

  test('has a word for it in JSON', async () => {
    const there = await abandoned();
    expect(JSON.parse((await there.prune('--json')).out)).toMatchObject({
      archives: [
        {
          keeps: [
            { timeline: 1, first: newest, count: 2, because: ['newest'] },
            { timeline: 2, because: ['backup'] },
          ],
        },
      ],
    });
    expect(JSON.parse((await there.prune('--json', '--explain', newest)).out)).toMatchObject({
      archives: [{ status: 'explained', fate: 'stays', because: ['newest'] }],
    });
  });
});

describe('--apply', () => {
  test('deletes what was planned, says so in a line, names the backups that lose their WAL; and then there is nothing more', async () => {
    const there = await place();
    const said = await there.prune('--apply');
    expect(said).toMatchObject({ status: 0, failure: '', warnings: '' });
    expect(said.out).toMatch(/^archive file:\S+: 12 objects of \S+ kB deleted$/m);
    expect(said.out).toMatch(/\/backups\/1: no policy keeps it, and without the WAL that goes it can't be restored/);
    expect(there.names()).toEqual(LEFT);
    const again = await there.prune('--apply');
    expect(again).toMatchObject({ status: 0, warnings: '' });
    expect(again.out).toMatch(/^archive file:\S+: nothing to delete$/);
    expect(there.names()).toEqual(LEFT);
  });

  test('run twice at once both end well', async () => {
    const there = await place();
    const both = await Promise.all([there.prune('--apply'), there.prune('--apply')]);
    expect(both.map(({ status }) => status)).toEqual([0, 0]);
    expect(there.names()).toEqual(LEFT);
  });

  test('with --json tells what became of it', async () => {
    const there = await place();
    const { status, out } = await there.prune('--apply', '--json');
    expect(status).toBe(0);
    expect(JSON.parse(out)).toMatchObject({
      applied: true,
      archives: [
        { status: 'planned', result: { status: 'done', deleted: { count: GOING }, left: { count: 0, bytes: 0 } } },
      ],
    });
  });

  test('looks at each archive by itself, and never writes to one with mode = "fetch"', async () => {
    const there = await place();
    const [second, third] = [there.cluster.makeArchive('second'), there.cluster.makeArchive('third')];
    for (const other of [second, third]) there.copyArchive(other);
    const archives = ['', `url = "file://${second}"`, `url = "file://${third}"\nmode = "fetch"`];
    there.settings({ archives });
    const said = await there.prune();
    expect(said.out.match(/would go/g)).toHaveLength(2);
    expect(said.out).toContain(`archive file://${third}: mode = "fetch", so it is never written, and not pruned`);
    expect(await there.prune('--apply', '--archive', `file://${second}/`)).toMatchObject({ status: 0 });
    expect(there.names(second)).toEqual(LEFT);
    expect(there.names()).toHaveLength(LEFT.length + GOING);
    expect(await there.prune('--apply')).toMatchObject({ status: 0 });
    expect(there.names()).toEqual(LEFT);
    expect(there.names(third)).toHaveLength(LEFT.length + GOING);
    expect(await there.prune('--archive', `file://${third}`)).toMatchObject({ status: 64 });
    expect((await there.prune('--archive', 'file:///nowhere')).failure).toContain(
      `It names file://${there.cluster.archive}, `,
    );
  });

  test('counts backups that history_files vouches for, by their backup history files', async () => {
    const there = await place();
    there.settings({ backups: ['history_files = "primary 2"'] });
    expect((await there.prune()).out).toMatch(/primary 2 +full .* kept$/m);
    expect(await there.prune('--apply')).toMatchObject({ status: 0 });
    expect(there.names()[0]).toBe('0000000100000000000000FF');
  });
});

describe('--explain', () => {
  test.each([
    ['0000000100000000000000FA', /0000000100000000000000FA goes\n {2}needed by none/],
    ['000000010000000100000004', /000000010000000100000004 stays\n {2}needed by kept backup/],
    ['00000002.history', /00000002.history stays\n {2}history files never go/],
    ['0000000100000000000000F0', /0000000100000000000000F0 is not there/],
    ['README', /README is never touched/],
    ['primary 3', /\(primary 3\) is kept\n {2}the newest full backup/],
    ['1', /\(primary 1\) given up, lost\n {2}no policy keeps it/],
  ])('%s', async (name, expected) => {
    const said = await (await place()).prune('--explain', name);
    expect(said.status).toBe(0);
    expect(said.out).toMatch(expected);
  });

  test('deletes nothing, and refuses --apply', async () => {
    const there = await place();
    expect(await there.prune('--explain', '1', '--apply')).toMatchObject({ status: 64 });
    expect(there.names()).toHaveLength(LEFT.length + GOING);
  });

  test('in JSON', async () => {
    const { out } = await (await place()).prune('--explain', '000000010000000100000004', '--json');
    expect(JSON.parse(out)).toMatchObject({
      archives: [{ status: 'explained', name: '000000010000000100000004', fate: 'stays' }],
    });
  });
});

describe('something is wrong: 1, and it is said', () => {
  test('a pinned backup that cannot be restored', async () => {
    const remains = threeBackups().remains();
    remains.objects.delete('0000000100000000000000FA');
    const there = await PrunePlace.make(remains);
    there.settings({ top: `${TOP}\nkeep = ["primary 1"]` });
    const said = await there.prune('--apply');
    expect(said.status).toBe(1);
    expect(said.warnings).toMatch(/kept backup \S+\/1 can't be restored: 0000000100000000000000FA, which it needs/);
    expect(there.names()).toHaveLength(LEFT.length + GOING - 1);
  });

  test('the newest backup cannot be restored, and an older one is kept in its place', async () => {
    const remains = threeBackups().remains();
    remains.objects.delete('000000010000000100000005');
    const there = await PrunePlace.make(remains);
    const said = await there.prune();
    expect(said.status).toBe(1);
    expect(said.warnings).toMatch(
      /backup \S+\/3, newer than all that can be restored, can't be: 000000010000000100000005/,
    );
    expect(said.out).toMatch(/primary 2 .* kept$/m);
  });

  test('no backup can be restored: all is shown, and nothing goes', async () => {
    const remains = threeBackups().remains();
    for (const name of ['0000000100000000000000FA', '0000000100000000000000FF', '000000010000000100000004'])
      remains.objects.delete(name);
    const there = await PrunePlace.make(remains);
    const before = there.cluster.state();
    const said = await there.prune('--apply');
    expect(said.status).toBe(1);
    expect(said.warnings).toContain('none of 3 base backups can be restored, so nothing goes');
    expect(said.out).toMatch(/all WAL stays:\n +TIMELINE +OBJECTS +SIZE\n +1 +\d+/);
    expect(said.out).toContain('backups/1: 0000000100000000000000FA, which it needs to be consistent');
    expect(there.cluster.state()).toEqual(before);
  });
});
