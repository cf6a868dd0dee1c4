import { createHash } from 'node:crypto';
import { join } from 'node:path';

import { expect, test } from 'vitest';

import { readControlFile } from '../../src/server/data-directory.ts';
import { postmasterIsStopping } from '../../src/server/postmaster.ts';
import { baseBackup, startFrom, startPostgres } from '../harness/postgres.ts';
import { makeScratch, removeScratch } from '../harness/scratch.ts';
import { serverUser, VERSIONS } from '../harness/server-user.ts';
import { askForSalt } from './scram.ts';

/** A user that the server does not know gets a salt that is made from its secret nonce (scram_mock_salt in auth-scram.c). */
function mockSalt(user: string, nonce: Uint8Array): Buffer {
  return createHash('sha256').update(user).update(nonce).digest().subarray(0, 16);
}

test.each(VERSIONS)('the nonce that we read is the one that a server %i uses', async (version) => {
  await using server = await startPostgres({ version, initdbArgs: ['--auth-host=scram-sha-256'] });
  const control = await readControlFile(server.dataDirectory);
  expect(await askForSalt(server.port, 'nobody')).toEqual(mockSalt('nobody', control.nonce));
  expect(await askForSalt(server.port, 'someone else')).toEqual(mockSalt('someone else', control.nonce));

  const [row] = await server.query(
    'SELECT system_identifier::text AS id, pg_control_version AS version FROM pg_control_system()',
  );
  expect(row).toEqual({ id: control.systemId, version: control.version });
  expect(postmasterIsStopping(server.dataDirectory)).toBe(false);
});

test('a copy of a cluster has its nonce, a new cluster has not', async () => {
  await using server = await startPostgres({ version: 18 });
  const parent = makeScratch('copy', serverUser());
  const client = await server.client();
  await baseBackup(client, server.dataDirectory, join(parent, 'data'));
  await using copy = await startFrom(join(parent, 'data'), {
    signal: 'recovery',
    settings: { restore_command: `cp "${server.dataDirectory}/pg_wal/%f" "%p"`, recovery_target: 'immediate' },
  });
  await using other = await startPostgres({ version: 18 });
  const own = await readControlFile(server.dataDirectory);
  expect(await readControlFile(copy.dataDirectory)).toEqual(own);
  const foreign = await readControlFile(other.dataDirectory);
  expect(foreign.systemId).not.toBe(own.systemId);
  expect(foreign.nonce).not.toEqual(own.nonce);
  removeScratch(parent);
});
