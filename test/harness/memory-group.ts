import { chmodSync, existsSync, mkdtempSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { becomingServer } from './namespace.ts';

const HIERARCHY = '/sys/fs/cgroup/memory';
const LIMIT = 'memory.limit_in_bytes';

/** A control group (version 1) for a server, with a limit of memory. It goes when nobody is in it any more. */
export class MemoryGroup implements Disposable {
  readonly #path: string;

  private constructor(path: string) {
    this.#path = path;
  }

  /** Undefined where this machine has no such groups, or lets us make none. */
  static make(limitBytes: number): MemoryGroup | undefined {
    const [, ours] = /^\d+:memory:(.*)$/m.exec(readFileSync('/proc/self/cgroup', 'utf8')) ?? [];
    if (ours === undefined || !existsSync(HIERARCHY)) return undefined;
    try {
      const path = mkdtempSync(join(HIERARCHY, ours, 'walseal-test-'));
      // As all of them are: whoever is inside may look.
      chmodSync(path, 0o755);
      const group = new MemoryGroup(path);
      group.limit = limitBytes;
      return group;
    } catch {
      return undefined;
    }
  }

  set limit(bytes: number) {
    writeFileSync(join(this.#path, LIMIT), String(bytes));
  }

  /** For `ServerOptions.within`: the server and all that it starts are in the group. */
  within(): readonly string[] {
    return becomingServer(this.#entering());
  }

  /** The same, and the group is the root of all that is to be seen of them, as in a container. */
  withinContainer(): readonly string[] {
    const remount = `umount -l ${HIERARCHY}\nmount -t cgroup -o memory none ${HIERARCHY}`;
    return ['/bin/sh', '-ec', `${this.#entering()}\nexec "$@"`, 'sh', ...NAMESPACES, ...becomingServer(remount)];
  }

  #entering(): string {
    return `echo $$ > ${this.#path}/cgroup.procs`;
  }

  [Symbol.dispose](): void {
    rmdirSync(this.#path);
  }
}

const NAMESPACES = ['unshare', '--mount', '--cgroup'];
