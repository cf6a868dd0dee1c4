import { describe, expect, it } from 'vitest';
import { Place } from '../../src/storage/gs/place.ts';

describe('the place of an archive in Cloud Storage', () => {
  const at = (url: string, endpoint?: string, env: NodeJS.ProcessEnv = {}): Place => new Place({ url, endpoint, env });

  it.each([
    ['gs://bucket', undefined, {}, 'https://storage.googleapis.com', true],
    ['gs://bucket', 'https://storage.example/a', {}, 'https://storage.example/a', true],
    ['gs://bucket', 'http://127.0.0.1:4443', {}, 'http://127.0.0.1:4443', false],
    ['gs://bucket', undefined, { STORAGE_EMULATOR_HOST: 'localhost:4443' }, 'http://localhost:4443', false],
    ['gs://bucket', undefined, { STORAGE_EMULATOR_HOST: 'https://emulator/' }, 'https://emulator', false],
    ['gs://bucket', undefined, { STORAGE_EMULATOR_HOST: '' }, 'https://storage.googleapis.com', true],
    ['gs://bucket', 'https://a.example', { STORAGE_EMULATOR_HOST: 'localhost:1' }, 'https://a.example', true],
  ])('%s with %s and %j is asked at %4$s', (url, endpoint, env, base, isAuthenticated) => {
    const place = at(url, endpoint, env);
    expect(place.media('1/a').href).toBe(`${base}/download/storage/v1/b/bucket/o/1%2Fa?alt=media`);
    expect(place.isAuthenticated).toBe(isAuthenticated);
  });

  it('names objects as they are, and addresses them encoded', () => {
    const place = at('gs://bucket/pre fix');
    const key = "1/ü%2F+?#&='()*\\";
    const name = `pre fix/${key}`;
    expect(place.nameOf(key)).toBe(name);
    expect(place.keyOf(name)).toBe(key);
    const path = place.object(key, {}).pathname.split('/o/')[1] ?? '';
    expect(path).not.toContain('/');
    expect(decodeURIComponent(path)).toBe(name);
    expect(place.objects({ prefix: name, pageToken: undefined }).searchParams.toString()).toBe(
      new URLSearchParams({ prefix: name }).toString(),
    );
  });

  it('knows what is none of its objects', () => {
    const place = at('gs://bucket/prefix');
    expect(place.keyOf('prefix/')).toBeUndefined();
    expect(place.keyOf('prefix-other/a')).toBeUndefined();
    expect(at('gs://bucket').keyOf('a')).toBe('a');
  });

  it.each([
    ['gs:///prefix', {}],
    ['gs://bucket', { STORAGE_EMULATOR_HOST: 'http://' }],
  ])('refuses %s with %j', (url, env) => {
    expect(() => at(url, undefined, env)).toThrow(expect.objectContaining({ kind: 'configuration' }) as Error);
  });
});
