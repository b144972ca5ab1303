import { describe, expect, test } from 'vitest';
import { variantNamed } from '../variants/variants.ts';
import { type Bounds, explore } from './explore.ts';
import type { Faults } from './world.ts';

function bounds(faults: Faults, from: Bounds['from'] = 'paired'): Bounds {
  return { name: 'test', about: '', from, faults };
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

  test('asks whether the pair serves again once everything is mended', () => {
    expect(explore(bounds({ crash: 1, restart: 1 })).recoveries).toBeGreaterThan(100);
  });
});

// Each with the faults that it takes, and no others: the shortest way to the violation is in the trace.
describe('the explorer finds', () => {
  const cases: readonly [string, Faults, Bounds['from']?][] = [
    ['AcknowledgementForgotten', {}],
    ['ClaimWithoutWaiting', {}],
    ['UnknownClaimTakenAsSuccess', { request: 1, late: 1 }],
    ['WithoutDeadMansSwitch', { pause: 1 }],
    ['DisconnectTakenAsDeath', { disconnect: 1 }],
    ['OpenFailedTakenAsClosed', { openFailure: 1, stop: 1, late: 1 }, 'start'],
    ['AcceptAnyAcknowledgement', { replace: 1, cut: 1 }],
  ];
  test.each(cases)('%s', { timeout: 60_000 }, (name, faults, from) => {
    const finding = explore(bounds(faults, from ?? 'paired'), {
      variant: variantNamed(name),
      statesMax: 100_000,
    });
    expect(finding.violation).toMatch(/may write|became the holder/);
    expect(finding.trace.length).toBeGreaterThan(1);
  });
});
