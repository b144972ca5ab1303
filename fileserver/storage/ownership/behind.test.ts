/** docs/safety.md, R6: what lies at a volume's path is the volume that was served last, or it is not served. */
import { expect, test } from 'vitest';
import { whyBehind } from './behind.ts';

const written = { epoch: 5, uuid: 'u' };
const why = (...args: Parameters<typeof whyBehind> extends [string, string, ...infer Rest] ? Rest : never) =>
  whyBehind('v', '/srv/v', ...args);

test.each([5, 6])('it is, with a record of epoch %i', (epoch) => {
  expect(why(written, { uuid: 'u', epoch })).toBe(null);
});

test('of a volume that the Lease does not know nothing can be said', () => {
  expect(why(null, null)).toBe(null);
  expect(why(null, { uuid: 'u', epoch: null })).toBe(null);
});

test.each([
  [null, 'volume v: /srv/v holds no FilerPair volume, but this volume was served in epoch 5'],
  [
    { uuid: 'other', epoch: 6 },
    'holds the volume with UUID other, but the one that was served in epoch 5 has UUID u',
  ],
  [{ uuid: 'u', epoch: null }, 'what lies at /srv/v was never served, but this volume was served in epoch 5'],
  [
    { uuid: 'u', epoch: 4 },
    'what lies at /srv/v was served last in epoch 4, but this volume was served in epoch 5',
  ],
])('it is not: %j', (found, sentence) => {
  expect(why(written, found)).toContain(sentence);
});
