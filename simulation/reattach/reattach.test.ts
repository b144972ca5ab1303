/**
 * Disks that move from node to node, under two operators and everything that can happen to a cluster. Never two kernels with
 * one file system, never a claim's files lost by the operator, and each disk set served again in the end.
 */
import { describe, expect, test } from 'vitest';
import { type ReattachOptions, runReattachSeed } from './run.ts';
import { operatorVariants, withoutEnds } from './variants.ts';

/** The first seed that shows a violation, of this kind, or null. */
async function firstViolation(
  options: ReattachOptions,
  from: number,
  count: number,
  kind = /./,
): Promise<string | null> {
  for (let seed = from; seed < from + count; seed++) {
    const { violations } = await runReattachSeed(seed, options);
    if (kind.test(violations[0] ?? '')) return `seed ${seed}: ${violations[0]}`;
  }
  return null;
}

describe('the model of moving disks', () => {
  test('is deterministic: one seed, one run', async () => {
    const first = await runReattachSeed(17);
    expect(first.trace.length).toBeGreaterThan(100);
    expect(await runReattachSeed(17)).toEqual(first);
  });

  test('really moves disks, also by force, and lets operators write', async () => {
    let claims = 0;
    let detachedByForce = 0;
    let requests = 0;
    for (let seed = 1; seed <= 20; seed++) {
      const outcome = await runReattachSeed(seed);
      expect(outcome.violations, `seed ${seed}`).toEqual([]);
      claims += outcome.claims;
      detachedByForce += outcome.detachedByForce;
      requests += outcome.requests;
    }
    expect(claims).toBeGreaterThan(100);
    expect(detachedByForce).toBeGreaterThan(5);
    expect(requests).toBeGreaterThan(300);
  });

  test('finds nothing where operators decide about everything', async () => {
    expect(await firstViolation({ whole: true }, 1, 5)).toBeNull();
  });

  test('finds nothing where people ask for moves, nor where the pair is gone in the end', async () => {
    expect(await firstViolation({ whole: true, wishes: true }, 1, 5)).toBeNull();
    expect(await firstViolation({ pairGoes: true }, 1, 40)).toBeNull();
  });

  test('an operation acts once, also where the caches never show that it has ended', {
    timeout: 120_000,
  }, async () => {
    const variant = {
      name: 'OperationsSeenLate',
      clause: '',
      caughtAs: /./,
      seedsMax: 0,
      hears: withoutEnds,
    };
    expect(await firstViolation({ whole: true, wishes: true, variant }, 1, 3, /acts again/)).toBeNull();
  });

  test.each(['multi', 'none'] as const)(
    'finds no disk in two kernels where the storage does not fence (%s): such a pair is refused',
    async (fence) => {
      expect(await firstViolation({ fence }, 1, 10)).toBeNull();
    },
  );
});

// A checker that finds nothing proves nothing until it has found what is there. Each variant breaks one clause.
describe('the model of moving disks catches', () => {
  test.each(operatorVariants.map((variant) => ({ variant, name: variant.name })))(
    '$name',
    { timeout: 120_000 },
    async ({ variant }) => {
      const { fence = 'attach', whole = false, wishes = false, pairGoes = false } = variant;
      const options = { variant, fence, whole, wishes, pairGoes };
      expect(
        await firstViolation(options, variant.from ?? 1, variant.seedsMax, variant.caughtAs),
      ).not.toBeNull();
    },
  );
});
