/** What is known of the DNS: unknown until it has answered, never "no such name" because it did not. */

import { expect, test } from 'vitest';
import { DnsAnswers } from './dns-answers.ts';

const question = { name: 'home-a.nas.example.org', type: 'A' as const };
const KEY = 'home-a.nas.example.org/A';
const failure = (code: string) => Object.assign(new Error(code), { code });

/** Asks once and waits for the answer. */
async function told(answer: () => Promise<readonly string[]>) {
  const answers = new DnsAnswers(answer);
  const changed = Promise.withResolvers<void>();
  answers.want('storage/home', [question], changed.resolve);
  expect(answers.of('storage/home')).toEqual({ [KEY]: 'unknown' });
  await Promise.race([changed.promise, new Promise(setImmediate)]);
  return answers.of('storage/home')[KEY];
}

test('addresses, in an order that does not change', async () => {
  expect(await told(async () => ['10.0.0.2', '10.0.0.1'])).toEqual(['10.0.0.1', '10.0.0.2']);
});

test.each(['ENOTFOUND', 'ENODATA'])('%s: there is no such record', async (code) => {
  expect(await told(() => Promise.reject(failure(code)))).toEqual([]);
});

test.each(['ETIMEOUT', 'ESERVFAIL', 'ECONNREFUSED'])('%s: it is not known', async (code) => {
  expect(await told(() => Promise.reject(failure(code)))).toBe('unknown');
});

test('is asked again when the answer is old, not before, and tells when it is another one', async () => {
  let now = 0;
  let address = '10.0.0.1';
  let asked = 0;
  let changes = 0;
  const ask = async () => {
    asked += 1;
    return [address];
  };
  const answers = new DnsAnswers(ask, () => now);
  const look = async () => {
    answers.want('storage/home', [question], () => {
      changes += 1;
    });
    await new Promise(setImmediate);
    return [asked, changes, answers.of('storage/home')[KEY]];
  };
  expect(await look()).toEqual([1, 1, ['10.0.0.1']]);
  expect(await look()).toEqual([1, 1, ['10.0.0.1']]);
  now = 60_000;
  expect(await look()).toEqual([2, 1, ['10.0.0.1']]);
  address = '10.0.0.9';
  now = 120_000;
  expect(await look()).toEqual([3, 2, ['10.0.0.9']]);
});

test('forgets what is not wanted any more, also what is still being asked', async () => {
  const answer = Promise.withResolvers<string[]>();
  const answers = new DnsAnswers(() => answer.promise);
  let changes = 0;
  answers.want('storage/home', [question], () => {
    changes += 1;
  });
  answers.want('storage/home', [], () => {});
  answer.resolve(['10.0.0.1']);
  await new Promise(setImmediate);
  expect([answers.of('storage/home'), changes]).toEqual([{}, 0]);
});
