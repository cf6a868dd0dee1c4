import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ArchiveSettings } from '../../src/settings/schema.ts';
import { connect } from '../../src/storage/connect.ts';
import { Deadline } from '../../src/storage/deadline.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { CHECKOUT } from '../harness/dist.ts';
import { needStore } from '../harness/need.ts';
import { minio, type Minio, type Policy } from '../harness/stores/minio.ts';
import { collect, text } from './bodies.ts';
import { enter, s3Archive } from './s3-place.ts';

const PREFIX = 'clusters/wal';

/** The policy below a heading of docs/stores/s3.md, for this bucket. */
function documented(heading: string, bucket: string): Policy {
  const docs = readFileSync(join(CHECKOUT, 'docs/stores/s3.md'), 'utf8');
  const section = docs.split(`### ${heading}\n`)[1] ?? '';
  const json = /```json\n(.*?)```/s.exec(section)?.[1] ?? '';
  return JSON.parse(json.replaceAll('BUCKET', bucket).replaceAll('PREFIX', PREFIX)) as Policy;
}

describe.skipIf(needStore('minio'))('the policies of docs/stores/s3.md', () => {
  let server: Minio;
  let bucket: string;
  let deadline: Deadline;
  const open: Storage[] = [];

  beforeAll(async () => {
    server = await minio();
    bucket = await server.makeBucket();
    deadline = new Deadline(60_000, { what: 'the test' });
    for (const key of ['kept', 'deleted']) await server.eye.put(bucket, `${PREFIX}/${key}`, Buffer.from('content'));
    await server.eye.put(bucket, 'elsewhere', Buffer.from('content'));
  });
  afterAll(() => {
    deadline.close();
    for (const storage of open) storage.close();
  });

  /** A storage with exactly these permissions. The SDK reads the environment at the first request. */
  const connected = async (policy: Policy, settings: Partial<ArchiveSettings> = {}): Promise<Storage> => {
    enter(await server.makeUser(policy));
    const archive = s3Archive(server, bucket, { url: `s3://${bucket}/${PREFIX}`, ...settings });
    const storage = await connect(archive);
    open.push(storage);
    // Another user of this process must not take its place.
    await storage.head('kept', deadline);
    return storage;
  };
  const list = async (storage: Storage): Promise<string[]> => {
    const keys: string[] = [];
    for await (const page of storage.list('', {}, deadline)) keys.push(...page.map(({ key }) => key));
    return keys.sort();
  };
  const read = async (storage: Storage, key: string): Promise<string> =>
    (await collect((await storage.get(key, deadline)).bytes)).toString();
  const denied = { kind: 'denied' };

  it('let a host push, verify and compare, and nothing else', async () => {
    const storage = await connected(documented('Push', bucket), { conditionalCreate: 'proven' });
    await storage.create('pushed', text('new'), deadline);
    expect((await storage.head('pushed', deadline)).digest?.algorithm).toBe('sha256');
    await expect(storage.create('pushed', text('other'), deadline)).rejects.toMatchObject({ kind: 'exists' });
    expect(await read(storage, 'pushed')).toBe('new');
    await expect(storage.delete(['kept'], deadline)).rejects.toMatchObject(denied);
    await expect(list(storage)).rejects.toMatchObject(denied);
    // As Amazon does not: there it is denied without the right to list.
    await expect(storage.get('missing', deadline)).rejects.toMatchObject({ kind: 'absent' });
    expect(await server.eye.read(bucket, `${PREFIX}/kept`)).toEqual(Buffer.from('content'));
  });

  it('let a host push that may list as well, to a store that is not proven', async () => {
    const [, listing] = documented('Fetch', bucket).Statement;
    const { Statement: statements } = documented('Push', bucket);
    const storage = await connected({ Statement: [...statements, ...(listing ? [listing] : [])] });
    await storage.create('unproven', text('new'), deadline);
    await expect(storage.create('unproven', text('new'), deadline)).rejects.toMatchObject({ kind: 'exists' });
    expect(await list(storage)).toContain('unproven');
  });

  it('let a host fetch and prove what is absent, and nothing else', async () => {
    const storage = await connected(documented('Fetch', bucket), { conditionalCreate: 'proven' });
    expect(await read(storage, 'kept')).toBe('content');
    expect(await list(storage)).toContain('kept');
    await expect(storage.get('missing', deadline)).rejects.toMatchObject({ kind: 'absent' });
    await expect(storage.head('missing', deadline)).rejects.toMatchObject({ kind: 'absent' });
    await expect(storage.create('by-fetch', text('x'), deadline)).rejects.toMatchObject(denied);
    await expect(storage.delete(['kept'], deadline)).rejects.toMatchObject(denied);
  });

  it('let a host prune, and neither write nor leave the prefix', async () => {
    const storage = await connected(documented('Prune', bucket), { conditionalCreate: 'proven' });
    expect(await list(storage)).toContain('deleted');
    expect(await read(storage, 'deleted')).toBe('content');
    await storage.delete(['deleted', 'missing'], deadline);
    expect(await list(storage)).not.toContain('deleted');
    await expect(storage.create('by-prune', text('x'), deadline)).rejects.toMatchObject(denied);
    const root = await connect(s3Archive(server, bucket, { url: `s3://${bucket}` }));
    open.push(root);
    await expect(root.delete(['elsewhere'], deadline)).rejects.toMatchObject(denied);
    expect(await server.eye.keys(bucket)).toContain('elsewhere');
  });
});
