import { symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';

import { describeRequester, difference } from '../../src/agent/requester.ts';
import { loadSettings } from '../../src/settings/load.ts';
import { TestCluster } from '../harness/cluster.ts';

const before = { ...process.env };
afterEach(() => {
  for (const name of Object.keys(process.env)) if (!(name in before)) Reflect.deleteProperty(process.env, name);
  Object.assign(process.env, before);
});

test('the same is no difference, and what the shell changes from one command to the next is none', () => {
  const { dataDirectory, config } = new TestCluster();
  const one = describeRequester(dataDirectory, config);
  for (const name of ['_', 'PWD', 'OLDPWD', 'SHLVL', 'WALSEAL_LAUNCHER', 'BUN_JSC_useJIT']) process.env[name] = 'other';
  expect(difference(one, describeRequester(dataDirectory, config), false)).toBeUndefined();
});

describe('another', () => {
  test('environment: whatever credentials can come from', () => {
    const { dataDirectory, config } = new TestCluster();
    const one = describeRequester(dataDirectory, config);
    process.env['AWS_SECRET_ACCESS_KEY'] = 'another';
    const other = describeRequester(dataDirectory, config);
    expect(difference(one, other, false)).toBe('environment');
    expect(difference(other, one, false)).toBe('environment');
    expect(difference(one, other, true)).toBeUndefined();
  });

  test('settings: their text, and where they lie', () => {
    const cluster = new TestCluster();
    const { dataDirectory, config } = cluster;
    const one = describeRequester(dataDirectory, config);
    const copy = join(cluster.root, 'copy.toml');
    writeFileSync(copy, one.settings.text);
    expect(difference(one, describeRequester(dataDirectory, copy), false)).toBe('settings');
    expect(difference(one, describeRequester(dataDirectory, copy), true)).toBeUndefined();
    cluster.settings({ top: 'deadline = "61s"' });
    expect(difference(one, describeRequester(dataDirectory, config), false)).toBe('settings');
    expect(difference(one, describeRequester(dataDirectory, config), true)).toBe('settings');
  });

  test('data directory, but not by another name', () => {
    const cluster = new TestCluster();
    const { dataDirectory, config } = cluster;
    const one = describeRequester(dataDirectory, config);
    symlinkSync(dataDirectory, join(cluster.root, 'link'));
    expect(difference(one, describeRequester(join(cluster.root, 'link'), config), true)).toBeUndefined();
    expect(difference(one, describeRequester(new TestCluster().dataDirectory, config), true)).toBe('data directory');
  });

  test('program: its version for all, its file for one that was started by need', () => {
    const { dataDirectory, config } = new TestCluster();
    const one = describeRequester(dataDirectory, config);
    const newer = { ...one, program: { ...one.program, version: '99.0.0' } };
    const rebuilt = { ...one, program: { ...one.program, file: 'another' } };
    expect(difference(one, newer, false)).toBe('program');
    expect(difference(one, newer, true)).toBe('program');
    expect(difference(one, rebuilt, false)).toBe('program');
    expect(difference(one, rebuilt, true)).toBeUndefined();
  });
});

test.each(['/', '/./', '/keys/../'])(
  'settings are where the agent that is started finds them, however they are named: %s',
  async (between) => {
    const { root, dataDirectory } = new TestCluster();
    process.env['WALSEAL_CONFIG'] = `${root}/${between}walseal.toml`;
    const asked = describeRequester(dataDirectory);
    const { path } = await loadSettings(undefined, process.env);
    expect(difference(describeRequester(dataDirectory, path), asked, false)).toBeUndefined();
  },
);
