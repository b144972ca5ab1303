import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { FailoverGate } from './failover-gate.ts';
import { GateKeeper } from './gate-keeper.ts';

const EXPECT_MS = 5000;
let done: string[];
const gate: FailoverGate = {
  open: (epoch) => done.push(`open ${epoch}`),
  withdraw: (epoch) => done.push(`withdraw ${epoch}`),
  close: (epoch) => done.push(`close ${epoch}`),
  closeIfMine: () => done.push('closeIfMine'),
};
let keeper: GateKeeper;

beforeEach(() => {
  vi.useFakeTimers();
  done = [];
  keeper = new GateKeeper(gate, EXPECT_MS);
});
afterEach(() => vi.useRealTimers());

test('it opens with a claim, and is withdrawn when that is lost', () => {
  keeper.traced({ name: 'claiming', epoch: 7, cause: 'Silent' });
  keeper.traced({ name: 'claimLost', message: 'the Lease has changed' });
  expect(done).toEqual(['open 7', 'withdraw 7']);
});

test('it opens for a release that is announced, and stays open for the claim that follows', () => {
  keeper.expect(6);
  keeper.traced({ name: 'claiming', epoch: 7, cause: 'Requested' });
  vi.advanceTimersByTime(10 * EXPECT_MS);
  expect(done).toEqual(['open 7', 'open 7']);
});

test('an announcement that nothing follows is forgotten', () => {
  keeper.expect(6);
  vi.advanceTimersByTime(EXPECT_MS);
  expect(done).toEqual(['open 7', 'withdraw 7']);
});

test('of two announcements the later one counts', () => {
  keeper.expect(6);
  vi.advanceTimersByTime(EXPECT_MS / 2);
  keeper.expect(6);
  vi.advanceTimersByTime(EXPECT_MS / 2);
  expect(done).toEqual(['open 7', 'open 7']);
});

test('it is silent once it was stopped', () => {
  keeper.expect(6);
  keeper.stop();
  vi.advanceTimersByTime(EXPECT_MS);
  expect(done).toEqual(['open 7']);
});
