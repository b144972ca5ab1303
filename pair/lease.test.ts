import { describe, expect, test } from 'vitest';
import { incarnationOf } from './incarnation.ts';
import {
  claimed,
  emptyLease,
  type LeaseOwnership,
  type LeaseRecord,
  laterWritten,
  notOlder,
  released,
  renewed,
  sameOwnership,
  sameParties,
  volumesAheadOf,
} from './lease.ts';

const a = incarnationOf('filer-a', 'podA', 'run1');
const b = incarnationOf('filer-b', 'podB', 'run1');
const held: LeaseRecord = {
  ...emptyLease,
  holder: a,
  epoch: 3,
  acknowledger: b,
  renewal: 7,
  claimAfterMs: 2500,
};

describe('what a server writes', () => {
  test.each<[string, () => LeaseOwnership, Partial<LeaseOwnership>]>([
    [
      'a claim',
      () => claimed(held, b, null, 2600),
      { holder: b, epoch: 4, acknowledger: null, claimAfterMs: 2600 },
    ],
    ['a renewal', () => renewed(held, null), { holder: a, epoch: 3, acknowledger: null, claimAfterMs: 2500 }],
    [
      'a pairing',
      () => renewed({ ...held, acknowledger: null }, b),
      { holder: a, epoch: 3, acknowledger: b },
    ],
    [
      'a release',
      () => released(held, 'filer-b'),
      { holder: null, epoch: 3, acknowledger: null, releasedTo: 'filer-b', claimAfterMs: null },
    ],
  ])('%s looks like nothing before it, and is newer', (_, write, expected) => {
    const ownership = write();
    expect(ownership).toMatchObject({ releasedTo: null, ...expected, renewal: 8 });
    expect(sameOwnership(ownership, held)).toBe(false);
    expect(notOlder(ownership, held)).toBe(true);
    expect(notOlder(held, ownership)).toBe(false);
  });
});

describe('two sightings', () => {
  test.each<Partial<LeaseRecord>>([
    { renewal: 8 },
    { epoch: 4 },
    { holder: b },
    { acknowledger: null },
    { releasedTo: 'filer-b' },
  ])('differ in their ownership by %o', (change) => {
    expect(sameOwnership({ ...held, ...change }, held)).toBe(false);
  });

  test('do not differ by what others put beside it', () => {
    const deathProof = { incarnation: a, epoch: 3, evidence: 'exited' };
    const request = { id: 'r1', kind: 'takeover', reason: '' } as const;
    const beside: LeaseRecord = { ...held, deathProof, request, maintenance: 'x' };
    expect(sameOwnership(beside, held)).toBe(true);
  });

  test('are about the same parties whatever was renewed', () => {
    expect(sameParties({ ...held }, renewed(held, b))).toBe(true);
    expect(sameParties(held, renewed(held, null))).toBe(false);
    expect(sameParties(held, { ...held, epoch: 4 })).toBe(false);
    expect(sameParties(held, { ...held, holder: b })).toBe(false);
  });

  test('have an order: by epoch, then by renewal', () => {
    expect(notOlder({ ...held, epoch: 4, renewal: 1 }, held)).toBe(true);
    expect(notOlder({ ...held, epoch: 2, renewal: 99 }, held)).toBe(false);
    expect(notOlder(held, held)).toBe(true);
  });
});

test('what is known of the volumes is never lowered by a note that comes late', () => {
  const at = (epoch: number, uuid: string) => ({ epoch, volumes: { data: uuid } });
  expect(laterWritten(undefined, at(3, 'new'))).toEqual(at(3, 'new'));
  expect(laterWritten(at(4, 'old'), at(3, 'new'))).toEqual(at(4, 'old'));
  expect(laterWritten(at(3, 'old'), at(3, 'new'))).toEqual(at(3, 'new'));
  expect(laterWritten(at(2, 'old'), at(3, 'new'))).toEqual(at(3, 'new'));
});

describe('what is known of volumes that are ahead of the Lease', () => {
  const at = (epoch: number, message = 'read') => ({ epoch, message });
  const own = { ...held, holder: b };

  test.each<[string, LeaseRecord, ReturnType<typeof at> | null, ReturnType<typeof at> | null]>([
    ['is nothing where none was written or read', held, null, null],
    ['is what the Lease says', { ...held, volumesAhead: at(5, 'written') }, null, at(5, 'written')],
    ['is what was read, if the Lease says nothing', held, at(5), at(5)],
    ['is the higher of both', { ...held, volumesAhead: at(6, 'written') }, at(5), at(6, 'written')],
    ['is what was read, if that is not lower', { ...held, volumesAhead: at(5, 'written') }, at(5), at(5)],
    ['ends when the Lease has gone beyond it', { ...held, epoch: 6 }, at(5), null],
    ['stands while this server holds the Lease at that epoch', { ...own, epoch: 5 }, at(5), at(5)],
    ['ends when another one holds the Lease at that epoch', { ...held, epoch: 5 }, at(5), null],
    [
      'ends when another one has released it without a word of it',
      { ...held, epoch: 5, holder: null },
      at(5),
      null,
    ],
    [
      'stands when it was released with that word',
      { ...held, epoch: 5, holder: null, volumesAhead: at(5, 'written') },
      at(5),
      at(5),
    ],
  ])('%s', (_, record, known, expected) => {
    expect(volumesAheadOf(record, known, b)).toEqual(expected);
  });
});
