import { ContainerClient, type ContainerListBlobFlatSegmentResponse } from '@azure/storage-blob';

import type { Deadline } from '../deadline.ts';
import { StorageError } from '../errors.ts';
import { compareKeys } from '../order.ts';
import { retryingPage } from '../retry.ts';
import type { ListedObject, ListOptions } from '../storage.ts';
import { Call } from './call.ts';
import type { Client } from './client.ts';

/** The most that the service gives at once. */
const PAGE = 5_000;
/** What accounts with a hierarchical namespace list besides objects. */
const DIRECTORY = '<ResourceType>directory</ResourceType>';

/**
 * All blobs whose keys match, as the service pages them. It begins near `after`, not at the timeline's first segment;
 * a service that does not know where to start gives them all, and is only slower.
 */
export async function* listBlobs(
  client: Client,
  prefix: string,
  { after = '', limit = PAGE }: ListOptions,
  deadline: Deadline,
): AsyncGenerator<readonly ListedObject[], void, undefined> {
  const container = new ContainerClient(client.containerUrl, client.pipeline);
  const from = startOf(prefix, after);
  const pageSize = Math.max(1, Math.min(limit, PAGE));
  // The start itself may be the first, and is not wanted.
  const maxPageSize = Math.min(PAGE, pageSize + (from === undefined ? 0 : 1));
  const query = {
    prefix: `${client.root}${prefix}`,
    ...(from !== undefined && { startFrom: `${client.root}${from}` }),
  };
  let token: string | undefined;
  do {
    const settings = { maxPageSize, ...(token !== undefined && { continuationToken: token }) };
    const ask = async (): Promise<{ call: Call; page: ContainerListBlobFlatSegmentResponse }> => {
      const call = new Call({ verb: 'list', key: prefix, container: client.container }, deadline);
      return { call, page: await askPage(call, container, query, settings) };
    };
    const { call, page } = await retryingPage(token === undefined, ask, deadline);
    const listed = objectsOf(page, directoriesIn(call), client.root, prefix);
    const objects = listed.filter(({ key }) => compareKeys(key, after) > 0);
    for (let start = 0; start === 0 || start < objects.length; start += pageSize) {
      yield objects.slice(start, start + pageSize);
    }
    token = nextOf(page, call, token);
  } while (token !== undefined);
}

async function askPage(
  call: Call,
  container: ContainerClient,
  query: { prefix: string; startFrom?: string },
  settings: { maxPageSize: number; continuationToken?: string },
): Promise<ContainerListBlobFlatSegmentResponse> {
  try {
    const result = await call.ask((abortSignal) =>
      container
        .listBlobsFlat({ ...query, abortSignal })
        .byPage(settings)
        .next(),
    );
    if (result.done === true) throw new Error('the SDK gives no page');
    return result.value;
  } finally {
    call.close();
  }
}

/**
 * A key to start from, at or before the first that is wanted, in whatever order the service has. Accounts with
 * directories sort a slash before all else, and others than ASCII characters may sort by another encoding: so it ends
 * before the first character, behind the prefix, that could sort differently.
 */
function startOf(prefix: string, after: string): string | undefined {
  if (!after.startsWith(prefix)) return undefined;
  const [same = ''] = /^[/-~]*/.exec(after.slice(prefix.length)) ?? [];
  return same === '' ? undefined : `${prefix}${same}`;
}

/** Blobs as the answer has them, in its order, and whether each is a directory. The SDK does not read that. */
function directoriesIn({ answer }: Call): readonly boolean[] {
  const text = answer?.text ?? '';
  if (!text.includes(DIRECTORY)) return [];
  return text
    .split('<Blob>')
    .slice(1)
    .map((blob) => blob.includes(DIRECTORY));
}

function objectsOf(
  page: ContainerListBlobFlatSegmentResponse,
  directories: readonly boolean[],
  root: string,
  prefix: string,
): ListedObject[] {
  const blobs = page.segment.blobItems.filter((_, index) => directories[index] !== true);
  return blobs.map(({ name, properties }) => {
    const { contentLength, lastModified } = properties;
    const isAsked = name.startsWith(`${root}${prefix}`);
    if (isAsked && contentLength !== undefined && !Number.isNaN(lastModified.getTime())) {
      return { key: name.slice(root.length), size: contentLength, modified: lastModified };
    }
    throw new StorageError(
      'corrupt',
      `a listing of ${prefix} holds ${name}, which was not asked for, or has no size or time`,
    );
  });
}

/** The service always says what comes next, if only nothing: where it does not, the listing is not whole. */
function nextOf(page: ContainerListBlobFlatSegmentResponse, call: Call, last: string | undefined): string | undefined {
  const text = call.answer?.text ?? '';
  const { continuationToken: next } = page;
  const isWhole = /<NextMarker\s*(\/>|>)/.test(text) && text.trimEnd().endsWith('</EnumerationResults>');
  if (isWhole && !next) return undefined;
  if (isWhole && next !== last) return next;
  throw new StorageError('unreachable', `list of ${call.question.key}: a page does not say how the listing goes on`);
}
