/** scripts/bench: what walseal costs, side by side with others, in one run. */
import { writeFileSync } from 'node:fs';

import { needStore } from '../test/harness/need.ts';
import { measureBacklog, NEEDED } from './benchmark/backlog.ts';
import { judge } from './benchmark/bounds.ts';
import { chart } from './benchmark/chart.ts';
import { makeWaitingCluster, type WaitingCluster } from './benchmark/cluster.ts';
import { CONTESTANTS } from './benchmark/contestants/all.ts';
import type { Contestant } from './benchmark/contestants/contestant.ts';
import { walsealWithAgent } from './benchmark/contestants/walseal.ts';
import { measureDrain } from './benchmark/drain.ts';
import { IN_DIRECTORY, inBucket, type Place } from './benchmark/ground.ts';
import { measureHandOver, neededFor } from './benchmark/handover.ts';
import { bucketAt } from './benchmark/names.ts';
import { HELP, parseOptions, type Options, type Part } from './benchmark/options.ts';
import { measureRecovery, type View } from './benchmark/recovery.ts';
import { report } from './benchmark/report.ts';
import { beginRun, readRun, type Run, type Series } from './benchmark/run.ts';
import { measureSingle } from './benchmark/single.ts';
import { measureStart } from './benchmark/start.ts';
import { Buckets } from './benchmark/storehouse.ts';

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
  const run = await new Bench(options).run();
  process.stdout.write(options.json ? asJson(run) : `${report(run).join('\n')}\n`);
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

/** One run: the parts that were asked for, one after the other, on one cluster. */
class Bench {
  readonly #options: Options;
  readonly #begun = beginRun();
  readonly #contestants: readonly Contestant[];
  readonly #leftOut: string[] = [];
  readonly #series: Series[] = [];

  constructor(options: Options) {
    this.#options = options;
    const asked = CONTESTANTS.filter(({ name }) => options.contestants.has(name));
    this.#contestants = asked.filter((contestant) => this.#takesPart(contestant));
  }

  #takesPart(contestant: Contestant): boolean {
    const reason = contestant.missing();
    if (reason !== undefined) this.#leaveOut(`${contestant.name}: ${reason}`);
    return reason === undefined;
  }

  #leaveOut(reason: string): void {
    this.#leftOut.push(reason);
    console.error(`bench: LEFT OUT: ${reason}`);
  }

  async run(): Promise<Run> {
    const { parts, manyRounds } = this.#options;
    if (parts.has('start')) await this.#measure('starting programs', (id) => measureStart(id, manyRounds));
    const count = this.#segmentsNeeded();
    if (count > 0) {
      say(`writing ${count} segments with a load like pgbench's`);
      await this.#onCluster(await makeWaitingCluster(count));
    }
    return this.#measured();
  }

  #measured(): Run {
    return { ...this.#begun, series: this.#series, leftOut: this.#leftOut };
  }

  /** For all parts that take a cluster; 0: none does. */
  #segmentsNeeded(): number {
    const { parts, segments, manyRounds } = this.#options;
    const needs: readonly [Part, number][] = [
      ['single', 2],
      ['hand-over', neededFor(manyRounds)],
      ['backlog', NEEDED],
      ['drain', segments],
      ['recovery', segments],
    ];
    return Math.max(0, ...needs.filter(([part]) => parts.has(part)).map(([, count]) => count));
  }

  async #onCluster(cluster: WaitingCluster): Promise<void> {
    const { parts, manyRounds, someRounds } = this.#options;
    const here = this.#for(IN_DIRECTORY);
    if (parts.has('single')) {
      const alone = here.filter(({ ahead }) => !ahead);
      await this.#measure('pushing and fetching one segment', (id) => measureSingle(id, cluster, alone, manyRounds));
    }
    if (parts.has('hand-over') && here.includes(walsealWithAgent)) {
      await this.#measure('handing over', (id) => measureHandOver(id, cluster, manyRounds));
    }
    if (parts.has('backlog')) {
      const inServer = here.filter(({ name }) => name !== 'zstd');
      await this.#measure('pushing while many wait', (id) => measureBacklog(id, cluster, inServer, someRounds));
    }
    await this.#long(cluster);
  }

  /** Drains and recoveries, where they were asked for. */
  async #long(cluster: WaitingCluster): Promise<void> {
    const { parts, stores } = this.#options;
    if (!parts.has('drain') && !parts.has('recovery')) return;
    if (stores.has('file')) {
      const here: View = { setting: IN_DIRECTORY.setting, of: async (storehouse) => storehouse };
      await this.#drains(cluster, [IN_DIRECTORY]);
      await this.#recoveries(cluster, IN_DIRECTORY, [here]);
    }
    if (!stores.has('minio')) return;
    if (needStore('minio')) {
      this.#leaveOut('MinIO: it is not there; scripts/test builds it, with Go');
      return;
    }
    const buckets = await Buckets.start();
    const { latencies } = this.#options;
    const views = latencies.map((latencyMs): View => {
      const of: View['of'] = async (storehouse) =>
        storehouse.kind === 's3' ? buckets.at(latencyMs, storehouse) : storehouse;
      return { setting: bucketAt(latencyMs), of };
    });
    await this.#drains(
      cluster,
      latencies.map((latencyMs) => inBucket(buckets, latencyMs)),
    );
    await this.#recoveries(cluster, inBucket(buckets, 0), views);
  }

  async #drains(cluster: WaitingCluster, places: readonly Place[]): Promise<void> {
    if (!this.#options.parts.has('drain')) return;
    for (const place of places) {
      await this.#measure(`draining to: ${place.setting}`, (id) =>
        measureDrain(id, cluster, this.#for(place), place, this.#options.rounds),
      );
    }
  }

  async #recoveries(cluster: WaitingCluster, place: Place, views: readonly View[]): Promise<void> {
    if (!this.#options.parts.has('recovery')) return;
    await this.#measure(`recovering from: ${views.map(({ setting }) => setting).join('; ')}`, (id) =>
      measureRecovery(id, cluster, this.#for(place), { place, views }, this.#options.rounds),
    );
  }

  #for({ kind }: Place): Contestant[] {
    return this.#contestants.filter(({ stores }) => stores.includes(kind));
  }

  async #measure(what: string, measure: (runId: string) => Promise<Series[]>): Promise<void> {
    say(what);
    this.#series.push(...(await measure(this.#begun.id)));
    const { keep, svg } = this.#options;
    if (keep !== undefined) writeFileSync(keep, asJson(this.#measured()));
    if (svg !== undefined) writeFileSync(svg, chart(this.#measured()));
  }
}

function asJson(run: Run): string {
  return `${JSON.stringify(run, undefined, 2)}\n`;
}

function say(text: string): void {
  console.error(`bench: ${text} ...`);
}

await main(process.argv.slice(2));
