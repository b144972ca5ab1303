/**
 * Records of this version and of those before, which did not record whose a request was, in one journal: during an upgrade, or
 * when one is taken back.
 */
import { expect, test, vi } from 'vitest';
import { XdrReader } from '../../../protocol/xdr.ts';
import { DuplicateRequestCache } from '../duplicate-requests/duplicate-request-cache.ts';
import {
  decodeIntentRecord,
  encodeIntentRecord,
  encodeReplyRecord,
  GROUPS_KEPT_MAX,
  keyOfAnswer,
  keyOfIntent,
  noResults,
  payloadAround,
  RESULTS_AT,
  resultsSizeIn,
  resultsToKeep,
} from './journal-payloads.ts';
import { CLIENT_KEY_SIZE, KEY_SIZE } from './journal-records.ts';
import { StoredAnswers } from './stored-answers.ts';

const REQUEST = 'request'.padEnd(KEY_SIZE, '.');
const VICTIM = REQUEST + 'victim'.padEnd(CLIENT_KEY_SIZE, '.');
const ATTACKER = REQUEST + 'attacker'.padEnd(CLIENT_KEY_SIZE, '.');

const intentOf = (key: string, groups: readonly number[], size: number): Uint8Array =>
  encodeIntentRecord({
    key,
    procedure: 12,
    identity: { uid: 1, gid: 2, groups },
    args: new Uint8Array(size).fill(7),
    evidence: new Uint8Array((size * 3) % 31).fill(9),
  });
const buffer = (payload: Uint8Array): Buffer =>
  Buffer.concat([Buffer.from('before'), payload, Buffer.from('behind')]);

test.each([0, 1, 3, 4, 5, 100])(
  'the key of an answer of %i bytes is read with whose it is, if it says so',
  (size) => {
    for (const key of [REQUEST, VICTIM]) {
      const payload = encodeReplyRecord(key, new Uint8Array(size).fill(1));
      expect(keyOfAnswer(buffer(payload), 6, 6 + payload.length)).toBe(key);
    }
  },
);

test.each([0, 1, 3, 16, 100])(
  'the key of an intent with arguments of %i bytes is read with whose it is, if it says so',
  (size) => {
    for (const key of [REQUEST, VICTIM]) {
      for (const groups of [[], [3], Array.from({ length: GROUPS_KEPT_MAX }, (_, i) => i)]) {
        const payload = intentOf(key, groups, size);
        expect(keyOfIntent(buffer(payload), 6, 6 + payload.length)).toBe(key);
        expect(decodeIntentRecord(payload)).toMatchObject({ key, identity: { groups } });
      }
    }
  },
);

test('an intent that this version can’t read is one of its request, and of nobody', () => {
  const payload = intentOf(VICTIM, [3], 8);
  payload.fill(0xff, KEY_SIZE + 12, KEY_SIZE + 16);
  expect(keyOfIntent(Buffer.from(payload), 0, payload.length)).toBe(REQUEST);
});

test('versions before find what they know where it was, and nothing of theirs behind it', () => {
  for (const [now, before] of [
    [encodeReplyRecord(VICTIM, Uint8Array.of(1, 2, 3)), encodeReplyRecord(REQUEST, Uint8Array.of(1, 2, 3))],
    [intentOf(VICTIM, [3], 8), intentOf(REQUEST, [3], 8)],
  ] as const) {
    expect(now.subarray(0, before.length)).toEqual(before);
    expect(now.length - before.length).toBe(CLIENT_KEY_SIZE);
  }
  // As they decode an intent: to the end of its evidence, whatever follows.
  const r = new XdrReader(intentOf(VICTIM, [3], 8));
  r.position = KEY_SIZE + 12 + 8;
  expect([r.opaque(100).length, r.opaque(100).length, r.remaining]).toEqual([8, 24, CLIENT_KEY_SIZE]);
});

function restored(...keys: readonly string[]): DuplicateRequestCache {
  const payloads = keys.map((key, i) => Buffer.from(encodeReplyRecord(key, Uint8Array.of(0, 0, 0, i))));
  const answers = new StoredAnswers(1000);
  for (const payload of payloads)
    answers.add(keyOfAnswer(payload, 0, payload.length), payload, 0, payload.length);
  const cache = new DuplicateRequestCache();
  cache.restore(answers);
  return cache;
}

test('an answer that a version before has recorded is one to every client that sends the call again', () => {
  const cache = restored(REQUEST);
  expect(cache.find(VICTIM)).toEqual(Uint8Array.of(0, 0, 0, 0));
  expect(() => cache.admit(VICTIM, () => {})).toThrow('must not be executed again');
  expect(cache.find(REQUEST.replace('r', 's') + VICTIM.slice(KEY_SIZE))).toBe(null);
});

test('one that this version has recorded is not', () => {
  const cache = restored(VICTIM);
  expect(cache.find(VICTIM)).toEqual(Uint8Array.of(0, 0, 0, 0));
  expect(cache.find(ATTACKER)).toBe(null);
  const both = restored(VICTIM, ATTACKER);
  expect([both.find(VICTIM), both.find(ATTACKER)]).toEqual([
    Uint8Array.of(0, 0, 0, 0),
    Uint8Array.of(0, 0, 0, 1),
  ]);
});

const numbers = (count: number): number[] => Array.from({ length: count }, (_, i) => i + 1);

test.each([[[]], [[7]], [numbers(3)]])('an intent is read as it was written, with groups %j', (groups) => {
  const record = {
    key: REQUEST,
    procedure: 12,
    identity: { uid: 1000, gid: 2 ** 32 - 2, groups },
    args: Uint8Array.from(numbers(13)),
    evidence: Uint8Array.of(9, 8, 7),
  };
  expect(decodeIntentRecord(encodeIntentRecord(record))).toEqual(record);
});

test('an intent keeps the first 4096 groups', () => {
  const identity = { uid: 1, gid: 2, groups: numbers(GROUPS_KEPT_MAX + 1) };
  const record = {
    key: REQUEST,
    procedure: 8,
    identity,
    args: new Uint8Array(4),
    evidence: new Uint8Array(8),
  };
  const read = decodeIntentRecord(encodeIntentRecord(record));
  expect(read).toEqual({ ...record, identity: { ...identity, groups: numbers(GROUPS_KEPT_MAX) } });
});

test('an answer lies behind its key and its size, padded', () => {
  const payload = encodeReplyRecord(REQUEST, Uint8Array.of(1, 2, 3, 4, 5));
  expect(RESULTS_AT).toBe(20);
  expect(Buffer.from(payload).toString('latin1')).toBe(`${REQUEST}\0\0\0\x05\x01\x02\x03\x04\x05\0\0\0`);
  expect(resultsSizeIn(Buffer.from(payload), 0, payload.length)).toBe(5);
});

test('results are kept as a copy, in memory of their own', () => {
  const bytes = Uint8Array.of(1, 2, 3, 4);
  const results = resultsToKeep(REQUEST, bytes);
  expect([...results]).toEqual([1, 2, 3, 4]);
  bytes.fill(9);
  expect([...results]).toEqual([1, 2, 3, 4]);
  expect(payloadAround(REQUEST, results)).toEqual(encodeReplyRecord(REQUEST, Uint8Array.of(1, 2, 3, 4)));
  // What comes next in memory is not touched by it, nor by one without results.
  const next = resultsToKeep(REQUEST, Uint8Array.of(5, 5, 5, 5));
  noResults(REQUEST);
  expect([...next]).toEqual([5, 5, 5, 5]);
});

test('an answer that would end behind its record is damaged', () => {
  const payload = Buffer.from(encodeReplyRecord(REQUEST, new Uint8Array(8)));
  const bytes = Buffer.concat([Buffer.alloc(16), payload]);
  expect(resultsSizeIn(bytes, 16, bytes.length)).toBe(8);
  expect(() => resultsSizeIn(bytes, 16, bytes.length - 1)).toThrow(
    'an answer of 8 bytes in too small a record',
  );
});

test('whose an intent is, is written behind one of any size', async () => {
  vi.resetModules();
  const fresh = await import('./journal-payloads.ts');
  // Over the end of the memory that it is built in at first.
  for (let size = 3900; size < 4200; size += 4) {
    const record = {
      key: VICTIM,
      procedure: 8,
      identity: { uid: 1, gid: 2, groups: [] },
      args: new Uint8Array(size),
      evidence: new Uint8Array(0),
    };
    expect(fresh.decodeIntentRecord(fresh.encodeIntentRecord(record)).key).toBe(VICTIM);
  }
});

test('an intent that is cut short anywhere is read without looking behind it', () => {
  const payload = Buffer.from(intentOf(VICTIM, [3], 8));
  for (let size = KEY_SIZE; size < payload.length; size++)
    expect(keyOfIntent(Buffer.from(payload.subarray(0, size)), 0, size).slice(0, KEY_SIZE)).toBe(REQUEST);
});

test('what a version to come has put behind a record is not taken for a client', () => {
  const more = Buffer.alloc(8, 7);
  for (const [payload, keyOf] of [
    [intentOf(REQUEST, [3], 8), keyOfIntent],
    [encodeReplyRecord(REQUEST, Uint8Array.of(1, 2, 3)), keyOfAnswer],
  ] as const)
    expect(keyOf(Buffer.concat([payload, more]), 0, payload.length + 8)).toBe(REQUEST);
});
