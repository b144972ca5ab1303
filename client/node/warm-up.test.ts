import { join } from 'node:path';
import { expect, test } from 'vitest';
import { inOwnNamespace, whyNoNamespace } from './own-namespace.fixture.ts';
import type { WarmUpResult } from './warm-up-script.fixture.ts';

const why = whyNoNamespace();

test.skipIf(why !== null)(
  `a director that waits runs a whole failover, and changes no rule of its machine${why === null ? '' : `: ${why}`}`,
  async () => {
    const script = join(import.meta.dirname, 'warm-up-script.fixture.ts');
    const { whole, generations, table, sockets } = await inOwnNamespace<WarmUpResult>(script);
    expect({ whole, table, sockets }).toEqual({ whole: true, table: 'none', sockets: 0 });
    expect(generations[1]).toBe(generations[0]);
  },
);
