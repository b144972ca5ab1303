/**
 * What people decide, with real processes: maintenance, a dry run, a takeover by force, and a giveback that nobody has to
 * ask for.
 */

import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, it, vi } from 'vitest';
import { eventually } from '../../testing/eventually.ts';
import { bootMs } from '../system/boottime.ts';
import { readLease } from '../witness/embedded-lease.fixture.ts';
import { firstAnswer, isClosed, Pair, type Server, servers } from './pair.fixture.ts';
import type { Status } from './status.ts';

vi.setConfig({ testTimeout: 120_000 });

/** The defaults: these tests wait for silence, and the longer times of the others would only make them longer. */
const timing = { leaseMs: 2000, guardMs: 500, heartbeatMs: 200 };

let pair: Pair;
afterEach(() => pair.stop());

const setOf = (status: Status | null, home: Server) => status?.diskSets.find((one) => one.home === home);

const served = (by: Server, home: Server): Promise<boolean> =>
  eventually(
    `${by} serves ${home}`,
    60_000,
    async () => setOf(await pair.status(by), home)?.phase === 'open',
  );

async function ask(server: Server, method: 'GET' | 'POST', path: string, body: object = {}) {
  const answer = await pair.control(server, method, path, method === 'GET' ? '' : JSON.stringify(body));
  return { status: answer.status, said: answer.body };
}

it('in maintenance moves nothing by itself, and says so in the dry run; afterwards it does', async () => {
  pair = await Pair.create(() => ({ timing }));
  for (const server of servers) pair.startSentinel(server);
  const [a] = servers.map((server) => pair.startServer(server));
  await pair.paired();
  const check = async () => JSON.parse((await ask('filer-b', 'GET', '/check?home=filer-a')).said);
  await eventually('a takeover is possible', 60_000, async () => (await check()).possible);
  expect((await ask('filer-b', 'POST', '/maintenance', { on: true, reason: 'new switch' })).status).toBe(200);
  await eventually('the dry run names it', 60_000, async () =>
    JSON.stringify((await check()).missing).includes('Maintenance'),
  );
  a!.child.kill('SIGKILL');
  await a!.ended;
  // Longer than it takes by message, and than it takes by silence.
  const killedAt = bootMs();
  await eventually(
    'lease and guard are over',
    60_000,
    () => bootMs() > killedAt + 1.2 * (timing.leaseMs + timing.guardMs),
  );
  expect(await isClosed(pair.ports['filer-b'].secondary)).toBe(true);
  expect((await ask('filer-b', 'POST', '/maintenance', { on: false })).status).toBe(200);
  await firstAnswer(pair.ports['filer-b'].secondary);
  expect(pair.history('filer-a').at(-1)).toMatchObject({ epoch: 2 });
});

it('maintenance is confirmed once both Leases have it, and not before', async () => {
  pair = await Pair.create(() => ({ timing }));
  for (const server of servers) pair.startServer(server);
  await pair.paired();
  const directory = join(pair.directory, 'witness');
  const written = (home: Server): unknown => readLease(directory, home).maintenance;
  // What stands as the Lease of one disk set cannot be understood: nobody can write it.
  const unreadable = join(directory, 'filer-a.lease-1000000');
  writeFileSync(unreadable, '');
  const reason = 'new switch';
  const refused = await ask('filer-b', 'POST', '/maintenance', { on: true, reason });
  expect(refused).toEqual({ status: 503, said: expect.stringContaining('on the Lease of filer-a.') });
  rmSync(unreadable);
  expect(servers.map(written)).toEqual([null, reason]);
  expect((await ask('filer-b', 'POST', '/maintenance', { on: true, reason })).status).toBe(200);
  expect(servers.map(written)).toEqual([reason, reason]);
});

it('takes over by force where nobody can prove that the acknowledger is dead, and records the reason', async () => {
  pair = await Pair.create(() => ({ timing }));
  const [a, b] = servers.map((server) => pair.startServer(server));
  await pair.paired();
  // Holder and acknowledger die at once, unseen; what comes back in another place has no proof of either.
  a!.child.kill('SIGKILL');
  b!.child.kill('SIGKILL');
  await Promise.all([a!.ended, b!.ended]);
  pair.reconfigure('filer-b', { incarnation: 'another-place' });
  pair.startServer('filer-b');
  await eventually('filer-b answers', 60_000, async () => (await pair.status('filer-b')) !== null);
  const startedAt = bootMs();
  await eventually(
    'silence is over',
    60_000,
    () => bootMs() > startedAt + 1.2 * (timing.leaseMs + timing.guardMs),
  );
  expect(setOf(await pair.status('filer-b'), 'filer-a')?.phase).not.toBe('open');
  const refused = await ask('filer-b', 'POST', '/takeover', { home: 'filer-a', force: true });
  expect(refused.status).not.toBe(200);
  const reason = 'both machines were switched off';
  const answer = await ask('filer-b', 'POST', '/takeover', { home: 'filer-a', force: true, reason });
  expect(answer.status, answer.said).toBe(200);
  await served('filer-b', 'filer-a');
  expect((await pair.status('filer-b'))!.lastTransition).toMatchObject({
    home: 'filer-a',
    cause: 'Requested',
    reason: expect.stringContaining(`forced: ${reason}`),
  });
});

it('gives back by itself once the home server has been heard for as long as the policy says', async () => {
  const policy = { giveback: { mode: 'Automatic', afterMs: 1000 } };
  pair = await Pair.create(() => ({ policy, timing }));
  for (const server of servers) pair.startSentinel(server);
  const [a] = servers.map((server) => pair.startServer(server));
  await pair.paired();
  a!.child.kill('SIGKILL');
  await served('filer-b', 'filer-a');
  pair.startServer('filer-a');
  await served('filer-a', 'filer-a');
  expect((await pair.status('filer-a'))!.lastTransition).toMatchObject({ kind: 'Giveback', epoch: 3 });
  expect(await isClosed(pair.ports['filer-b'].secondary)).toBe(true);
});
