/**
 * When the machine asks to be woken, judged in states that real runs come to. A tick before that time changes nothing, so that
 * nothing is missed. At that time there is something to do, so that no server is woken again and again for nothing. A connected
 * partner is told something five times a second, and what depends on how long it has been heard is looked at then.
 */

import { isDeepStrictEqual } from 'node:util';
import { describe, expect, test } from 'vitest';
import type { DiskSetState } from '../pair/disk-set/state.ts';
import type { ServerState } from '../pair/server/state.ts';
import { nextWakeAt, step } from '../pair/server.ts';
import type { LeaseReadOutcome } from '../pair/types.ts';
import { DISK_SET_SIDES } from '../pair/types.ts';
import type { FaultSet } from './faults/fault.ts';
import { runSeed } from './run.ts';
import type { Variant } from './variants/variant.ts';

// So each state is looked at as it is when no partner is left. What is under way at the witness is answered in bounded time, and
// that wakes the server too: reads have been answered, or have failed.

/** Of states that are alike. */
const SAMPLES_MAX = 8;
/** Ticks in a row that each ask for the next one at once. A claim, say, takes a few steps. */
const AT_ONCE_MAX = 5;
/** No timer strikes to the last digit. */
const TIMER_LATE_MS = 0.001;
/** After now, ms: where nothing but an input wakes the server, and before it asks to be woken. */
const LATER_MS = [0.001, 1, 50, 150, 400, 667, 1000, 2001, 3000, 10_001, 31_000, 1e6];

interface Sample {
  readonly state: ServerState;
  readonly now: number;
}

/** Roles and what goes on in them: of all states of a run only some of each kind are kept. */
function kindOf({ local, partner, stopping }: ServerState): string {
  const kind = (set: DiskSetState) => {
    const { role, lookup, readSince, wentBack, ahead, local, announced, awaiting, detected } = set;
    return [
      role.name,
      'port' in role && role.port,
      'write' in role && role.write !== null,
      'doubt' in role && role.doubt,
      'accepts' in role && role.accepts !== null,
      lookup,
      ...[readSince, wentBack, ahead, local, announced, awaiting, detected].map((value) => value !== null),
    ];
  };
  return JSON.stringify([kind(local), kind(partner), stopping]);
}

/** No partner is connected, and no read is under way: each has failed, or has found what was known. */
function settled(state: ServerState, now: number, readsFail: boolean): ServerState {
  let left = state;
  for (const { incarnation } of state.partners)
    left = step(left, { kind: 'partnerDisconnected', incarnation }, now).state;
  for (const which of DISK_SET_SIDES) {
    const { home, readSince, seen } = left[which];
    if (readSince === null) continue;
    const outcome: LeaseReadOutcome =
      readsFail || seen === null ? { kind: 'unknown' } : { kind: 'found', sighting: seen };
    left = step(left, { kind: 'leaseRead', home, outcome }, now).state;
  }
  return left;
}

const isReading = ({ state }: Sample): boolean =>
  [state.local, state.partner].some(({ readSince }) => readSince !== null);

/** Of runs with these faults, a few of each kind. */
function samples(faults: FaultSet, seeds: number): Sample[] {
  const kinds = new Map<string, number>();
  const kept: Sample[] = [];
  const watched: Variant = {
    name: 'Watched',
    rule: 'R1',
    clause: 'none: every state is noted',
    wrap: (real) => (before, input, now) => {
      const result = real(before, input, now);
      const kind = kindOf(result.state);
      const count = kinds.get(kind) ?? 0;
      if (count < SAMPLES_MAX) {
        kinds.set(kind, count + 1);
        const sample = { state: settled(result.state, now, count % 2 === 0), now };
        if (!isReading(sample)) kept.push(sample);
      }
      return result;
    },
  };
  for (let seed = 1; seed <= seeds; seed++) runSeed(seed, { faults, variant: watched });
  return kept;
}

/** What finishes is looked after when the lease is renewed; that it takes too long is noticed then, and not woken for. */
const isQuiescing = ({ state }: Sample): boolean =>
  [state.local, state.partner].some(({ role }) => role.name === 'holder' && role.port === 'quiescing');

describe.each<[FaultSet, seeds: number]>([
  ['all', 12],
  ['disks', 8],
  ['apart', 8],
])('in runs with the faults `%s`', (faults, seeds) => {
  const states = samples(faults, seeds);

  test('many kinds of states occur', () => {
    expect(states.length).toBeGreaterThan(300);
  });

  test('a tick before the time at which a server asks to be woken changes nothing', () => {
    for (const { state, now } of states.filter((one) => !isQuiescing(one))) {
      const wakeAt = nextWakeAt(state, now);
      const times = [...LATER_MS.map((ms) => now + ms), (now + wakeAt) / 2, wakeAt - 0.01];
      for (const at of times.filter((time) => time > now && time < wakeAt)) {
        const after = step(state, { kind: 'tick' }, at);
        if (after.effects.length === 0 && isDeepStrictEqual(after.state, state)) continue;
        expect.fail(
          `at ${now} it asked to be woken at ${wakeAt}, and at ${at} it did ${JSON.stringify(after.effects)} in ${JSON.stringify(state)}`,
        );
      }
    }
  });

  test('a server that is woken when it asks for it does not ask at once again and again', () => {
    for (const { state, now } of states) {
      let current = state;
      let at = now;
      for (let count = 0; ; count++) {
        const wakeAt = nextWakeAt(current, at);
        if (wakeAt > at && count > 0) break;
        if (wakeAt === Number.POSITIVE_INFINITY) break;
        if (count > AT_ONCE_MAX) {
          expect.fail(`at ${at} it asks to be woken for the ${count}th time in ${JSON.stringify(current)}`);
        }
        at = Math.max(at, wakeAt + TIMER_LATE_MS);
        current = step(current, { kind: 'tick' }, at).state;
      }
    }
  });
});
