import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { generateIdentity, generateSigningKey } from '../../src/seal/keys.ts';
import { parseControlFile } from '../../src/wal/control.ts';
import { objectKey } from '../../src/wal/keys.ts';
import { parseWalName } from '../../src/wal/name.ts';
import { startPostgres } from '../../test/harness/postgres.ts';
import { bunOf, compile } from '../build.ts';

/** What is measured on, and with what. */
export interface Bench {
  readonly scratch: string;
  readonly dataDirectory: string;
  /** A busy 16 MB segment, relative to the data directory. */
  readonly segment: string;
  readonly segmentName: string;
  /** Where a push of the segment stores it. */
  readonly object: string;
  readonly dist: string;
  readonly environment: NodeJS.ProcessEnv;
}

/** As pgbench's default script: three updates, a select, an insert for each transaction. */
const LOAD = `
create table branches (bid int primary key, balance int, filler char(88));
create table tellers (tid int primary key, bid int, balance int, filler char(84));
create table accounts (aid int primary key, bid int, balance int, filler char(84));
create table history (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22));
insert into branches select 1, 0, '';
insert into tellers select g, 1, 0, '' from generate_series(1, 10) g;
insert into accounts select g, 1, 0, '' from generate_series(1, 100000) g;
create procedure work(transactions int) language plpgsql as $$
declare
  d int; a int; t int;
begin
  for i in 1 .. transactions loop
    d := (random() * 10000)::int - 5000;
    a := 1 + (random() * 99999)::int;
    t := 1 + (random() * 9)::int;
    update accounts set balance = balance + d where aid = a;
    perform balance from accounts where aid = a;
    update tellers set balance = balance + d where tid = t;
    update branches set balance = balance + d where bid = 1;
    insert into history values (t, 1, a, d, now(), '');
    commit;
  end loop;
end $$;
checkpoint`;

/** Writes WAL on a real server, and settings with an archive in a directory, encryption and signing on. */
export async function prepare(checkout: string, scratch: string): Promise<Bench> {
  const settings = { archive_mode: false, wal_keep_size: '2GB', max_wal_size: '2GB' };
  const server = await startPostgres({ version: 18, settings });
  const client = await server.client();
  for (const statement of LOAD.split(/;\n(?=create|insert|checkpoint)/)) await client.query(statement);
  await client.query('select pg_switch_wal()');
  const { rows } = await client.query<{ name: string }>('select pg_walfile_name(pg_current_wal_lsn() + 1) as name');
  const segmentName = rows[0]?.name;
  if (segmentName === undefined) throw new Error('the server names no segment');
  await client.query('call work(60000)');
  await client.end();
  await server.stop('fast');

  const dataDirectory = join(scratch, 'data');
  mkdirSync(join(dataDirectory, 'global'), { recursive: true });
  for (const part of ['pg_wal', 'global/pg_control']) {
    cpSync(join(server.dataDirectory, part), join(dataDirectory, part), { recursive: true });
  }
  const names = readdirSync(join(dataDirectory, 'pg_wal'));
  if (!names.some((name) => name.length === segmentName.length && name > segmentName)) {
    throw new Error(`the load did not fill the segment ${segmentName}`);
  }
  const archive = join(scratch, 'archive');
  mkdirSync(archive);
  const config = writeSettings(scratch, archive);
  return {
    scratch,
    dataDirectory,
    segment: join('pg_wal', segmentName),
    segmentName,
    object: join(archive, keyOf(dataDirectory, segmentName)),
    dist: join(checkout, 'dist'),
    environment: { PATH: process.env['PATH'] ?? '', WALSEAL_CONFIG: config },
  };
}

function keyOf(dataDirectory: string, segmentName: string): string {
  const { systemId } = parseControlFile(readFileSync(join(dataDirectory, 'global/pg_control')));
  const name = parseWalName(segmentName);
  if (name === undefined) throw new Error(`the server names a segment "${segmentName}"`);
  return objectKey(systemId, name);
}

function writeSettings(scratch: string, archive: string): string {
  const { identity, recipient } = generateIdentity();
  writeFileSync(join(scratch, 'identity.txt'), `${identity}\n`, { mode: 0o600 });
  writeFileSync(join(scratch, 'signing.pem'), generateSigningKey().privatePem, { mode: 0o600 });
  const path = join(scratch, 'walseal.toml');
  writeFileSync(
    path,
    `[[archive]]
url = "file://${archive}"

[encryption]
recipients = ["${recipient}"]
identity_file = "identity.txt"

[signing]
key_file = "signing.pem"
trusted = []

[compression]
level = 3
`,
  );
  return path;
}

/** What the start of the program is held against: an executable made the same way that does nothing. */
export function buildEmptyProgram(checkout: string, scratch: string): string {
  const source = join(scratch, 'empty.ts');
  const program = join(scratch, 'empty');
  writeFileSync(source, 'process.exitCode = 0;\n');
  const args = ['build', '--compile', '--bytecode', source, '--outfile', program];
  const { status, stderr } = spawnSync(bunOf(checkout), args, { cwd: scratch, encoding: 'utf8' });
  if (status !== 0) throw new Error(`bun ended with ${status ?? 'a signal'}: ${stderr}`);
  return program;
}

/** What loads a store's library and makes its client, made as the product is. */
export function buildConnectingProgram(checkout: string, scratch: string): string {
  const program = join(scratch, 'connecting');
  compile(checkout, 'scripts/benchmark/connecting.ts', program);
  return program;
}
