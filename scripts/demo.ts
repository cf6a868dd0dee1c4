/**
 * The story of a database that is lost and comes back, on a real server. scripts/demo prepares what this needs and
 * runs it. Each claim is checked: the first that does not hold ends the demo with status 1 and the server's log.
 */
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { openWithoutUs } from './demonstration/formats.ts';
import { DirectoryPlace, type Place } from './demonstration/place.ts';
import { loseEverything, recover } from './demonstration/recovery.ts';
import { refusals } from './demonstration/refusals.ts';
import { S3Place } from './demonstration/s3-place.ts';
import { logTail } from './demonstration/server.ts';
import { Stage } from './demonstration/stage.ts';
import { checksHeld, complain, NotAsTold, say } from './demonstration/tell.ts';
import { setUp, workAndBackUp } from './demonstration/work.ts';

const CHECKOUT = dirname(dirname(fileURLToPath(import.meta.url)));
/** By what a user ends us. */
const DEADLY = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

const isKept = process.argv.includes('--keep');
const place: Place = process.argv.includes('--s3')
  ? new S3Place(join(CHECKOUT, '.cache/go/bin/minio'))
  : new DirectoryPlace();
process.exitCode = 1;
await demo();

async function demo(): Promise<void> {
  const begin = Date.now();
  const stage = new Stage();
  const clear = (): void => {
    stage.clear();
  };
  process.once('exit', clear);
  const dieBy = (signal: NodeJS.Signals): void => {
    complain(`ended by ${signal}`);
    stage.clear();
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  };
  for (const signal of DEADLY) process.once(signal, dieBy);
  // Whoever read our story has gone.
  process.stdout.once('error', () => {
    dieBy('SIGTERM');
  });
  try {
    stage.prepare(join(CHECKOUT, 'node_modules/pg18/native'), join(CHECKOUT, 'dist'));
    await tell(stage);
  } catch (error) {
    complain(error instanceof NotAsTold ? error.message : String(error instanceof Error ? error.stack : error));
    const log = logTail(stage);
    if (log !== '') complain(`The end of the server's log:\n${log}`);
    return;
  }
  const seconds = Math.round((Date.now() - begin) / 1000);
  if (isKept) {
    process.removeListener('exit', clear);
    howToGoOn(stage);
  } else {
    stage.clear();
    say(`\n${stage.directory} and its processes are gone.`);
  }
  say(`${checksHeld()} checks held, in ${seconds} s.`);
  process.exitCode = 0;
}

async function tell(stage: Stage): Promise<void> {
  await setUp(stage, place);
  const before = await workAndBackUp(stage, place);
  await refusals(before, stage, place);
  await loseEverything(stage);
  await recover(before, stage);
  await openWithoutUs(before, stage, place);
}

function howToGoOn(stage: Stage): void {
  const { directory, env } = stage;
  const by = stage.user === undefined ? '' : `, as user ${stage.user.name}, to whom the files belong`;
  say(`
The recovered server is still running. To look at it, or to run the commands above by hand${by}:
  ${[
    `cd ${directory}`,
    `export PATH=${env['PATH'] ?? ''} WALSEAL_CONFIG=${env['WALSEAL_CONFIG'] ?? ''}`,
    ...place.byHand.use,
    `psql -h ${stage.path('socket')} -U demo postgres`,
  ].join('\n  ')}
To stop and remove all of it:
  ${[`kill -INT "$(head -n 1 ${stage.path('data/postmaster.pid')})"`, ...place.byHand.stop, `rm -rf ${directory}`].join('\n  ')}
`);
}
