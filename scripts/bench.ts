/** scripts/bench: what walseal costs, side by side with others, in one run. */
import { judge } from './benchmark/bounds.ts';
import { makeWaitingCluster } from './benchmark/cluster.ts';
import { CONTESTANTS } from './benchmark/contestants/all.ts';
import { measureDrain } from './benchmark/drain.ts';
import { HELP, parseOptions, type Options } from './benchmark/options.ts';
import { report } from './benchmark/report.ts';
import { beginRun, readRun, type Run, type Series } from './benchmark/run.ts';
import { measureSingle } from './benchmark/single.ts';
import { measureStart } from './benchmark/start.ts';

const USAGE = 64;

async function main(args: readonly string[]): Promise<void> {
  if (args[0] === 'show') {
    console.log(
      args
        .slice(1)
        .flatMap((path) => [...report(readRun(path)), ''])
        .join('\n'),
    );
    return;
  }
  const options = understood(args);
  if (options === undefined) return;
  const run = await measure(options);
  console.log(options.json ? JSON.stringify(run, undefined, 2) : report(run).join('\n'));
  if (judge(run).some(({ holds }) => holds === false)) process.exitCode = 1;
}

function understood(args: readonly string[]): Options | undefined {
  try {
    const options = parseOptions(args);
    if (options === undefined) process.stdout.write(HELP);
    return options;
  } catch (error) {
    console.error(`bench: ${error instanceof Error ? error.message : String(error)}`);
    process.exitCode = USAGE;
    return undefined;
  }
}

async function measure({ parts, segments, rounds, manyRounds, contestants }: Options): Promise<Run> {
  const run = beginRun();
  const asked = CONTESTANTS.filter(({ name }) => contestants.has(name));
  const here = asked.filter((contestant) => contestant.missing() === undefined);
  const leftOut = asked.flatMap((contestant) => {
    const reason = contestant.missing();
    return reason === undefined ? [] : [`${contestant.name}: ${reason}`];
  });
  for (const reason of leftOut) say(`left out: ${reason}`);
  const series: Series[] = [];
  if (parts.has('start')) {
    say('starting programs');
    series.push(...(await measureStart(run.id, manyRounds)));
  }
  if (parts.has('single') || parts.has('drain')) {
    const count = parts.has('drain') ? segments : 2;
    say(`writing ${count} segments with a load like pgbench's`);
    const cluster = await makeWaitingCluster(count);
    if (parts.has('single')) {
      say('pushing and fetching one segment');
      const alone = here.filter(({ ahead }) => !ahead);
      series.push(...(await measureSingle(run.id, cluster, alone, manyRounds)));
    }
    if (parts.has('drain')) {
      say('draining');
      series.push(...(await measureDrain(run.id, cluster, here, rounds)));
    }
  }
  return { ...run, series, leftOut };
}

function say(text: string): void {
  console.error(`bench: ${text} ...`);
}

await main(process.argv.slice(2));
