import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { inOwnNamespace, whyNoNamespace } from './own-namespace.fixture.ts';
import type { PrivateResult } from './private-namespace-script.fixture.ts';

const why = whyNoNamespace();

describe.skipIf(why !== null)(
  `mounts in a network namespace of their own${why === null ? '' : `: ${why}`}`,
  async () => {
    const script = join(import.meta.dirname, 'private-namespace-script.fixture.ts');
    const result = why === null ? await inOwnNamespace<PrivateResult>(script) : ({} as PrivateResult);

    test('servers see the address of this machine, and the reserved port of the client', () => {
      expect(result.answers[0]).toBe('primary 10.99.0.2:700');
    });

    test('the client follows a failover, a giveback and one with the director dead, and is never refused', () => {
      expect(result.answers).toEqual([
        'primary 10.99.0.2:700',
        'secondary 10.99.0.2:700',
        'primary 10.99.0.2:700',
        'secondary 10.99.0.2:700',
      ]);
    });

    test('no program outside reaches the virtual address', () => {
      // The test's namespace has a route for such addresses, which leads nowhere.
      expect(result.outside).toBe('silence');
    });

    test('a masquerade that another program removes is there again, also for a connection that has begun without', () => {
      expect(result.afterFlush).toBe('secondary 10.99.0.2:699');
    });

    test('a call is under way when the table of connections is emptied outside: its connection is ended', () => {
      expect(result.afterConntrackFlush).toBe('ended');
    });

    test('nothing of it is left in the end', () => {
      expect(result.left).toEqual([]);
    });
  },
);
