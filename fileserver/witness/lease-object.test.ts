// What others put beside the ownership on a Lease: text that anybody with the right may write, so nothing of it is believed
// that is not well-formed.
import { expect, test } from 'vitest';
import type { Lease } from '../../kubernetes/objects.ts';
import { leaseAnnotations } from '../../kubernetes/words.ts';
import { recordOf, withNotes } from './lease-object.ts';

const lease = (annotations: Record<string, string>): Lease => ({
  metadata: { name: 'home-filer-a', annotations },
  spec: { leaseTransitions: 3 },
});
const standstillOf = (value: unknown) =>
  recordOf(lease({ [leaseAnnotations.standstill]: JSON.stringify(value) })).standstill;

test('a standstill: who asked, at which epoch, for how long', () => {
  expect(standstillOf({ id: 'one@1', epoch: 3, msMax: 10_000 })).toEqual({
    id: 'one@1',
    epoch: 3,
    msMax: 10_000,
    over: false,
  });
  expect(standstillOf({ id: 'one@1', epoch: 3, msMax: 10_000, over: true })?.over).toBe(true);
});

test('clients wait for twenty seconds at most, whatever it asks for', () => {
  expect(standstillOf({ id: 'one@1', epoch: 3, msMax: 3_600_000 })?.msMax).toBe(20_000);
});

test.each([
  [{ epoch: 3, msMax: 10 }],
  [{ id: 'one@1', msMax: 10 }],
  [{ id: 'one@1', epoch: 3, msMax: 0 }],
  [{ id: 'one@1', epoch: 3, msMax: '10' }],
  [{ id: 'one@1', epoch: 3.5, msMax: 10 }],
  ['stand still'],
])('%j asks for nothing', (value) => {
  expect(standstillOf(value)).toBeUndefined();
});

test('what came of it stands beside it', () => {
  const answer = { id: 'one@1', state: 'Whole' as const, message: '' };
  const { annotations } = withNotes(lease({ kept: 'yes' }), { standstillAnswer: answer }).metadata;
  expect(annotations).toEqual({ kept: 'yes', [leaseAnnotations.standstillAnswer]: JSON.stringify(answer) });
});
