// What the operator writes is what the server reads: two programs, one file.

import { expect, test } from 'vitest';
import { parseConfig } from '../../fileserver/config/config.ts';
import { World } from '../plan/world.fixture.ts';
import { serverConfig } from './server-config.ts';

test('the server understands every field of its configuration, and takes what the spec says', () => {
  const world = World.running();
  world.changeSpec({
    failover: { mode: 'Manual', lease: '4s', guard: '1s', heartbeat: '300ms' },
    giveback: { mode: 'Automatic', after: '5m', retries: 1, takeoversMax: 4, window: '30m' },
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
    expect(config.diskSets['filer-a']?.exports[0]?.path).toBe('/home');
  }
});
