import { spawn, type ChildProcess } from 'node:child_process';
import { chmod, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makeFilePlace } from './file-place.ts';

const NOBODY = 65_534;
/** Starting a process takes long on a busy machine. */
const TIMEOUT_MS = 60_000;
const SCRIPT = new URL('./other-process.ts', import.meta.url).pathname;

interface Outcome {
  readonly done?: string;
  readonly kind?: string;
  readonly message?: string;
}

/** A process that stands ready to use the archive. */
class Other {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  private constructor(child: ChildProcess, lines: AsyncIterator<string>) {
    this.#child = child;
    this.#lines = lines;
  }

  static async start(path: string, uid: number): Promise<Other> {
    const child = spawn(process.execPath, [SCRIPT, pathToFileURL(path).href, String(uid)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    expect((await lines.next()).value).toBe('ready');
    return new Other(child, lines);
  }

  async call(verb: string, key: string, content = 'x'): Promise<Outcome> {
    this.#child.stdin?.write(`${JSON.stringify([verb, key, content])}\n`);
    return JSON.parse(String((await this.#lines.next()).value)) as Outcome;
  }

  end(): void {
    this.#child.stdin?.end();
  }
}

describe('an archive in a directory, shared by processes', () => {
  let place: Awaited<ReturnType<typeof makeFilePlace>>;
  beforeEach(async () => {
    place = await makeFilePlace();
  });
  afterEach(() => place.remove());

  it(
    'lets exactly one of racing processes create an object',
    async () => {
      const contents = Array.from({ length: 6 }, (_, index) => `content of process ${String(index)}`);
      const others = await Promise.all(contents.map(() => Other.start(place.path, 0)));
      const outcomes = await Promise.all(
        others.map((one, index) => one.call('create', '1/wal/d/race', contents[index])),
      );
      for (const one of others) one.end();
      const winners = outcomes.flatMap(({ done }, index) => (done === 'created' ? [index] : []));
      expect(winners).toHaveLength(1);
      expect(outcomes.filter(({ kind }) => kind === 'exists')).toHaveLength(5);
      expect(await readFile(`${place.path}/1/wal/d/race`, 'utf8')).toBe(contents[winners[0] ?? -1]);
      expect(await readdir(`${place.path}/tmp`)).toEqual([]);
    },
    TIMEOUT_MS,
  );

  it(
    'says denied, and never absent, where permissions hide what is there',
    async () => {
      await mkdir(`${place.path}/1/wal`, { recursive: true });
      await writeFile(`${place.path}/1/wal/a`, 'secret', { mode: 0o000 });
      await chmod(`${place.path}/..`, 0o755);
      await chmod(place.path, 0o755);
      // Only root can become another user; for anybody else the modes alone do it.
      const other = await Other.start(place.path, process.getuid?.() === 0 ? NOBODY : 0);
      expect(await other.call('get', '1/wal/a')).toMatchObject({
        kind: 'denied',
        message: expect.stringContaining('EACCES') as unknown,
      });

      await chmod(`${place.path}/1/wal`, 0o000);
      for (const [verb, key] of [...OBJECT_CALLS, ['list', '1/'], ['list', '']] as const) {
        expect(await other.call(verb, key), `${verb} "${key}" in a closed directory`).toMatchObject({ kind: 'denied' });
      }
      await chmod(`${place.path}/1/wal`, 0o755);

      await chmod(place.path, 0o555);
      expect(await other.call('get', '1/wal/b')).toMatchObject({ kind: 'absent' });
      expect(await other.call('create', '2/wal/a')).toMatchObject({ kind: 'denied' });

      await chmod(place.path, 0o000);
      for (const [verb, key] of [...OBJECT_CALLS, ['list', '']] as const) {
        expect(await other.call(verb, key), `${verb} "${key}" in a closed root`).toMatchObject({ kind: 'denied' });
      }
      await chmod(place.path, 0o755);
      other.end();
    },
    TIMEOUT_MS,
  );
});

const OBJECT_CALLS = [
  ['create', '1/wal/a'],
  ['get', '1/wal/a'],
  ['head', '1/wal/a'],
  ['delete', '1/wal/a'],
] as const;
