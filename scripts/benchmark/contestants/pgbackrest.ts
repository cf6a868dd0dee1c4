import { existsSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';

import { makeDirectory } from '../../../test/harness/archiving.ts';
import { CHECKOUT } from '../../../test/harness/dist.ts';
import { asUser, runAsServer, serverUser, writeAsServer } from '../../../test/harness/server-user.ts';
import type { Storehouse } from '../storehouse.ts';
import type { Contestant, Ground } from './contestant.ts';

/** scripts/lib/peers.sh brings it. */
const PROGRAM = join(CHECKOUT, '.cache/peers/pgbackrest/bin/pgbackrest');
const STANZA = 'bench';

export const pgBackRestSync = pgBackRest('pgbackrest', false);
export const pgBackRestAsync = pgBackRest('pgbackrest-async', true);

function pgBackRest(name: string, isAsync: boolean): Contestant {
  const cores = availableParallelism();
  const way = isAsync ? `asynchronous, process-max = ${cores}` : 'one file at a time';
  return {
    name,
    says: `pgBackRest, ${way}, zst level 3, aes-256-cbc`,
    ahead: isAsync,
    stores: ['file', 's3'],
    missing: () => (canRun() ? undefined : "pgBackRest is not there, or the server's user can't run it"),
    prepare: async (ground) => {
      const config = configure(ground, isAsync, cores);
      const program = `${PROGRAM} --config=${config} --stanza=${STANZA}`;
      await createStanza(config);
      return {
        archiveCommand: `${program} archive-push "%p"`,
        restoreCommand: `${program} archive-get "%f" "%p"`,
        env: {},
      };
    },
  };
}

function canRun(): boolean {
  return spawnSync(PROGRAM, ['version'], { stdio: 'ignore', ...asUser(serverUser()) }).status === 0;
}

/** Writes its configuration, and the directories in it. Returns the path. */
function configure({ directory, dataDirectory, storehouse }: Ground, isAsync: boolean, cores: number): string {
  const path = join(directory, 'pgbackrest.conf');
  for (const name of ['spool', 'lock', 'log']) {
    if (!existsSync(join(directory, name))) makeDirectory(join(directory, name));
  }
  const lines = [
    '[global]',
    ...repository(directory, storehouse),
    'repo1-cipher-type=aes-256-cbc',
    'repo1-cipher-pass=the-same-for-each-measurement-of-it',
    'compress-type=zst',
    'compress-level=3',
    `archive-async=${isAsync ? 'y' : 'n'}`,
    `process-max=${isAsync ? cores : 1}`,
    `spool-path=${join(directory, 'spool')}`,
    `lock-path=${join(directory, 'lock')}`,
    `log-path=${join(directory, 'log')}`,
    'log-level-console=warn',
    'log-level-file=off',
    `[${STANZA}]`,
    `pg1-path=${dataDirectory}`,
  ];
  writeAsServer(path, `${lines.join('\n')}\n`);
  return path;
}

function repository(directory: string, storehouse: Storehouse): string[] {
  if (storehouse.kind === 'file') return [`repo1-path=${storehouse.directory}`];
  const { bucket, region, port, credentials, authority } = storehouse;
  writeAsServer(join(directory, 'authority.pem'), authority);
  return [
    'repo1-path=/repo',
    'repo1-type=s3',
    `repo1-s3-bucket=${bucket}`,
    'repo1-s3-endpoint=localhost',
    `repo1-s3-region=${region}`,
    `repo1-s3-key=${credentials.accessKeyId}`,
    `repo1-s3-key-secret=${credentials.secretAccessKey}`,
    'repo1-s3-uri-style=path',
    'repo1-storage-host=127.0.0.1',
    `repo1-storage-port=${port}`,
    `repo1-storage-ca-file=${join(directory, 'authority.pem')}`,
  ];
}

/** As an operator does once. It is content with one that is there. */
async function createStanza(config: string): Promise<void> {
  const args = [`--config=${config}`, `--stanza=${STANZA}`, '--no-online', 'stanza-create'];
  const { status, stdout, stderr } = await runAsServer(PROGRAM, args);
  if (status !== 0) throw new Error(`stanza-create of pgBackRest ended with ${status}: ${stdout}${stderr}`);
}
