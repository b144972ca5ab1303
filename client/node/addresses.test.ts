import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { AddressesResult } from './addresses-script.fixture.ts';
import { inOwnNamespace, whyNoNamespace } from './own-namespace.fixture.ts';

const why = whyNoNamespace();

describe.skipIf(why !== null)(`several addresses of one node${why === null ? '' : `: ${why}`}`, async () => {
  const script = join(import.meta.dirname, 'addresses-script.fixture.ts');
  const result = why === null ? await inOwnNamespace<AddressesResult>(script) : ({} as AddressesResult);

  test('each leads to its own pair, with IPv4 and with IPv6', () => {
    expect(result.greetings).toEqual(['one', 'two', 'six']);
  });

  test('while one pair is not served its connections wait, and those of the others do not', () => {
    expect(result.whileDead).toEqual(['silence', 'two', 'six']);
  });

  test('a pod comes back with another address: its connections go there', () => {
    expect(result.moved).toBe('elsewhere');
  });

  test('a new director breaks no connection that it finds, and they go on carrying data', () => {
    expect(result.replaced).toEqual({ broken: 0, carries: true });
  });

  test('an address that is taken out has no route any more', () => {
    expect(result.leftAfterRemoval).toBe(1);
  });
});
