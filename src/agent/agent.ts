import { setTimeout as wait } from 'node:timers/promises';

import { openArchives, type Archive } from '../archive/archives.ts';
import { loadPushKeys } from '../archive/keyring.ts';
import { Failure, type FailureKind } from '../exit.ts';
import { openCluster } from '../server/cluster.ts';
import { readHistories } from '../server/data-directory.ts';
import { postmasterIsStopping } from '../server/postmaster.ts';
import { pushArchives } from '../settings/load.ts';
import type { Settings } from '../settings/schema.ts';
import { parseWalName } from '../wal/name.ts';
import { Bond } from './bond.ts';
import { isSameFile, type Answer, type FileId, type Request, type Requester } from './message.ts';
import { PushAhead } from './push-ahead.ts';
import { difference, identifyFile } from './requester.ts';
import { AgentServer } from './server.ts';

/** Without a request for so long, an agent that was started by need goes. */
const IDLE_MS = 60_000;
const LOOK_MS = 500;
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
}

/** The process that works ahead for one server. */
export class Agent {
  readonly #options: AgentOptions;
  readonly #bond: Bond;
  readonly #server: AgentServer;
  readonly #archives: readonly Archive[];
  readonly #pushAhead: PushAhead;
  readonly #keyFiles: ReadonlyMap<string, FileId>;
  #lastAsked = performance.now();
  #endsBecause: string | undefined;

  private constructor(options: AgentOptions, archives: readonly Archive[], pushAhead: PushAhead) {
    this.#options = options;
    this.#bond = new Bond(options.dataDirectory, options.isService);
    this.#archives = archives;
    this.#pushAhead = pushAhead;
    this.#keyFiles = new Map(keyFiles(options.settings).map((path) => [path, identifyFile(path)]));
    this.#server = new AgentServer(options.socket, (request) => this.#handle(request));
  }

  /** Reads the keys, and connects to the archives. Errors: Failure. */
  static async open(options: AgentOptions): Promise<Agent> {
    const { settings, dataDirectory } = options;
    const cluster = await openCluster({ pgdata: dataDirectory, walPath: '' }, dataDirectory);
    const archives = await openArchives(pushArchives(settings));
    const keys = await loadPushKeys(settings);
    const histories = () => readHistories(dataDirectory);
    return new Agent(options, archives, new PushAhead({ cluster, settings, keys, archives, histories }, dataDirectory));
  }

  /** Works until there is a reason to end, and returns it. `isToEnd` is asked twice a second. */
  async run(isToEnd: () => boolean): Promise<string> {
    if (!this.#options.isService && !this.#bond.holds()) return 'there is no server';
    if (!(await this.#server.listen())) return 'there is an agent already';
    while (this.#endsBecause === undefined) {
      await wait(LOOK_MS);
      this.#endsBecause ??= isToEnd() ? 'told to end' : this.#reasonToEnd();
      if (postmasterIsStopping(this.#options.dataDirectory)) this.#pushAhead.hurry(STOPPING_DEADLINE_MS);
    }
    this.close();
    return this.#endsBecause;
  }

  close(): void {
    this.#server.close();
    for (const archive of this.#archives) archive.storage.close();
  }

  #reasonToEnd(): string | undefined {
    if (!this.#server.isReached()) return 'another agent has taken over';
    if (this.#options.isService) return undefined;
    if (!this.#bond.holds()) return 'the server is gone';
    return performance.now() - this.#lastAsked > IDLE_MS ? 'nothing to do' : undefined;
  }

  async #handle(request: Request): Promise<Answer> {
    this.#lastAsked = performance.now();
    const different = difference(this.#options.self, request, this.#options.isService) ?? this.#outdated();
    if (different !== undefined) {
      // The server's own have changed. The data directory has not: that one is another server's.
      if (different !== 'data directory') this.#end(`another ${different} is asked for`);
      return yours(different);
    }
    if (!this.#bond.holds()) {
      if (!this.#options.isService) this.#end('the server is gone');
      this.#pushAhead.forget();
      this.#bond.renew();
      if (!this.#bond.holds()) return yours('there is no server');
    }
    return request.push === undefined ? yours('nothing is asked for') : this.#push(request.push);
  }

  async #push({ name: text, file }: { readonly name: string; readonly file: FileId }): Promise<Answer> {
    const name = parseWalName(text);
    if (name === undefined) return yours('no WAL file');
    try {
      const warnings = await this.#pushAhead.push(name, file);
      return this.#bond.holds() ? { is: 'stored', warnings } : yours('the server is gone');
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      if (OUTDATED.has(error.kind)) {
        this.#end(error.message);
        return yours(error.message);
      }
      return { is: 'failed', kind: error.kind, message: error.message, hint: error.hint, warnings: [] };
    }
  }

  #end(reason: string): void {
    this.#endsBecause ??= reason;
  }

  /** Whether a key file is another one than it was. */
  #outdated(): string | undefined {
    for (const [path, file] of this.#keyFiles) {
      try {
        if (isSameFile(identifyFile(path), file)) continue;
      } catch {
        // It is gone, or can't be seen: whoever works alone says so.
      }
      return path;
    }
    return undefined;
  }
}

function yours(why: string): Answer {
  return { is: 'yours', why };
}

function keyFiles({ encryption, signing, archives }: Settings): string[] {
  const identity = encryption.kind === 'age' ? encryption.identityFile : undefined;
  return [identity, signing.keyFile, ...(signing.trusted ?? []), ...archives.map(({ caFile }) => caFile)].filter(
    (path) => path !== undefined,
  );
}
