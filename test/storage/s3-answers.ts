import type { Answer, Headers } from '../harness/net/http-messages.ts';

/** An error as S3 says it (API reference, "REST error responses"). */
export function s3Error(status: number, code: string, more: { headers?: Headers; fields?: string } = {}): Answer {
  const { headers = {}, fields = '' } = more;
  const body =
    '<?xml version="1.0" encoding="UTF-8"?>\n' +
    `<Error><Code>${code}</Code><Message>in the words of the store</Message>${fields}` +
    '<RequestId>4442587FB7D0A2F9</RequestId><HostId>c2VjcmV0bHkgYW4gaG9zdA==</HostId></Error>';
  return {
    status,
    headers: { 'content-type': 'application/xml', 'x-amz-request-id': '4442587FB7D0A2F9', ...headers },
    body,
  };
}

/** An answer of ListObjectsV2. */
export function listing(fields: string): Answer {
  const body =
    '<?xml version="1.0" encoding="UTF-8"?>\n' +
    `<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>bucket</Name>${fields}</ListBucketResult>`;
  return { status: 200, headers: { 'content-type': 'application/xml' }, body };
}

export function listed(key: string): string {
  return `<Contents><Key>${key}</Key><LastModified>2026-01-02T03:04:05.678Z</LastModified><Size>7</Size></Contents>`;
}

/** An answer to GET or HEAD. */
export function object(headers: Headers = {}, body = 'content'): Answer {
  return {
    status: 200,
    headers: { etag: '"0123"', 'last-modified': 'Fri, 02 Jan 2026 03:04:05 GMT', ...headers },
    body,
  };
}
