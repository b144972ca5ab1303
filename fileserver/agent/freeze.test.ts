/**
 * A freeze that stands on the Lease, with real processes: the owner keeps still, says so, and goes on when it is over. A later
 * owner knows nothing of it.
 */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, it, vi } from 'vitest';
import type { Freeze } from '../../pair/lease.ts';
import { eventually } from '../../testing/eventually.ts';
import { changeLease } from '../witness/embedded-lease.fixture.ts';
import { FREEZE_KEY } from '../witness/lease-file.ts';
import type { FreezeAnswer } from '../witness/witness.ts';
import { firstAnswer, Pair, type Server, servers } from './pair.fixture.ts';

vi.setConfig({ testTimeout: 120_000 });

let pair: Pair;
afterEach(() => pair.stop());

function ask(home: Server, freeze: Partial<Freeze>): void {
  const wanted = { id: 'one', epoch: 1, msMax: 60_000, over: false, ...freeze };
  changeLease(join(pair.directory, 'witness'), home, { [FREEZE_KEY]: wanted });
}

function answer(home: Server): FreezeAnswer | undefined {
  try {
    const notes = JSON.parse(
      readFileSync(join(pair.directory, 'witness', `${home}.notes`), 'utf8'),
    ) as object;
    return (notes as { freezeAnswer?: FreezeAnswer }).freezeAnswer;
  } catch {
    return undefined;
  }
}

const says = (home: Server, state: FreezeAnswer['state'], id = 'one') =>
  eventually(
    `the owner of ${home} says ${state}`,
    60_000,
    () => answer(home)?.id === id && answer(home)?.state === state,
  );

it('both stand, and both say that it was whole when it is over', async () => {
  pair = await Pair.create();
  for (const server of servers) pair.startSentinel(server);
  for (const server of servers) pair.startServer(server);
  await pair.paired();
  for (const home of servers) ask(home, {});
  for (const home of servers) await says(home, 'Standing');
  for (const home of servers) ask(home, { over: true });
  for (const home of servers) await says(home, 'Whole');
});

it('it ends by itself, once, and of another epoch nobody keeps still', async () => {
  pair = await Pair.create();
  for (const server of servers) pair.startSentinel(server);
  const [a] = servers.map((server) => pair.startServer(server));
  await pair.paired();
  ask('filer-a', { epoch: 2, id: 'early' });
  ask('filer-b', { id: 'short', msMax: 50 });
  await says('filer-b', 'Broken', 'short');
  expect(answer('filer-b')?.message).toContain('50 ms');
  expect(answer('filer-a')).toBeUndefined();

  // The owner dies while it stands: its successor serves at once, and answers for nothing.
  ask('filer-a', { id: 'last' });
  await says('filer-a', 'Standing', 'last');
  a!.child.kill('SIGKILL');
  await firstAnswer(pair.ports['filer-b'].secondary);
  expect(answer('filer-a')).toMatchObject({ id: 'last', state: 'Standing' });
});
