import { join } from 'node:path';
import { expect, test } from 'vitest';
import { inOwnNamespace, whyNoNamespace } from './own-namespace.fixture.ts';
import type { Ends } from './until-unused-script.fixture.ts';

const why = whyNoNamespace();

test.skipIf(why !== null)(
  `a director that a mount has started ends when it is told to, and when no address is left${why === null ? '' : `: ${why}`}`,
  async () => {
    const script = join(import.meta.dirname, 'until-unused-script.fixture.ts');
    expect(await inOwnNamespace<Ends>(script)).toEqual({ told: 'ended', unused: 'ended' });
  },
  90_000,
);
