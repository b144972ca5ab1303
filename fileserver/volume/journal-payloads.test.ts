// Records of this version and of those before, which did not record whose a request was, in one journal: during an upgrade, or
// when one is taken back.
import { expect, test } from 'vitest';
import { XdrReader } from '../../protocol/xdr.ts';
import {
  decodeIntentRecord,
  encodeIntentRecord,
  encodeReplyRecord,
  GROUPS_KEPT_MAX,
  keyOfAnswer,
  keyOfIntent,
} from './journal-payloads.ts';
import { CLIENT_KEY_SIZE, KEY_SIZE } from './journal-records.ts';
import { ReplyCache } from './reply-cache.ts';
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

function restored(...keys: readonly string[]): ReplyCache {
  const payloads = keys.map((key, i) => Buffer.from(encodeReplyRecord(key, Uint8Array.of(0, 0, 0, i))));
  const answers = new StoredAnswers(1000);
  for (const payload of payloads)
    answers.add(keyOfAnswer(payload, 0, payload.length), payload, 0, payload.length);
  const cache = new ReplyCache();
  cache.restore(answers);
  return cache;
}

test('an answer that a version before has recorded is one to whoever sends the call again', () => {
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
