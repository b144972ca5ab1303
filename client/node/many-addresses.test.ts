import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { ManyAddressesResult } from './many-addresses-script.fixture.ts';
import { inOwnNamespace, whyNoNamespace } from './own-namespace.fixture.ts';

const why = whyNoNamespace();
const COUNT = 200;
const FAILED = `169.254.77.${COUNT / 2 + 1}`;

async function withAddresses(count: number): Promise<ManyAddressesResult> {
  const script = join(import.meta.dirname, 'many-addresses-script.fixture.ts');
  return why === null
    ? inOwnNamespace<ManyAddressesResult>(script, String(count))
    : ({} as ManyAddressesResult);
}

describe.skipIf(why !== null)(`${COUNT} addresses of one node${why === null ? '' : `: ${why}`}`, async () => {
  const result = await withAddresses(COUNT);
  const few = await withAddresses(4);

  test('a failover of one pair moves its address, and disturbs no other', () => {
    expect(result.answered).toEqual({ before: COUNT, after: COUNT - 1 });
    expect(result.touched).toEqual([FAILED]);
    expect(result.partner).toBe('partner');
  });

  test('a failover writes as much as on a node with four addresses', () => {
    expect(result.written.bytes).toBeGreaterThan(0);
    expect(result.written.bytes).toBe(few.written.bytes);
  });

  test('each address has its elements once, whatever was changed one by one', () => {
    expect(result.elements).toEqual([COUNT, COUNT, COUNT, COUNT, 0]);
  });

  test('a table that is not what it was is written whole at the next failover', () => {
    expect(result.afterLoss).toBe('back');
    expect(result.routesAfterLoss).toBe(COUNT);
  });
});
