import { statSync } from 'node:fs';
import { join } from 'node:path';

import { generateIdentity, generateSigningKey } from '../../../src/seal/keys.ts';
import { programs } from '../../../test/harness/archiving.ts';
import { serverUser, writeAsServer } from '../../../test/harness/server-user.ts';
import { credentialsFor, type Storehouse } from '../storehouse.ts';
import type { Contestant, Ground } from './contestant.ts';

/** Each command handles its one file. */
export const walsealAlone = walseal('walseal', false);
/** The first command starts a process that pushes and fetches ahead. */
export const walsealWithAgent = walseal('walseal-agent', true);

function walseal(name: string, hasAgent: boolean): Contestant {
  return {
    name,
    says: `walseal ${hasAgent ? 'with its agent' : 'without an agent'}, level 3, encrypted, signed, verified`,
    ahead: hasAgent,
    stores: ['file', 's3'],
    missing: () => undefined,
    prepare: async (ground) => {
      const directory = await programs();
      return {
        archiveCommand: `${directory}/wal-push "%p"`,
        restoreCommand: `${directory}/wal-fetch "%f" "%p"`,
        env: { WALSEAL_CONFIG: configure(ground, hasAgent), ...credentialsFor(ground.storehouse) },
      };
    },
  };
}

/** Where the agent of a data directory listens, as src/agent/where.ts has it for the server's user. */
export function walsealSocket(dataDirectory: string): string {
  const { dev, ino } = statSync(dataDirectory, { bigint: true });
  return `/tmp/walseal-${serverUser().uid}/${dev}-${ino}.sock`;
}

/** The same for all rounds: a recovery opens what a drain has sealed. */
const { identity, recipient } = generateIdentity();
const { privatePem } = generateSigningKey();

/** Writes keys and settings. Returns the path. */
function configure({ directory, storehouse }: Ground, hasAgent: boolean): string {
  const path = join(directory, 'walseal.toml');
  writeAsServer(join(directory, 'identity.txt'), `${identity}\n`);
  writeAsServer(join(directory, 'signing.pem'), privatePem);
  const lines = [
    '[[archive]]',
    ...archive(directory, storehouse),
    '[encryption]',
    `recipients = ["${recipient}"]`,
    'identity_file = "identity.txt"',
    '[signing]',
    'key_file = "signing.pem"',
    'trusted = []',
    '[compression]',
    'level = 3',
  ];
  // As it comes: a table that names the agent would have each command parse the settings before it asks.
  if (!hasAgent) lines.push('[agent]', 'enabled = false');
  writeAsServer(path, `${lines.join('\n')}\n`);
  return path;
}

function archive(directory: string, storehouse: Storehouse): string[] {
  if (storehouse.kind === 'file') return [`url = "file://${storehouse.directory}"`];
  writeAsServer(join(directory, 'authority.pem'), storehouse.authority);
  return [
    `url = "s3://${storehouse.bucket}/wal"`,
    `endpoint = "https://127.0.0.1:${storehouse.port}"`,
    `region = "${storehouse.region}"`,
    'force_path_style = true',
    'ca_file = "authority.pem"',
    // As it is on Amazon's S3, and as "walseal check" tells of others.
    'conditional_create = "proven"',
  ];
}
