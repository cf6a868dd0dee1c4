import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

import { CHECKOUT } from '../harness/dist.ts';
import { spawnAndWait, TestCluster } from '../harness/cluster.ts';

test('a process that can not be made is a warning: the file that was archived is archived', async () => {
  const cluster = new TestCluster();
  cluster.postmaster('ready');
  const script = join(cluster.root, 'start.ts');
  writeFileSync(
    script,
    `import { startAgent } from '${CHECKOUT}/src/agent/start.ts';
import { loadSettings } from '${CHECKOUT}/src/settings/load.ts';
const settings = await loadSettings('${cluster.config}', {});
process.argv[0] = '/nonexistent/walseal';
startAgent(settings, process.env, (line) => console.log(line));
`,
  );
  const options = { cwd: cluster.dataDirectory, env: { PATH: process.env['PATH'] ?? '' } };
  const ended = await spawnAndWait(process.execPath, [script], options);
  expect(ended.stdout).toMatch(/^no agent was started: .*ENOENT/);
  expect(ended.status, ended.stderr).toBe(0);
  cluster.remove();
});
