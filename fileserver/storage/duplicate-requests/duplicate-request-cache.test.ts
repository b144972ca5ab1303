import { expect, test } from 'vitest';
import { encodeReplyRecord } from '../journal/journal-payloads.ts';
import { KEY_SIZE } from '../journal/journal-records.ts';
import { StoredAnswers } from '../journal/stored-answers.ts';
import { DuplicateRequestCache } from './duplicate-request-cache.ts';

/** NFS3_OK, and bytes that tell one from another. */
const results = (i: number, size = 8): Uint8Array => new Uint8Array(size).fill(i).fill(0, 0, 4);
const failure = (): Uint8Array => new Uint8Array([0, 0, 0, 2]);
/** Answers 0, 1, ... to requests of these keys. */
function stored(names: readonly string[]): StoredAnswers {
  const payloads = names.map((name, i) => Buffer.from(encodeReplyRecord(name.padEnd(KEY_SIZE), results(i))));
  const answers = new StoredAnswers(payloads.reduce((size, { length }) => size + length, 0));
  for (const [i, payload] of payloads.entries()) answers.add(names[i]!, payload, 0, payload.length);
  return answers;
}
const listener = (): void => {};

test('a request is executed once; who sends it again meanwhile waits for the same answer', () => {
  const cache = new DuplicateRequestCache();
  const told: string[] = [];
  expect(cache.admit('a', () => told.push('first'))).toBe('execute');
  expect(cache.admit('a', () => told.push('second'))).toBe('joined');
  expect(cache.find('a')).toBe('running');
  for (const tell of cache.complete('a', results(1))) tell(results(1), 1, 0);
  expect(told).toEqual(['first', 'second']);
  expect(cache.find('a')).toEqual(results(1));
  expect(() => cache.admit('a', listener)).toThrow('must not be executed again');
});

test('keeps the youngest answers within its bounds, and running requests always', () => {
  const cache = new DuplicateRequestCache({ answersMax: 3, bytesMax: 1000, ageMaxMs: 1000 });
  cache.admit('running', listener);
  for (let i = 0; i < 5; i++) cache.complete(`k${i}`, results(i));
  expect([...cache.replies()].map(({ key }) => key)).toEqual(['k2', 'k3', 'k4']);
  expect(cache.find('k1')).toBe(null);
  expect(cache.admit('running', listener)).toBe('joined');
  const small = new DuplicateRequestCache({ answersMax: 100, bytesMax: 100, ageMaxMs: 1000 });
  for (let i = 0; i < 10; i++) small.complete(`k${i}`, results(i, 30));
  expect([...small.replies()].map(({ key }) => key)).toEqual(['k7', 'k8', 'k9']);
});

test('an answer that is too old is none: the same call is a new request then', () => {
  let now = 0;
  const cache = new DuplicateRequestCache({ answersMax: 100, bytesMax: 10_000, ageMaxMs: 1000 }, () => now);
  cache.complete('a', results(1));
  now = 600;
  cache.complete('b', results(2));
  now = 1000;
  expect(cache.find('a')).toEqual(results(1));
  now = 1001;
  cache.evict();
  expect(cache.find('a')).toBe(null);
  expect([...cache.replies()].map(({ key }) => key)).toEqual(['b']);
  expect(cache.admit('a', listener)).toBe('execute');
  now = 5000;
  cache.complete('a', results(3));
  cache.evict();
  expect([...cache.replies()].map(({ key }) => key)).toEqual(['a']);
});

test('a hundred thousand answers later it is no larger', () => {
  const cache = new DuplicateRequestCache({ answersMax: 100, bytesMax: 10_000, ageMaxMs: 1000 });
  for (let i = 0; i < 100_000; i++) {
    cache.admit(`k${i}`, listener);
    cache.complete(`k${i}`, results(1));
  }
  expect(cache.replyCount).toBe(100);
  expect([...cache.replies()]).toHaveLength(100);
});

test('answers of an owner before count from now, within the same bounds', () => {
  let now = 5000;
  const cache = new DuplicateRequestCache({ answersMax: 3, bytesMax: 1000, ageMaxMs: 1000 }, () => now);
  cache.restore(stored(['a', 'b', 'c', 'd']));
  expect([...cache.replies()].map(({ key }) => key)).toEqual(['b', 'c', 'd']);
  expect(cache.find('b')).toEqual(results(1));
  now = 6000;
  cache.evict();
  expect(cache.find('d')).toEqual(results(3));
  now = 6001;
  cache.evict();
  expect(cache.find('d')).toBe(null);
});

// 4,096 connections with a call each, and those of the failover before.
test('an answer is there when 8,000 others have been given since', () => {
  const cache = new DuplicateRequestCache();
  for (let i = 0; i <= 8000; i++) cache.complete(`k${i}`, results(1, 200));
  expect(cache.find('k0')).toEqual(results(1, 200));
});

/** The calls of one client, all of them executed. */
function answer(cache: DuplicateRequestCache, client: number, count: number, given: () => Uint8Array): void {
  for (let i = 0; i < count; i++) {
    const key = `client ${client}, call ${i}, ${given()[3]}`;
    cache.admit(key, listener, client);
    cache.complete(key, given());
  }
}

test('9,000 calls that fail cost nobody the answer to one that was executed', () => {
  const cache = new DuplicateRequestCache();
  cache.admit('victim', listener, 1);
  cache.complete('victim', results(1));
  answer(cache, 2, 9000, failure);
  expect(cache.find('victim')).toEqual(results(1));
  expect(cache.replyCount).toBeLessThan(1100);
});

test('a client with thousands of answers loses its own for more, and others keep theirs', () => {
  const cache = new DuplicateRequestCache();
  for (const client of [1, 2, 3]) answer(cache, client, 500, () => results(1));
  answer(cache, 4, 20_000, () => results(1));
  for (const client of [1, 2, 3])
    expect(cache.find(`client ${client}, call 0, 0`), `of client ${client}`).not.toBe(null);
  expect(cache.find('client 4, call 19999, 0')).not.toBe(null);
  expect(cache.find('client 4, call 0, 0')).toBe(null);
  expect(cache.replyCount).toBe(8192);
});

test('answers of an owner before are not the first to go', () => {
  const cache = new DuplicateRequestCache({ answersMax: 10, bytesMax: 10_000, ageMaxMs: 1000 });
  cache.restore(stored(['a', 'b', 'c', 'd']));
  answer(cache, 1, 50, () => results(1));
  expect(cache.find('a')).not.toBe(null);
  answer(cache, 2, 50, failure);
  expect(cache.find('a')).not.toBe(null);
});

test('answers of an owner before are the first that the cache gets', () => {
  const cache = new DuplicateRequestCache();
  cache.complete('a', results(1));
  expect(() => cache.restore(stored(['b']))).toThrow('come first');
});

test('an answer that is given anew replaces the one before, with its age, and counts once', () => {
  let now = 0;
  const cache = new DuplicateRequestCache({ answersMax: 8, bytesMax: 1000, ageMaxMs: 1000 }, () => now);
  cache.restore(stored(['settled']));
  cache.complete('settled', results(7));
  cache.complete('twice', failure());
  now = 600;
  cache.complete('twice', results(8));
  expect(cache.replyCount).toBe(2);
  expect([...cache.replies()].map(({ key }) => key)).toEqual(['settled', 'twice']);
  expect([cache.find('settled'), cache.find('twice')]).toEqual([results(7), results(8)]);
  now = 1001;
  cache.evict();
  expect(cache.replyCount).toBe(0);
});

test('a request that is given up counts as one that never came; one that has its answer keeps it', () => {
  const cache = new DuplicateRequestCache();
  cache.admit('a', listener);
  expect(cache.abandon('a')).toEqual([listener]);
  expect(cache.find('a')).toBe(null);
  expect(cache.admit('a', listener)).toBe('execute');
  cache.complete('a', results(1));
  expect(cache.abandon('a')).toEqual([]);
  expect(cache.find('a')).toEqual(results(1));
});

test('bounds may be reached: by all answers together, and by those of calls that failed in an eighth of them', () => {
  const count = { answersMax: 16, bytesMax: 100_000, ageMaxMs: 1000 };
  const bytes = { answersMax: 1000, bytesMax: 16 * 8, ageMaxMs: 1000 };
  for (const limits of [count, bytes]) {
    const cache = new DuplicateRequestCache(limits);
    cache.restore(stored(['a', 'b']));
    const failed = limits === bytes ? () => new Uint8Array([0, 0, 0, 2, 0, 0, 0, 0]) : failure;
    answer(cache, 1, 2, failed);
    answer(cache, 2, 14, () => results(1));
    expect(cache.replyCount).toBe(18);
    answer(cache, 3, 1, failed);
    expect(cache.replyCount).toBe(18);
    answer(cache, 4, 1, () => results(1));
    expect(cache.replyCount).toBe(18);
    expect(cache.find('a')).not.toBe(null);
  }
});

test('of answers of an owner before and of one client the more numerous ones go, those of before where they are as many', () => {
  const cache = new DuplicateRequestCache({ answersMax: 4, bytesMax: 10_000, ageMaxMs: 1000 });
  cache.restore(stored(['a', 'b']));
  answer(cache, 1, 2, () => results(1));
  expect(cache.find('a')).not.toBe(null);
  answer(cache, 2, 1, () => results(1));
  expect([cache.find('a'), cache.find('b')]).toEqual([null, results(1)]);
});
