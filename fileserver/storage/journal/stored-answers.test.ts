import { beforeEach, expect, test } from 'vitest';
import { encodeReplyRecord } from './journal-payloads.ts';
import { StoredAnswers } from './stored-answers.ts';

const key = (name: string): string => name.padEnd(16, '.');
let answers: StoredAnswers;

beforeEach(() => {
  answers = new StoredAnswers(4096);
});

function add(name: string, size: number): void {
  const payload = encodeReplyRecord(key(name), new Uint8Array(size).fill(size));
  // Somewhere in a segment.
  const from = Buffer.concat([Buffer.alloc(40), payload, Buffer.alloc(8)]);
  answers.add(key(name), from, 40, 40 + payload.length);
}

const all = (): string[] =>
  [...answers.entries()].map((one) => `${one.key.replaceAll('.', '')} ${one.results.length}`);

test('gives what was added, the oldest first, and counts it', () => {
  add('a', 4);
  add('b', 8);
  expect(all()).toEqual(['a 4', 'b 8']);
  expect([...answers.results(key('b'))!]).toEqual(new Array(8).fill(8));
  expect([answers.count, answers.resultsSize]).toEqual([2, 12]);
  expect([answers.has(key('a')), answers.has(key('c'))]).toEqual([true, false]);
  expect(answers.results(key('c'))).toBe(null);
});

test('of the same key the youngest counts, in its place', () => {
  add('a', 4);
  add('b', 8);
  add('a', 12);
  expect(all()).toEqual(['b 8', 'a 12']);
  expect([answers.count, answers.resultsSize]).toEqual([2, 20]);
});

test('what was deleted is gone, and counts no more', () => {
  add('a', 4);
  add('b', 8);
  answers.delete(key('a'));
  answers.delete(key('c'));
  expect(all()).toEqual(['b 8']);
  expect([answers.count, answers.resultsSize]).toEqual([1, 8]);
});

test('the oldest that is there is deleted, one at a time', () => {
  for (const [name, size] of [
    ['a', 4],
    ['b', 8],
    ['c', 12],
    ['a', 16],
  ] as const)
    add(name, size);
  answers.delete(key('b'));
  answers.deleteOldest();
  expect(all()).toEqual(['a 16']);
  expect(answers.resultsSize).toBe(16);
  answers.deleteOldest();
  expect([answers.count, answers.resultsSize]).toEqual([0, 0]);
  answers.deleteOldest();
  add('d', 4);
  expect(all()).toEqual(['d 4']);
  answers.deleteOldest();
  expect(all()).toEqual([]);
});

test('an answer that says it is longer than its record is refused', () => {
  const payload = Buffer.from(encodeReplyRecord(key('a'), new Uint8Array(8)));
  payload.writeUInt32BE(9 + 40, 16);
  const from = Buffer.concat([Buffer.alloc(40), payload]);
  expect(() => answers.add(key('a'), from, 40, from.length)).toThrow('an answer of 49 bytes');
});

/** Of one client, or of every sender of the call, as versions before have recorded it. */
const call = 'call'.padEnd(16, '.');
const of = (client: string): string => call + client.padEnd(16, '.');

function addKey(whole: string, size: number): void {
  const payload = Buffer.from(encodeReplyRecord(whole, new Uint8Array(size)));
  answers.add(whole, payload, 0, payload.length);
}

test('what a version before has recorded is anybody’s, and stays so whatever else is deleted', () => {
  addKey(call, 4);
  addKey(of('a'), 8);
  // The client's own counts before it.
  expect([answers.results(of('a'))?.length, answers.results(of('b'))?.length]).toEqual([8, 4]);
  expect([answers.has(of('a')), answers.has(of('b'))]).toEqual([true, true]);
  answers.delete(of('a'));
  expect([answers.results(of('a'))?.length, answers.results(of('b'))?.length]).toEqual([4, 4]);
  answers.delete(call);
  expect([answers.has(of('a')), answers.results(of('b'))]).toEqual([false, null]);
});

test('what this version has recorded is one client’s', () => {
  addKey(of('a'), 8);
  expect([answers.has(of('a')), answers.has(of('b')), answers.has(call)]).toEqual([true, false, false]);
});
