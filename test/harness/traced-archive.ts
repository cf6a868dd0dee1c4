import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import { makeScratch } from './scratch.ts';
import { serverUser, writeAsServer } from './server-user.ts';

/** One call of an archive_command, from its begin to its end. */
export interface Call {
  readonly name: string;
  readonly beganMs: number;
  /** Undefined while it runs, and where it was killed. */
  readonly status: number | undefined;
}

/**
 * An archive_command round another one, which notes each call, and can be told what to end with. Lines of sh run
 * before the inner command; they find the name in $name, and the number of the call (from 1) in $n.
 */
export class TracedArchive {
  readonly command: string;
  readonly #notes: string;
  readonly #answer: string;

  constructor(inner: string, before = ':') {
    const directory = makeScratch('traced', serverUser());
    const script = join(directory, 'archive');
    this.#notes = join(directory, 'calls');
    this.#answer = join(directory, 'answer');
    writeAsServer(this.#notes, '');
    writeAsServer(
      script,
      `name=$1
path=$2
echo "begin $name $(date +%s%3N)" >> ${this.#notes}
n=$(grep -c begin ${this.#notes})
${before}
if [ -e ${this.#answer} ]; then (. ${this.#answer}); else ${inner.replace('"%p"', '"$path"')}; fi
status=$?
echo "end $name $status" >> ${this.#notes}
exit $status
`,
    );
    this.command = `sh ${script} "%f" "%p"`;
  }

  /** Has all further calls end by these lines of sh, without the inner command. */
  answer(lines: string): void {
    writeAsServer(this.#answer, `${lines}\n`);
  }

  /** Has the inner command run again. */
  letThrough(): void {
    rmSync(this.#answer);
  }

  /** In the order in which they began. Errors: where two ran at once. */
  calls(): Call[] {
    const calls: Call[] = [];
    for (const line of readFileSync(this.#notes, 'utf8').split('\n').filter(Boolean)) {
      const [what, name = '', number] = line.split(' ');
      const last = calls.at(-1);
      if (what === 'begin') calls.push({ name, beganMs: Number(number), status: undefined });
      else if (last?.name !== name || last.status !== undefined) throw new Error(`overlap: ${line}`);
      else calls[calls.length - 1] = { ...last, status: Number(number) };
    }
    return calls;
  }
}
