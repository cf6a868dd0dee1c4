import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { directoryOf } from '../../src/storage/file/url.ts';
import { anyCharacter } from '../harness/arbitraries.ts';
import { parseArchiveUrl, parseEndpoint, redactUrl, UrlProblem } from '../../src/settings/url.ts';

describe('the URL of an archive', () => {
  test.each([
    ['file:///archive', 'file:///archive'],
    ['FILE:///archive/', 'file:///archive'],
    ['file:///mnt/wal archive', 'file:///mnt/wal%20archive'],
    ['file:///mnt/a%3Fb', 'file:///mnt/a%3Fb'],
    ['file:///mnt/%61%20b%25', 'file:///mnt/a%20b%25'],
    ['file:///C|/x', 'file:///C%7C/x'],
    ['file:///mnt/wäl', 'file:///mnt/w%C3%A4l'],
    ['s3://bucket', 's3://bucket'],
    ['s3://bucket/', 's3://bucket'],
    ['s3://bucket/pre/fix/', 's3://bucket/pre/fix'],
    ['gs://my_bucket.example.com/x', 'gs://my_bucket.example.com/x'],
    ['azure://container/prefix', 'azure://container/prefix'],
  ])('%s is taken as %s, and stays so', (text, url) => {
    expect(parseArchiveUrl(text).url).toBe(url);
    expect(parseArchiveUrl(url).url).toBe(url);
  });

  test.each([
    '',
    'bucket/prefix',
    '/archive',
    'file:/archive',
    'file://archive/wal',
    'file:///',
    'file:///a/../b',
    'file:///a/%2e%2E/b',
    'file:///a//b',
    'file:///a%2fb',
    'file:///a%b',
    'file:///a%ff',
    'file:///a%00',
    'file:///a\\b',
    's3:///prefix',
    's3://bucket//prefix',
    's3://bucket/./prefix',
    's3://bucket/a%20b',
    's3://bucket?region=x',
    's3://bucket#x',
    's3://bu\ncket',
    'https://bucket.s3.amazonaws.com',
    'ftp://host/x',
  ])('%j is refused', (text) => {
    expect(() => parseArchiveUrl(text)).toThrow(UrlProblem);
  });
});

test('a file URL names the same directory before and after', () => {
  const name = fc.string({ unit: anyCharacter, minLength: 1 }).filter((text) => !/^\.\.?$|[/\0]/.test(text));
  fc.assert(
    fc.property(fc.array(name, { minLength: 1, maxLength: 3 }), (names) => {
      const { url } = parseArchiveUrl(`file:///${names.map(encodeURIComponent).join('/')}`);
      expect(directoryOf(url)).toBe(`/${names.join('/')}`);
      expect(parseArchiveUrl(url).url).toBe(url);
    }),
  );
});

test('an endpoint is an http or https URL', () => {
  expect(parseEndpoint('https://s3.example.com:9000/')).toBe('https://s3.example.com:9000');
  expect(parseEndpoint('http://127.0.0.1:10000/devstoreaccount1')).toBe('http://127.0.0.1:10000/devstoreaccount1');
  for (const bad of ['s3.example.com', 'ftp://host', 'http://', 'http://a b', 'https://host?sig=x']) {
    expect(() => parseEndpoint(bad), bad).toThrow(UrlProblem);
  }
});

test.each([
  's3://key:hunter2@bucket/x',
  's3://key:hun/ter2@bucket',
  'https://u:hunter2@host',
  'https://host/?sig=hunter2',
  'u:hunter2@host',
])('a password in %s is neither accepted nor shown', (text) => {
  for (const parse of [parseArchiveUrl, parseEndpoint]) {
    expect(() => parse(text)).toThrow(UrlProblem);
    expect(() => parse(text)).not.toThrow(/hunter2|ter2/);
  }
  expect(redactUrl(text)).not.toContain('ter2');
});
