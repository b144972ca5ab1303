import { expect, test } from 'vitest';
import { type LeaseState, leaseViolations } from './lease-history.ts';

const state = (epoch: number, holder: string | undefined, lease = 'nas.a'): LeaseState => ({
  lease,
  epoch,
  holder,
});

test('accepts owners that follow one another, each in an epoch of its own, and times without one', () => {
  const states = [state(0, undefined), state(1, 'a'), state(1, 'a'), state(1, undefined), state(2, 'b')];
  expect(leaseViolations(states)).toEqual([]);
});

test('finds two owners of one epoch, also with nobody in between', () => {
  expect(leaseViolations([state(1, 'a'), state(1, undefined), state(1, 'b')])).toHaveLength(1);
});

test('finds an epoch that goes backwards', () => {
  expect(leaseViolations([state(2, 'a'), state(1, 'b')])).toHaveLength(1);
});

test('tells Leases apart', () => {
  expect(leaseViolations([state(1, 'a'), state(1, 'b', 'nas.b')])).toEqual([]);
});
