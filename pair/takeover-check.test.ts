/** The dry run, one reason at a time. */
import { describe, expect, test } from 'vitest';
import { incarnationOf } from './incarnation.ts';
import { emptyLease, type LeaseRecord } from './lease.ts';
import { initialServer, type ServerState } from './server/state.ts';
import { step } from './server.ts';
import { SLEW_MAX } from './serving-lease.ts';
import { type TakeoverFacts, takeoverCheck } from './takeover-check.ts';
import { DEFAULT_POLICY } from './transfer-policy.ts';
import type { PairPolicy } from './types.ts';

const timing = { leaseMs: 2000, guardMs: 500, heartbeatMs: 200 };
const me = incarnationOf('filer-b', 'podB', 'run1');
const partner = incarnationOf('filer-a', 'podA', 'run1');
const gone = incarnationOf('filer-b', 'podX', 'run1');
const FACTS: TakeoverFacts = { witness: 'answers', whyNotReadable: null, clockSlew: 0 };

function server(policy: PairPolicy = DEFAULT_POLICY): ServerState {
  return initialServer({ me, server: 'filer-b', partner: 'filer-a', timing, policy }, 0);
}

/** That has seen this of the partner's Lease. */
function seen(change: Partial<LeaseRecord> = {}, state = server()): ServerState {
  const record = { ...emptyLease, holder: partner, epoch: 3, acknowledger: me, renewal: 7, ...change };
  return step(state, { kind: 'leaseSeen', home: 'filer-a', sighting: { version: '1', record } }, 0).state;
}

const foreign = (state: ServerState, change: Partial<ServerState['partner']>): ServerState => ({
  ...state,
  partner: { ...state.partner, ...change },
});

const reasons = (state: ServerState, facts: Partial<TakeoverFacts> = {}, now = 0): string[] =>
  takeoverCheck(state, 'filer-a', { ...FACTS, ...facts }, now).missing.map(({ name }) => name);

test('with nothing missing it says how it would come', () => {
  const check = takeoverCheck(seen(), 'filer-a', FACTS, 0);
  expect(check).toMatchObject({ home: 'filer-a', server: 'filer-b', possible: true, missing: [] });
  expect(check.message).toMatch(
    /^filer-b would take filer-a over: at once if the death is reported, after \d+ ms of silence otherwise$/,
  );
});

test('the wait is that of the Lease, if that names one', () => {
  const { message } = takeoverCheck(seen({ claimAfterMs: 54_321 }), 'filer-a', FACTS, 0);
  expect(message).toContain('after 54321 ms of silence');
});

test('the wait for its own disk set is that of its own Lease', () => {
  const record = {
    ...emptyLease,
    holder: partner,
    epoch: 3,
    acknowledger: me,
    renewal: 7,
    claimAfterMs: 12_345,
  };
  const sighting = { version: '1', record };
  const both = step(
    seen({ claimAfterMs: 54_321 }),
    { kind: 'leaseSeen', home: 'filer-b', sighting },
    0,
  ).state;
  expect(takeoverCheck(both, 'filer-b', FACTS, 0).message).toContain('after 12345 ms of silence');
});

test('with more than one thing missing it names them all', () => {
  const { message, possible } = takeoverCheck(
    seen(),
    'filer-a',
    { ...FACTS, witness: 'silent', whyNotReadable: 'EIO' },
    0,
  );
  expect(possible).toBe(false);
  expect(message).toBe('the witness does not answer, and without it nobody claims; EIO');
});

describe('what hides everything else:', () => {
  const silent = { witness: 'silent', whyNotReadable: 'EIO' } as const;

  test('a Lease that was not read', () => {
    expect(reasons(server(), silent)).toEqual(['LeaseUnseen']);
    // Of this disk set, whatever is known of the other one.
    expect(takeoverCheck(seen(), 'filer-b', FACTS, 0).missing.map(({ name }) => name)).toEqual([
      'LeaseUnseen',
    ]);
  });

  test('a disk set that was never served', () => {
    expect(reasons(seen({ epoch: 0, holder: null }), silent)).toEqual(['NeverOwned']);
  });

  test('one that this server has already, by whichever incarnation of its', () => {
    expect(reasons(seen({ holder: me }), silent)).toEqual(['OwnedHere']);
    expect(reasons(seen({ holder: gone }), silent)).toEqual(['OwnedHere']);
    expect(reasons(seen({ holder: null }))).toEqual([]);
  });
});

describe('what is missing:', () => {
  test('a server that goes on', () => {
    expect(reasons({ ...seen(), stopping: true })).toEqual(['Stopping']);
  });

  test('a witness', () => {
    expect(reasons(seen(), { witness: 'silent' })).toEqual(['WitnessSilent']);
  });

  test('volumes', () => {
    const { missing } = takeoverCheck(seen(), 'filer-a', { ...FACTS, whyNotReadable: 'no disk' }, 0);
    expect(missing).toEqual([{ name: 'VolumesUnreadable', message: 'no disk' }]);
  });

  test('a witness that has not gone back', () => {
    expect(reasons(foreign(seen(), { wentBack: { epoch: 3, renewal: 7 } as never }))).toEqual([
      'WitnessWentBack',
    ]);
  });

  test('a Lease that knows as much as the volumes, whatever else kept it from serving', () => {
    const state = foreign(seen(), {
      ahead: { epoch: 9, message: 'v is ahead' } as never,
      cannotServeUntil: 1000,
    });
    const { missing } = takeoverCheck(state, 'filer-a', FACTS, 0);
    expect(missing.map(({ name }) => name)).toEqual(['VolumesAhead']);
    expect(missing[0]!.message).toContain('claimed above epoch 9');
  });

  test('a moment, when it could not serve just now', () => {
    const state = foreign(seen(), { cannotServeUntil: 1000.5 });
    const { missing } = takeoverCheck(state, 'filer-a', FACTS, 400);
    expect(missing[0]).toMatchObject({ name: 'CannotServe', message: expect.stringContaining('in 601 ms') });
    expect(reasons(state, {}, 1000)).toEqual(['CannotServe']);
    expect(reasons(state, {}, 1000.5)).toEqual([]);
  });

  test.each([SLEW_MAX + 1e-6, -SLEW_MAX - 1e-6])('a clock that is corrected less than %d', (clockSlew) => {
    const { missing } = takeoverCheck(seen(), 'filer-a', { ...FACTS, clockSlew }, 0);
    expect(missing.map(({ name }) => name)).toEqual(['ClockTooFast']);
    expect(missing[0]!.message).toContain(`at ${(clockSlew * 100).toFixed(1)} %`);
    expect(reasons(seen(), { clockSlew: Math.sign(clockSlew) * SLEW_MAX })).toEqual([]);
    expect(reasons(seen(), { clockSlew: null })).toEqual([]);
  });

  test('its name as acknowledger, if there is another one', () => {
    expect(reasons(seen({ acknowledger: gone }))).toEqual(['NotAcknowledger']);
    expect(reasons(seen({ acknowledger: null }))).toEqual([]);
  });

  test('an end of the maintenance, which hides how takeovers are begun', () => {
    const manual: PairPolicy = { ...DEFAULT_POLICY, takeover: 'Manual' };
    expect(reasons(seen({ maintenance: 'disks' }))).toEqual(['Maintenance']);
    expect(reasons(seen({ maintenance: 'disks' }, server(manual)))).toEqual(['Maintenance']);
    expect(reasons(seen({}, server(manual)))).toEqual(['ManualMode']);
  });
});
