/** What the operator writes is what the server reads: two programs, one file. */

import { expect, test } from 'vitest';
import { parseConfig } from '../../fileserver/config/config.ts';
import { World } from '../plan/world.fixture.ts';
import { serverConfig } from './server-config.ts';

test('the server understands every field of its configuration, and takes what the spec says', () => {
  const world = World.running();
  world.changeSpec({
    failover: { mode: 'Manual', leaseDuration: '4s', guardDuration: '1s', heartbeatPeriod: '300ms' },
    giveback: {
      mode: 'Automatic',
      automatic: { stableFor: '5m', maxRetries: 1, maxTakeovers: 4, takeoverWindow: '30m' },
    },
  });
  const view = world.view();
  for (const server of view.servers) {
    const config = parseConfig(JSON.stringify(serverConfig(view, server)), 'server.json');
    expect(config).toMatchObject({
      server: server.name,
      timing: { leaseMs: 4000, guardMs: 1000, heartbeatMs: 300 },
      policy: {
        takeover: 'Manual',
        giveback: { mode: 'Automatic', afterMs: 300_000, retries: 1, takeoversMax: 4, windowMs: 1_800_000 },
      },
    });
    expect(config.shares).toEqual({ pair: 'home', serviceNames: { a: 'home-a', b: 'home-b' } });
  }
});
