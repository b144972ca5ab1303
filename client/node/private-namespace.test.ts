import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { inOwnNamespace, whyNoNamespace } from './own-namespace.fixture.ts';
import type { PrivateResult } from './private-namespace-script.fixture.ts';

const why = whyNoNamespace();

describe.skipIf(why !== null).each([
  { version: '4', node: '10.99.0.2' },
  { version: '6', node: 'fd00:99::2' },
])(
  `mounts in a network namespace of their own, by IPv$version${why === null ? '' : `: ${why}`}`,
  async ({ version, node }) => {
    const script = join(import.meta.dirname, 'private-namespace-script.fixture.ts');
    const result =
      why === null ? await inOwnNamespace<PrivateResult>(script, version) : ({} as PrivateResult);

    test('servers see the address of this machine, and the reserved port of the client', () => {
      expect(result.answers[0]).toBe(`primary ${node}:700`);
    });

    test('the client follows a failover, a giveback and one with the director dead, and is never refused', () => {
      expect(result.answers).toEqual([
        `primary ${node}:700`,
        `secondary ${node}:700`,
        `primary ${node}:700`,
        `secondary ${node}:700`,
      ]);
    });

    test('no program outside reaches the virtual address', () => {
      // The test's namespace has a route for such addresses, which leads nowhere.
      expect(result.outside).toBe('silence');
    });

    test('a masquerade that another program removes is there again, also for a connection that has begun without', () => {
      expect(result.afterFlush).toBe(`secondary ${node}:699`);
    });

    test('a call is under way when the table of connections is emptied outside: its connection is ended', () => {
      expect(result.afterConntrackFlush).toBe('ended');
    });

    test('router advertisements are not lost to forwarding, and not accepted where they were ignored', () => {
      expect(result.routerAdvertisements).toEqual([version === '6' ? '2' : '1', '0']);
    });

    test('nothing of it is left in the end', () => {
      expect(result.left).toEqual([]);
    });
  },
);
