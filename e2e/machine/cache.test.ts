import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Cache, cached, cacheIn, contentHash, withLock } from './cache.ts';

let cache: Cache;
beforeEach(() => {
  cache = cacheIn(mkdtempSync(join(tmpdir(), 'filerpair-cache-')));
});
afterEach(() => rmSync(cache.root, { recursive: true, force: true }));

const make = (text: string) => async (directory: string) => writeFileSync(join(directory, 'made'), text);
const content = (directory: string) => readFileSync(join(directory, 'made'), 'utf8');
const entries = () => readdirSync(cache.root).filter((name) => !name.endsWith('.lock'));

test('makes an entry once, and again when an input changes', async () => {
  const first = await cached(cache, 'thing', ['v1'], make('one'));
  const again = await cached(cache, 'thing', ['v1'], make('never made'));
  const other = await cached(cache, 'thing', ['v2'], make('two'));
  expect([content(first), content(again), content(other)]).toEqual(['one', 'one', 'two']);
});

test('two inputs are not the same as one input that looks like both', () => {
  expect(contentHash(['ab', 'c'])).not.toBe(contentHash(['a', 'bc']));
  expect(contentHash(['abc'])).not.toBe(contentHash(['abc', '']));
});

test('leaves nothing that looks finished when making it fails, and makes it the next time', async () => {
  const fail = async (directory: string) => {
    writeFileSync(join(directory, 'made'), 'half');
    throw new Error('interrupted');
  };
  await expect(cached(cache, 'thing', [], fail)).rejects.toThrow('interrupted');
  expect(entries().filter((name) => !name.endsWith('.unfinished'))).toEqual([]);
  expect(content(await cached(cache, 'thing', [], make('whole')))).toBe('whole');
});

test('two at once: the second takes what the first has made', async () => {
  let made = 0;
  const slowly = async (directory: string) => {
    made += 1;
    await new Promise((resolve) => setImmediate(resolve));
    await make('slowly')(directory);
  };
  const [one, two] = await Promise.all([
    cached(cache, 'thing', [], slowly),
    cached(cache, 'thing', [], slowly),
  ]);
  expect(made).toBe(1);
  expect(one).toBe(two);
});

test('a lock is free again after its holder has failed', async () => {
  const lock = join(cache.root, 'lock');
  await expect(withLock(lock, 'a failure', () => Promise.reject(new Error('no')))).rejects.toThrow('no');
  expect(await withLock(lock, 'nothing', async () => 'held')).toBe('held');
});

test('an older entry of the same name goes when a newer one is made and nobody has used it for long', async () => {
  const old = await cached(cache, 'thing', ['old'], make('old'));
  const recent = await cached(cache, 'thing', ['recent'], make('recent'));
  const longAgo = new Date(Date.now() - 40 * 24 * 3600 * 1000);
  utimesSync(old, longAgo, longAgo);
  const fresh = await cached(cache, 'thing', ['new'], make('new'));
  expect([existsSync(old), existsSync(recent), existsSync(fresh)]).toEqual([false, true, true]);
});
