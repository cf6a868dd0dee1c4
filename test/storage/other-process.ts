/**
 * An archive as another process, or another user, sees it: node other-process.ts URL UID. UID 0 keeps the user.
 * Every line of standard input is a call, as a JSON array of verb, key and content; every line of output its outcome.
 */
import { createInterface } from 'node:readline';
import { connect } from '../../src/storage/connect.ts';
import { Deadline } from '../../src/storage/deadline.ts';
import { StorageError } from '../../src/storage/errors.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { collect, text } from './bodies.ts';

const [url = '', uid = '0'] = process.argv.slice(2);

async function act(
  storage: Storage,
  deadline: Deadline,
  [verb, key = '', content = '']: readonly string[],
): Promise<string> {
  switch (verb) {
    case 'create':
      await storage.create(key, text(content), deadline);
      return 'created';
    case 'get':
      return (await collect((await storage.get(key, deadline)).bytes)).toString();
    case 'head':
      return String((await storage.head(key, deadline)).size);
    case 'list': {
      const keys: string[] = [];
      for await (const page of storage.list(key, {}, deadline)) keys.push(...page.map((object) => object.key));
      return keys.join(' ');
    }
    case 'delete':
      await storage.delete([key], deadline);
      return 'deleted';
    default:
      throw new Error(`no verb ${String(verb)}`);
  }
}

async function outcome(storage: Storage, call: readonly string[]): Promise<object> {
  const deadline = new Deadline(20_000, { what: 'the other process' });
  try {
    return { done: await act(storage, deadline, call) };
  } catch (error) {
    if (error instanceof StorageError) return { kind: error.kind, message: error.message };
    throw error;
  } finally {
    deadline.close();
  }
}

const storage = await connect({ url, scheme: 'file' });
if (uid !== '0') process.setuid?.(Number(uid));
console.log('ready');
for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await outcome(storage, JSON.parse(line) as string[])));
}
