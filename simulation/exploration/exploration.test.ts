import { describe, expect, test } from 'vitest';
import { variantNamed } from '../variants/variants.ts';
import { type Bounds, explore } from './explore.ts';

function bounds(faults: Bounds['faults'], more: Partial<Bounds> = {}): Bounds {
  return { name: 'test', about: '', from: 'paired', faults, ...more };
}

describe('the explorer', () => {
  test('comes to an end without a limit on time: a pair at peace is a small circle of states', () => {
    const finding = explore(bounds({}));
    expect(finding).toMatchObject({ complete: true, violation: null });
    expect(finding.states).toBeLessThan(100);
  });

  test('visits the same states every time, and more with every fault', () => {
    const one = explore(bounds({ late: 1 }));
    expect(explore(bounds({ late: 1 }))).toEqual(one);
    expect(one).toMatchObject({ complete: true, violation: null });
    expect(explore(bounds({ late: 1, request: 1 })).states).toBeGreaterThan(3 * one.states);
  });

  test('moves two disk sets, each of its own, and several volumes of one', () => {
    const one = explore(bounds({ request: 1 }));
    for (const more of [{ diskSets: 2 }, { volumes: 2 }] as const) {
      const finding = explore(bounds({ request: 1 }, more));
      expect(finding).toMatchObject({ complete: true, violation: null });
      expect(finding.states).toBeGreaterThan(one.states);
    }
  });

  test('asks whether the pair serves again once everything is mended', () => {
    expect(explore(bounds({ crash: 1, restart: 1 })).recoveries).toBeGreaterThan(100);
  });
});

// Each with the faults that it takes, and no others: the shortest way to the violation is in the trace.
describe('the explorer finds', () => {
  const cases: readonly [string, Bounds['faults'], Partial<Bounds>?][] = [
    ['AcknowledgementForgotten', {}],
    ['ClaimWithoutWaiting', {}],
    ['UnknownClaimTakenAsSuccess', { request: 1, late: 1 }],
    ['WithoutDeadMansSwitch', { pause: 1 }],
    ['DisconnectTakenAsDeath', { disconnect: 1 }],
    ['OpenFailedTakenAsClosed', { openFailure: 1, stop: 1, late: 1 }, { from: 'start' }],
    ['AcceptAnyAcknowledgement', { replace: 1, cut: 1 }],
    ['SilenceOfTheOtherCounts', {}, { diskSets: 2 }],
    ['OneSwitchForBoth', { diskFault: 1, pause: 1 }, { diskSets: 2, from: 'one serves both' }],
    ['ClosedByFirstThread', { request: 1, late: 1 }, { volumes: 2 }],
    ['OpenedByFirstThread', { late: 1 }, { volumes: 2, from: 'start' }],
    ['OwnerNotLookedAt', { machinePause: 1 }],
  ];
  test.each(cases)('%s', { timeout: 60_000 }, (name, faults, more) => {
    const finding = explore(bounds(faults, more), { variant: variantNamed(name), statesMax: 100_000 });
    expect(finding.violation).toMatch(/may write|became the holder/);
    expect(finding.trace.length).toBeGreaterThan(1);
  });

  test('HaltUntold: the Lease names a server that does not serve', () => {
    const options = { variant: variantNamed('HaltUntold'), recoveries: true };
    expect(explore(bounds({ halt: 1 }), options).violation).toMatch(/^not served/);
  });
});
