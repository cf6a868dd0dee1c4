import { existsSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';

import { makeScratch } from './scratch.ts';
import { serverUser, writeAsServer } from './server-user.ts';

/** One call of a restore_command: the file, where it was wanted, and the status that the server saw. */
export interface Request {
  readonly name: string;
  readonly path: string;
  readonly status: number;
}

/**
 * A restore_command round another one, which notes each request, and runs lines of sh before or after it. They find
 * the name in $1, the path in $2, the number of the request (from 1) in $n, and afterwards the status in $status.
 */
export class TracedRestore {
  readonly command: string;
  readonly #notes: string;

  constructor(inner: string, hooks: { before?: string; after?: string } = {}) {
    const directory = makeScratch('traced', serverUser());
    const script = join(directory, 'restore');
    this.#notes = join(directory, 'requests');
    writeAsServer(this.#notes, '');
    const innermost = inner.replace('"%f"', '"$1"').replace('"%p"', '"$2"');
    writeAsServer(
      script,
      `n=$(($(wc -l < ${this.#notes}) + 1))
${hooks.before ?? ':'}
${innermost}
status=$?
echo "$1 $2 $status" >> ${this.#notes}
${hooks.after ?? ':'}
exit $status
`,
    );
    this.command = `sh ${script} "%f" "%p"`;
  }

  requests(): Request[] {
    return readFileSync(this.#notes, 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => {
        const [name = '', path = '', status = ''] = line.split(' ');
        return { name, path, status: Number(status) };
      });
  }
}

/** Takes a directory out of sight, as an unmounted disk is; `shell` does the same from a hook. */
export class Removable {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  get shell(): string {
    return `mv ${this.path} ${this.path}.away`;
  }

  remove(): void {
    renameSync(this.path, `${this.path}.away`);
  }

  bringBack(): void {
    renameSync(`${this.path}.away`, this.path);
  }

  get isAway(): boolean {
    return !existsSync(this.path);
  }
}
