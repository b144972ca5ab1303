/**
 * A link with a bandwidth, or a disk, that many clients share, each of them slower than the clients' patience. Whatever the load,
 * the link carries at most twice what has to be carried, and most of the time it carries what is needed.
 */
import { describe, expect, test } from 'vitest';
import { type LinkFault, type LinkOptions, leastMs, sharedLink } from './shared-link.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
type Load = Omit<LinkOptions, 'clients'>;

const UP: Load = {
  calls: 16,
  underWayMax: 16,
  callSize: 256 * KIB,
  answerSize: 200,
  bytesPerSecond: MIB,
  socketBuffer: 4 * MIB,
  diskMs: 0.5,
};
/** Calls that take seconds of the link each, with more than the kernel takes at once. */
const UP_LONG: Load = { ...UP, underWayMax: 4, callSize: 4 * MIB, socketBuffer: 256 * KIB };
const DOWN: Load = { ...UP, underWayMax: 4, callSize: 200, answerSize: 4 * MIB };
const DISK: Load = { ...UP, bytesPerSecond: 100 * MIB, diskMs: 500 };

/** `timesMax`: of the time that link and disk need. */
function outcomeOf(load: Load, clients: number, fault: LinkFault | null = null, timesMax = 10) {
  const options = { ...load, clients, fault };
  const { answered, carried, data, ms } = sharedLink(options, timesMax);
  const done = answered / (clients * load.calls);
  return { done, carriedTimes: carried / data, goodput: (done * leastMs(options)) / ms };
}

describe('clients that share a link or a disk', () => {
  const cases: readonly [string, Load, readonly number[]][] = [
    ['writes', UP, [1, 4, 16]],
    ['long writes', UP_LONG, [1, 4, 16]],
    ['reads', DOWN, [1, 4, 16]],
    ['writes to a slow disk', DISK, [1, 4, 16, 64]],
  ];
  test.each(cases)('%s: goodput stays as the load rises', { timeout: 120_000 }, (_, load, loads) => {
    for (const clients of loads) {
      const { done, carriedTimes, goodput } = outcomeOf(load, clients);
      expect(done, `${clients} clients`).toBe(1);
      expect(carriedTimes, `${clients} clients`).toBeLessThanOrEqual(2);
      expect(goodput, `${clients} clients`).toBeGreaterThan(0.75);
    }
  });

  test('without a resend window they send all again and again', { timeout: 120_000 }, () => {
    expect(outcomeOf(DISK, 64, 'noResendWindow').carriedTimes).toBeGreaterThan(3);
  });

  test.each<[LinkFault, Load]>([
    ['bytesAreNoLife', UP_LONG],
    ['patienceKept', UP],
  ])('with the fault %s nothing is done at all', { timeout: 120_000 }, (fault, load) => {
    const { carriedTimes, goodput } = outcomeOf(load, 16, fault, 3);
    expect(carriedTimes).toBeGreaterThan(2);
    expect(goodput).toBeLessThan(0.1);
  });
});
