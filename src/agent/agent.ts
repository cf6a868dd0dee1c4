import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';

import { openArchives, type Archive } from '../archive/archives.ts';
import { loadOpenKeys, loadPushKeys } from '../archive/keyring.ts';
import { pushLimitMs } from '../archive/push.ts';
import { Failure, type FailureKind } from '../exit.ts';
import { openCluster, type Cluster } from '../server/cluster.ts';
import { readHistories } from '../server/data-directory.ts';
import { removeLeftovers } from '../server/landing-file.ts';
import { postmasterIsStopping } from '../server/postmaster.ts';
import { failureColumn } from '../server/signals.ts';
import { pushArchives } from '../settings/load.ts';
import type { Settings } from '../settings/schema.ts';
import { Deadline } from '../storage/deadline.ts';
import { StorageError } from '../storage/errors.ts';
import { parseWalName } from '../wal/name.ts';
import { withBandwidth } from './bandwidth.ts';
import { Bond } from './bond.ts';
import { isSameFile, type Answer, type FileId, type Request, type Requester } from './message.ts';
import { FetchAhead } from './fetch-ahead.ts';
import { PushAhead } from './push-ahead.ts';
import { difference, identifyFile } from './requester.ts';
import { AgentServer } from './server.ts';

const IDLE_MS = 60_000;
const LOOK_MS = 500;
/** Beyond the deadlines of the work itself. */
const GRACE_MS = 5_000;
/** How long a standby is told at once that an archive which could not be reached is away. */
const AWAY_MS = 30_000;
/** As with wal-push: a fast stop waits for about six attempts. */
const STOPPING_DEADLINE_MS = 5_000;
/** What may have changed outside since the agent learnt it, and what a new one would learn anew. */
const OUTDATED: ReadonlySet<FailureKind> = new Set<FailureKind>(['denied', 'usage', 'no-key']);

export interface AgentOptions {
  readonly settings: Settings;
  /** Who this agent is: what differs in a request is not for it. */
  readonly self: Requester;
  readonly dataDirectory: string;
  readonly socket: string;
  /** Started by an operator, and not by need: it stays when nobody asks, and outlives the server. */
  readonly isService: boolean;
  /** Without a request for so long, one that was started by need goes. Default: a minute. */
  readonly idleMs?: number;
}

/** The process that works ahead for one server. */
export class Agent {
  readonly #options: AgentOptions;
  readonly #bond: Bond;
  readonly #server: AgentServer;
  readonly #cluster: Cluster;
  readonly #archives: readonly Archive[];
  /** The files of keys and certificates, as they were before they were read. */
  readonly #keyFiles: ReadonlyMap<string, FileId | undefined>;
  /** Made when they are first needed: not every host has the keys for both. */
  #pushAhead: Promise<PushAhead> | undefined;
  #fetchAhead: Promise<FetchAhead> | undefined;
  /** On a standby: why the archive could not be reached, and until when it is not asked again. */
  #away: { readonly failure: Failure; readonly until: number } | undefined;
  /** Requests that are not answered yet. */
  #underWay = 0;
  #lastAsked = performance.now();
  #endsBecause: string | undefined;
  readonly #ending = Promise.withResolvers<undefined>();
  #discard: () => void = () => undefined;

  private constructor(options: AgentOptions, cluster: Cluster, archives: readonly Archive[]) {
    this.#options = options;
    this.#bond = new Bond(options.dataDirectory, options.isService);
    this.#cluster = cluster;
    this.#archives = archives;
    this.#keyFiles = new Map(keyFiles(options.settings).map((path) => [path, look(path)]));
    this.#server = new AgentServer(options.socket, (request) => this.#handle(request));
  }

  /** Errors: Failure. */
  static async open(options: AgentOptions): Promise<Agent> {
    const { settings, dataDirectory } = options;
    const cluster = await openCluster({ pgdata: dataDirectory, walPath: '' }, dataDirectory);
    const archives = await openArchives(settings.archives);
    const { bandwidth } = settings.agent;
    const paced = ({ storage, ...rest }: Archive): Archive => ({
      ...rest,
      storage: bandwidth === undefined ? storage : withBandwidth(storage, bandwidth),
    });
    return new Agent(options, cluster, archives.map(paced));
  }

  /** Works until there is a reason to end, and returns it. `isToEnd` is asked twice a second. */
  async run(isToEnd: () => boolean): Promise<string> {
    if (!this.#options.isService && !this.#bond.holds()) return 'there is no server';
    if (!(await this.#server.listen())) return 'there is an agent already';
    removeLeftovers(join(this.#options.dataDirectory, 'pg_wal'));
    while (this.#endsBecause === undefined) {
      await Promise.race([wait(LOOK_MS), this.#ending.promise]);
      this.#endsBecause ??= isToEnd() ? 'told to end' : this.#reasonToEnd();
      if (postmasterIsStopping(this.#options.dataDirectory)) (await this.#pushAhead)?.hurry(STOPPING_DEADLINE_MS);
    }
    await this.#server.settled(LOOK_MS);
    return this.#endsBecause;
  }

  /** Leaves nothing behind. */
  close(): void {
    this.#server.close();
    this.#discard();
    for (const archive of this.#archives) archive.storage.close();
  }

  #reasonToEnd(): string | undefined {
    if (!this.#server.isReached()) return 'another agent has taken over';
    if (this.#options.isService) return undefined;
    if (!this.#bond.holds()) return 'the server is gone';
    const isIdle = this.#underWay === 0 && performance.now() - this.#lastAsked > (this.#options.idleMs ?? IDLE_MS);
    return isIdle ? 'nothing to do' : undefined;
  }

  async #handle(request: Request): Promise<Answer> {
    this.#underWay += 1;
    const limit = new Deadline(this.#limitMs(request));
    try {
      return await limit.race(this.#take(request));
    } catch (error) {
      // Something hangs that has no deadline of its own.
      if (error instanceof StorageError) return yours(error.message);
      throw error;
    } finally {
      limit.close();
      this.#underWay -= 1;
      this.#lastAsked = performance.now();
    }
  }

  /** It ends soon, and at once for whoever asks next: that one need not be turned away first. */
  #end(reason: string): void {
    this.#endsBecause ??= reason;
    this.#server.leave();
    this.#ending.resolve(undefined);
  }

  /** Whoever asked waits for as long as he is told that somebody works for him: that ends, whatever hangs. */
  #limitMs({ push }: Request): number {
    const { settings } = this.#options;
    // A push that was begun ahead of its time gets a second attempt.
    const ms = push === undefined ? settings.fetch.deadlineMs : 2 * pushLimitMs(settings, Number(push.file.size));
    return ms + GRACE_MS;
  }

  async #take(request: Request): Promise<Answer> {
    const different = difference(this.#options.self, request, this.#options.isService) ?? this.#outdated();
    if (different !== undefined) {
      // The server's own have changed. The data directory has not: that one is another server's.
      if (different !== 'data directory') this.#end(`another ${different} is asked for`);
      return yours(different);
    }
    if (!this.#bond.holds() && !(await this.#rebind())) return yours('the server is gone');
    const answer = await this.#answer(request);
    return this.#bond.holds() ? answer : yours('the server is gone');
  }

  /** Whether there is another server now, which a service works for as well. */
  async #rebind(): Promise<boolean> {
    if (!this.#options.isService) {
      this.#end('the server is gone');
      return false;
    }
    if (!(await this.#isSameCluster())) {
      this.#end('there is another cluster');
      return false;
    }
    this.#bond.renew();
    (await this.#pushAhead)?.forget();
    (await this.#fetchAhead)?.forget();
    return this.#bond.holds();
  }

  /** In the same directory may lie another one by now: one that was restored, upgraded or made anew. */
  async #isSameCluster(): Promise<boolean> {
    const { dataDirectory } = this.#options;
    const { systemId, nonce, segmentSize } = await openCluster({ pgdata: dataDirectory, walPath: '' }, dataDirectory);
    const before = this.#cluster;
    return (
      systemId === before.systemId && segmentSize === before.segmentSize && Buffer.compare(nonce, before.nonce) === 0
    );
  }

  async #answer({ push, fetch }: Request): Promise<Answer> {
    try {
      if (push !== undefined) return await this.#push(push);
      if (fetch !== undefined) return await this.#fetch(fetch.name);
      return yours('nothing is asked for');
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      if (!OUTDATED.has(error.kind)) return this.#failed(error);
      this.#end(error.message);
      return yours(error.message);
    }
  }

  async #push({ name: text, file }: { readonly name: string; readonly file: FileId }): Promise<Answer> {
    const name = parseWalName(text);
    if (name === undefined) return yours('no WAL file');
    this.#pushAhead ??= this.#openPush();
    return { is: 'stored', warnings: await (await this.#pushAhead).push(name, file) };
  }

  async #openPush(): Promise<PushAhead> {
    const { settings, dataDirectory } = this.#options;
    const targets = pushArchives(settings);
    const archives = this.#archives.filter((archive) => targets.includes(archive.settings));
    const keys = await loadPushKeys(settings);
    const histories = () => readHistories(dataDirectory);
    return new PushAhead({ cluster: this.#cluster, settings, keys, archives, histories }, dataDirectory);
  }

  async #fetch(text: string): Promise<Answer> {
    const name = parseWalName(text);
    if (name?.kind !== 'segment') return yours('no segment');
    const { settings, dataDirectory } = this.#options;
    const isStandby = failureColumn(dataDirectory, settings.fetch.onPromote) === 'standby';
    if (isStandby && this.#away !== undefined && performance.now() < this.#away.until)
      return this.#failed(this.#away.failure);
    this.#fetchAhead ??= this.#openFetch();
    const fetched = await (await this.#fetchAhead).fetch(name);
    this.#away = undefined;
    switch (fetched.is) {
      case 'landed':
        return { ...fetched, is: 'fetched' };
      case 'absent':
        return yours('whether it is absent takes proofs');
      case 'failed':
        // Here the reason may be the agent's own: its limits, its view of the disk, what it had fetched ahead.
        if (fetched.failure.kind === 'unwritable') return yours(fetched.failure.message);
        if (fetched.failure.kind === 'unreachable') {
          this.#away = { failure: fetched.failure, until: performance.now() + AWAY_MS };
        }
        throw fetched.failure;
    }
  }

  #failed({ kind, message, hint }: Failure): Answer {
    return { is: 'failed', kind, message, hint, onPromote: this.#options.settings.fetch.onPromote, warnings: [] };
  }

  async #openFetch(): Promise<FetchAhead> {
    const { settings } = this.#options;
    const keys = await loadOpenKeys(settings);
    const fetchAhead = new FetchAhead({ settings, cluster: this.#cluster, keys, archives: this.#archives });
    this.#discard = () => {
      fetchAhead.close();
    };
    return fetchAhead;
  }

  /** The file of a key or certificate that is another one than it was. */
  #outdated(): string | undefined {
    for (const [path, before] of this.#keyFiles) {
      const now = look(path);
      if (before === undefined ? now !== undefined : now === undefined || !isSameFile(before, now)) return path;
    }
    return undefined;
  }
}

function yours(why: string): Answer {
  return { is: 'yours', why };
}

/** Undefined where it is not to be seen: whoever works alone says so, if it is needed. */
function look(path: string): FileId | undefined {
  try {
    return identifyFile(path);
  } catch {
    return undefined;
  }
}

function keyFiles({ encryption, signing, archives }: Settings): string[] {
  const identity = encryption.kind === 'age' ? encryption.identityFile : undefined;
  return [identity, signing.keyFile, ...(signing.trusted ?? []), ...archives.map(({ caFile }) => caFile)].filter(
    (path) => path !== undefined,
  );
}
