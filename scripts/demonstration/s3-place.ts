import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Client } from 'minio';

import { freePort } from '../../test/harness/ports.ts';
import { damageCommand, writeForStage, type Place, type Variant } from './place.ts';
import { eventually, type Stage } from './stage.ts';
import { output, say } from './tell.ts';

const BUCKET = 'wal';
const PREFIX = 'demo';
const DAMAGED_PREFIX = 'damaged';
const REGION = 'eu-central-1';

/** A bucket of a real MinIO, which is started for it. MinIO's own client looks at it from outside. */
export class S3Place implements Place {
  readonly #program: string;
  readonly #user = 'demo';
  readonly #password = randomBytes(20).toString('hex');
  #port = 0;
  #client: Client | undefined;

  /** `program`: the executable of MinIO. */
  constructor(program: string) {
    this.#program = program;
  }

  async open(stage: Stage): Promise<void> {
    say("An S3 store first: MinIO, on a port of this machine's own. Its credentials are in the environment.");
    this.#port = await freePort();
    this.#client = new Client({
      endPoint: '127.0.0.1',
      port: this.#port,
      useSSL: false,
      region: REGION,
      accessKey: this.#user,
      secretKey: this.#password,
    });
    stage.makeDirectory('minio');
    Object.assign(stage.env, {
      AWS_ACCESS_KEY_ID: this.#user,
      AWS_SECRET_ACCESS_KEY: this.#password,
      // MinIO's own names for the same.
      MINIO_ROOT_USER: this.#user,
      MINIO_ROOT_PASSWORD: this.#password,
      MINIO_REGION: REGION,
      // It refuses to share a disk with the system, without that.
      MINIO_CI_CD: '1',
      MINIO_BROWSER: 'off',
      MINIO_UPDATE: 'off',
      HOME: stage.path('minio'),
    });
    const start = `server --quiet --address 127.0.0.1:${this.#port} minio/data`;
    await stage.must(`'${stage.reachableFile(this.#program)}' ${start} > log/minio.log 2>&1 & echo $! > minio.pid`);
    stage.setApart(Number(readFileSync(stage.path('minio.pid'), 'utf8')));
    await eventually('MinIO answers', () => this.#answers());
    await this.#eye.makeBucket(BUCKET, REGION);
    say(`MinIO listens at 127.0.0.1:${this.#port}, and has an empty bucket "${BUCKET}".`);
  }

  settings(): string {
    const lines = [
      '[[archive]]',
      `url = "s3://${BUCKET}/${PREFIX}"`,
      `endpoint = "http://127.0.0.1:${this.#port}"`,
      `region = "${REGION}"`,
      'force_path_style = true',
    ];
    return `printf '\\n${lines.join('\\n')}\\n' >> etc/walseal.toml`;
  }

  async list(): Promise<void> {
    say("The bucket, as MinIO's own client lists it:");
    output((await this.#keys(`${PREFIX}/`)).join('\n'));
  }

  async makeAway(stage: Stage): Promise<Variant> {
    await stage.must(`sed 's,:${this.#port}",:1",' etc/walseal.toml > etc/away.toml`);
    return { file: 'away.toml', claim: 'the store cannot be reached' };
  }

  async makeElsewhere(stage: Stage): Promise<Variant> {
    await stage.must(`sed 's,${BUCKET}/${PREFIX}",${BUCKET}/other",' etc/walseal.toml > etc/other.toml`);
    return { file: 'other.toml', claim: 'the archive holds nothing of this cluster: a wrong prefix looks so' };
  }

  async makeDamaged(stage: Stage, key: string): Promise<Variant> {
    const file = await this.fetchObject(stage, key);
    await stage.must(damageCommand(file));
    await this.#eye.putObject(BUCKET, `${DAMAGED_PREFIX}/${key}`, readFileSync(stage.path(file)));
    say(`That is put under another prefix of the bucket, past walseal: ${DAMAGED_PREFIX}/`);
    await stage.must(`sed 's,${BUCKET}/${PREFIX}",${BUCKET}/${DAMAGED_PREFIX}",' etc/walseal.toml > etc/damaged.toml`);
    return { file: 'damaged.toml', claim: 'the object is damaged' };
  }

  async fetchObject(stage: Stage, key: string): Promise<string> {
    const pieces: Buffer[] = [];
    for await (const piece of await this.#eye.getObject(BUCKET, `${PREFIX}/${key}`))
      pieces.push(Buffer.from(piece as Uint8Array));
    writeForStage(stage, 'aux/object', Buffer.concat(pieces));
    say(`MinIO's own client brings ${PREFIX}/${key}, as it lies there, to aux/object.`);
    return 'aux/object';
  }

  get byHand(): Place['byHand'] {
    return {
      use: [`export AWS_ACCESS_KEY_ID=${this.#user} AWS_SECRET_ACCESS_KEY=${this.#password}`],
      stop: ['kill "$(cat minio.pid)"'],
    };
  }

  get #eye(): Client {
    if (this.#client === undefined) throw new Error('MinIO was not started');
    return this.#client;
  }

  async #answers(): Promise<boolean> {
    try {
      return (await fetch(`http://127.0.0.1:${this.#port}/minio/health/ready`)).ok;
    } catch {
      return false;
    }
  }

  async #keys(prefix: string): Promise<string[]> {
    const keys: string[] = [];
    for await (const item of this.#eye.listObjectsV2(BUCKET, prefix, true)) keys.push((item as { name: string }).name);
    return keys.sort();
  }
}
