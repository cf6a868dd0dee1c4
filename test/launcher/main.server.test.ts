import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';

import { COLUMNS, commandFor, dataDirectory, PROOF, run } from './launch.ts';
import { faultyTree, type Engines } from './tree.ts';

let engines: Engines;
beforeAll(async () => {
  engines = await faultyTree();
}, 60_000);

/** The exit table, as operators and servers know it. */
const TABLE: readonly [kind: string, push: number, strict: number, standby: number][] = [
  ['usage', 64, 201, 64],
  ['unreachable', 69, 202, 69],
  ['denied', 77, 203, 77],
  ['invalid', 65, 204, 65],
  ['different', 73, 200, 70],
  ['damaged', 74, 200, 70],
  ['no-key', 78, 205, 78],
  ['unwritable', 75, 206, 75],
  ['gap', 70, 207, 1],
];
const NO_LAUNCHER = 221;

describe.each(['executable', 'node'] as const)('%s', (engine) => {
  const walseal = (): string => join(engines[engine], 'walseal');

  test.each(TABLE)('the failure "%s" ends as the table says, with its fact and its hint', async (kind, ...statuses) => {
    const said = await Promise.all(
      COLUMNS.map(async (column) => {
        const cwd = dataDirectory(column);
        const { status, stderr, stdout } = await run(commandFor(['dash'], engines[engine], column, `fail-${kind}`), {
          cwd,
        });
        const verb = column === 'push' ? 'wal-push' : 'wal-fetch';
        expect(stderr).toBe(`${verb}: the fact\n${verb}: hint: The hint.\n`);
        expect(stdout).toBe('');
        return status;
      }),
    );
    expect(said).toEqual(statuses);
  });

  test('a standby that is about to promote fails as a recovery, unless the settings prefer the risk', async () => {
    const cwd = dataDirectory('standby');
    writeFileSync(join(cwd, 'promote'), '');
    const status = async (fault: string): Promise<number | string> =>
      (await run(commandFor(['dash'], engines[engine], 'standby', fault), { cwd })).status;
    expect(await status('fail-unreachable')).toBe(202);
    expect(await status('promoting')).toBe(69);
    expect(await status('throw')).toBe(200);
  });

  test('a bug is told with its stack, and asks for a report', async () => {
    const cwd = dataDirectory('push');
    const { stderr } = await run(commandFor(['dash'], engines[engine], 'push', 'throw-later'), { cwd });
    expect(stderr).toMatch(/^wal-push: bug: Error: thrown later\n +at .*\n[^]*wal-push: hint: Please report this/);
  });

  test.each(['never', 'never-but-alive'])('what waits for ever says so (%s)', async (fault) => {
    const cwd = dataDirectory('push');
    const { stderr } = await run(commandFor(['dash'], engines[engine], 'push', fault), { cwd });
    expect(stderr).toMatch(
      /wal-push: bug: Error: (the work stopped half-way|not ended \d+ s after its last deadline was set)/,
    );
  });

  test.each(['wal-push', 'wal-fetch', 'wal-prune'])(
    '%s without its launcher is refused, and nothing is done',
    async (verb) => {
      const cwd = dataDirectory('push');
      for (const launcher of [undefined, '1', String(process.pid + 1), 'x', '']) {
        const { status, stderr } = await run([walseal(), verb, 'done', PROOF], {
          cwd,
          env: { WALSEAL_LAUNCHER: launcher },
        });
        expect(status).toBe(NO_LAUNCHER);
        expect(stderr).toContain(`Run "${verb}"`);
      }
      expect(existsSync(join(cwd, PROOF))).toBe(false);
    },
  );

  test('operator commands need no launcher', async () => {
    const cwd = dataDirectory('push');
    const status = async (fault: string): Promise<number | string> =>
      (await run([walseal(), 'check', fault, PROOF], { cwd, env: { WALSEAL_LAUNCHER: '1' } })).status;
    expect(await status('done')).toBe(0);
    expect(await status('found-wrong')).toBe(1);
    expect(await status('absent')).toBe(70);
    expect(await status('fail-unreachable')).toBe(69);
    expect(await status('throw-later')).toBe(70);
    expect(await status('never')).toBe(70);
  });

  test('wal-prune says 1 where it found something wrong, and only then', async () => {
    const cwd = dataDirectory('push');
    const status = async (fault: string): Promise<number | string> =>
      (await run(['dash', join(engines[engine], 'wal-prune'), fault, PROOF], { cwd })).status;
    expect(await status('done')).toBe(0);
    expect(await status('found-wrong')).toBe(1);
    expect(await status('exit-1')).toBe(70);
    expect(await status('absent')).toBe(70);
  });

  test('help and version of wal-fetch need no file', async () => {
    const { status, stdout } = await run([join(engines[engine], 'wal-fetch'), '--help'], {
      cwd: dataDirectory('strict'),
    });
    expect({ status, stdout }).toEqual({ status: 0, stdout: 'usage\n' });
  });

  test('a long result reaches a slow reader whole', async () => {
    const cwd = dataDirectory('push');
    const slowly = ['dash', '-c', '"$@" | (sleep 0.3; cat)', 'dash', walseal(), 'status', 'talkative', PROOF];
    const { stdout } = await run(slowly, { cwd });
    const lines = stdout.split('\n').filter((line) => /^\d+ x{90}$/.test(line));
    expect(lines).toHaveLength(20_000);
  });
});
