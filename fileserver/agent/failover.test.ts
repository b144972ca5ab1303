/**
 * The pair as processes: kill, stop, cut, hand over; and after each of it, one owner for each epoch in the witness's
 * history. Times are printed, not asserted: a busy machine is no reason for a red test. Only order is.
 */

import { readFileSync } from 'node:fs';
import { afterEach, expect, it, vi } from 'vitest';
import { eventually } from '../../testing/eventually.ts';
import { bootMs } from '../system/boottime.ts';
import {
  firstAnswer,
  type HistoryLine,
  isClosed,
  Pair,
  partnerOf,
  type Running,
  type Server,
  servers,
  timing,
} from './pair.fixture.ts';
import type { Status } from './status.ts';

vi.setConfig({ testTimeout: 120_000 });

let pair: Pair;

afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') {
    for (const one of outputs) process.stderr.write(`${one.output()}\n`);
  }
  outputs.length = 0;
  await pair.stop();
});

const outputs: Running[] = [];
const started = (running: Running): Running => {
  outputs.push(running);
  return running;
};

interface All {
  readonly server: Record<Server, Running>;
  readonly sentinel: Record<Server, Running>;
}

async function startAll(): Promise<All> {
  pair = await Pair.create();
  const all: All = {
    sentinel: {
      'filer-a': started(pair.startSentinel('filer-a')),
      'filer-b': started(pair.startSentinel('filer-b')),
    },
    server: {
      'filer-a': started(pair.startServer('filer-a')),
      'filer-b': started(pair.startServer('filer-b')),
    },
  };
  await pair.paired();
  for (const server of servers) {
    await eventually(`the sentinel of ${server} watches it and reaches its partner`, 60_000, async () => {
      const connected = all.sentinel[server].output().includes(`Connected with ${partnerOf(server)}`);
      return connected && (await pair.status(server))?.sentinel.watching;
    });
  }
  return all;
}

function setOf(status: Status | null, home: Server) {
  return status?.diskSets.find((one) => one.home === home);
}

async function served(by: Server, home: Server): Promise<Status> {
  let status: Status | null = null;
  await eventually(`${by} serves ${home}`, 60_000, async () => {
    status = await pair.status(by);
    return setOf(status, home)?.phase === 'open';
  });
  return status!;
}

/** R5 and R6 in the witness's book: an epoch has one holder, and a holder comes only with the next epoch. */
function expectOneOwnerPerEpoch(home: Server): void {
  const holders = new Map<number, string>();
  let before: HistoryLine | null = null;
  for (const line of pair.history(home)) {
    if (line.holder !== null) {
      expect(holders.get(line.epoch) ?? line.holder, `epoch ${line.epoch} of ${home}`).toBe(line.holder);
      holders.set(line.epoch, line.holder);
      if (before !== null && before.holder !== line.holder) expect(line.epoch).toBe(before.epoch + 1);
    }
    before = line;
  }
  expect([...holders.keys()]).toEqual([...holders.keys()].map((_, index) => index + 1));
}

/** Of the lines that belong to a change of owner. */
function eventsOf({ output }: { output(): string }, transition: string): string[] {
  const lines = output()
    .split('\n')
    .filter((line) => line.endsWith(` transition=${transition}`));
  return lines.map((line) => / event=(\w+)/.exec(line)![1]!);
}

/** `beganAt`: ms on CLOCK_BOOTTIME, which all processes here share. */
function print(what: string, beganAt: number, answeredAt: number, status: Status): void {
  const { phases, startedBootMs } = status.lastTransition!;
  const detected = `detected ${(startedBootMs - beganAt).toFixed(1)}`;
  const text = phases.map(({ name, tookMs }) => `${name} ${tookMs.toFixed(1)}`).join(', ');
  process.stdout.write(
    `${what}: first answer after ${(answeredAt - beganAt).toFixed(0)} ms (${detected}, ${text})\n`,
  );
}

it('starts with each server serving its own disk set, paired, and the secondary ports closed; nobody else runs in its place', async () => {
  const { server } = await startAll();
  for (const name of servers) {
    expect(await isClosed(pair.ports[name].secondary)).toBe(true);
    await firstAnswer(pair.ports[name].primary);
    expectOneOwnerPerEpoch(name);
    expect((await pair.control(name, 'GET', '/readyz')).status).toBe(200);
    const { incarnation } = (await pair.status(name))!;
    expect(readFileSync(pair.terminationLog(name), 'utf8')).toBe(`${incarnation}\n`);
  }
  const second = started(pair.startServer('filer-a'));
  expect((await second.ended).code).toBe(2);
  expect(second.output()).toBe(
    `filerpair server: runDir: ${pair.directory}/filer-a is in use by another server process ` +
      `(pid ${server['filer-a'].child.pid}); give each server its own.\n`,
  );
});

it("takes over within milliseconds of a SIGKILL, by the sentinel's message, and gives back by command", async () => {
  const { server } = await startAll();
  const killedAt = bootMs();
  server['filer-a'].child.kill('SIGKILL');
  const answeredAt = await firstAnswer(pair.ports['filer-b'].secondary);
  const afterTakeover = await served('filer-b', 'filer-a');
  await eventually('the first reply is written down', 60_000, async () =>
    (await pair.status('filer-b'))?.lastTransition?.phases.some((phase) => phase.name === 'firstReply'),
  );
  print('SIGKILL', killedAt, answeredAt, (await pair.status('filer-b'))!);
  expect(afterTakeover.lastTransition).toMatchObject({
    home: 'filer-a',
    kind: 'Takeover',
    cause: 'PartnerSaidSo',
    epoch: 2,
    to: 'filer-b',
  });
  const names = (await pair.status('filer-b'))!.lastTransition!.phases.map((phase) => phase.name);
  expect(names).toEqual(['claim', 'verify', 'listen', 'replay', 'firstReply']);

  const back = started(pair.startServer('filer-a'));
  await eventually('filer-a acknowledges what filer-b holds', 60_000, async () =>
    setOf(await pair.status('filer-b'), 'filer-a')?.acknowledger?.startsWith('filer-a'),
  );
  expect(setOf(await pair.status('filer-a'), 'filer-a')?.role).toBe('observer');
  const askedAt = bootMs();
  const [answer, backAt] = await Promise.all([
    pair.control('filer-b', 'POST', '/giveback', '{"reason": "test"}'),
    firstAnswer(pair.ports['filer-a'].primary),
  ]);
  expect(JSON.parse(answer.body)).toMatchObject({ result: 'done', message: 'filer-a owns filer-a' });
  print('giveback', askedAt, backAt, await served('filer-a', 'filer-a'));
  await eventually('the secondary port is closed', 60_000, () => isClosed(pair.ports['filer-b'].secondary));
  expect((await pair.status('filer-a'))!.lastTransition).toMatchObject({
    kind: 'Giveback',
    cause: 'Requested',
    epoch: 3,
  });
  for (const home of servers) expectOneOwnerPerEpoch(home);
  // One search finds what both servers logged of a change of owner (docs/logging.md).
  const survivor = server['filer-b'];
  expect(eventsOf(survivor, 'filer-a/2')).toEqual([
    ...['detected', 'claiming', 'owned', 'serving'],
    ...['paired', 'quiescing', 'released'],
  ]);
  expect(eventsOf(back, 'filer-a/3')).toEqual(['detected', 'claiming', 'owned', 'serving']);
});

it('is killed by its dead man’s switch when stopped beyond its right, and only then is taken over', async () => {
  const { server } = await startAll();
  const stoppedAt = bootMs();
  server['filer-a'].child.kill('SIGSTOP');
  const { signal, atMs } = await server['filer-a'].ended;
  expect(signal).toBe('SIGKILL');
  expect(atMs - stoppedAt).toBeGreaterThan(timing.leaseMs - 2 * timing.heartbeatMs);
  const answeredAt = await firstAnswer(pair.ports['filer-b'].secondary);
  print('SIGSTOP', stoppedAt, answeredAt, await served('filer-b', 'filer-a'));
  const claim = pair.history('filer-a').find((line) => line.epoch === 2)!;
  // `atMs` is when the news came to this process; the kernel had killed it before.
  expect(claim.bootMs).toBeGreaterThan(stoppedAt + timing.leaseMs - 2 * timing.heartbeatMs);
  expectOneOwnerPerEpoch('filer-a');
});

it('takes over by silence, after lease and guard, when nobody can say that the server has died', async () => {
  const { server, sentinel } = await startAll();
  sentinel['filer-a'].child.kill('SIGKILL');
  await sentinel['filer-a'].ended;
  const killedAt = bootMs();
  server['filer-a'].child.kill('SIGKILL');
  const answeredAt = await firstAnswer(pair.ports['filer-b'].secondary);
  const status = await served('filer-b', 'filer-a');
  print('silence', killedAt, answeredAt, status);
  expect(status.lastTransition).toMatchObject({ kind: 'Takeover', cause: 'Silent', epoch: 2 });
  const { leaseMs, guardMs, heartbeatMs } = timing;
  expect(answeredAt - killedAt).toBeGreaterThan(leaseMs + guardMs - 2 * heartbeatMs);
  expectOneOwnerPerEpoch('filer-a');
});

it('changes no owner when the interconnect is cut: both go on alone, and pair again when it is healed', async () => {
  const { server } = await startAll();
  for (const one of servers) pair.relays[one].cut(true);
  for (const home of servers) {
    await eventually(
      `${home} goes on solo`,
      60_000,
      async () => setOf(await pair.status(home), home)?.acknowledger === null,
    );
  }
  // Longer than lease and guard: a server that took silence for death would have acted by now.
  const cutAt = bootMs();
  await eventually(
    'the cut has lasted',
    60_000,
    () => bootMs() > cutAt + 2 * (timing.leaseMs + timing.guardMs),
  );
  for (const home of servers) {
    expect(setOf(await pair.status(home), home)).toMatchObject({ phase: 'open', epoch: 1, owner: home });
    expect(await isClosed(pair.ports[home].secondary)).toBe(true);
    expect(server[home].output()).not.toContain('Stopped serving');
  }
  for (const one of servers) pair.relays[one].cut(false);
  await pair.paired();
  for (const home of servers) expectOneOwnerPerEpoch(home);
});

it('hands over at SIGTERM and ends with 0; the partner need not detect anything', async () => {
  const { server } = await startAll();
  const askedAt = bootMs();
  server['filer-a'].child.kill('SIGTERM');
  const answeredAt = await firstAnswer(pair.ports['filer-b'].secondary);
  const status = await served('filer-b', 'filer-a');
  print('SIGTERM', askedAt, answeredAt, status);
  expect(await server['filer-a'].ended).toMatchObject({ code: 0, signal: null });
  expect(status.lastTransition).toMatchObject({ kind: 'Takeover', cause: 'Released', epoch: 2 });
  const releases = pair.history('filer-a').filter((line) => line.holder === null);
  expect(releases).toMatchObject([{ epoch: 1, releasedTo: 'filer-b' }]);
  expectOneOwnerPerEpoch('filer-a');
});

it('comes back when both servers were killed at the same time, without waiting for anyone to be silent', async () => {
  const { server } = await startAll();
  for (const one of servers) server[one].child.kill('SIGKILL');
  await Promise.all(servers.map((one) => server[one].ended));
  for (const one of servers) started(pair.startServer(one));
  // Who is first may take the other's disk set as well: the sentinels say that both earlier runs are dead.
  for (const home of servers) {
    await eventually(`one of them serves ${home}`, 60_000, async () => {
      const statuses = await Promise.all(servers.map((one) => pair.status(one)));
      return statuses.filter((status) => setOf(status, home)?.phase === 'open').length === 1;
    });
    expect(pair.history(home).at(-1)).toMatchObject({ epoch: 2 });
    expectOneOwnerPerEpoch(home);
  }
  const causes = (await Promise.all(servers.map((one) => pair.status(one)))).map(
    (one) => one?.lastTransition?.cause,
  );
  expect(causes).not.toContain('Silent');
});

it('goes on serving both disk sets when the restarted server is killed again and again', async () => {
  const { server } = await startAll();
  server['filer-a'].child.kill('SIGKILL');
  await served('filer-b', 'filer-a');
  for (let round = 0; round < 3; round++) {
    const again = started(pair.startServer('filer-a'));
    await eventually(
      'filer-a is back',
      60_000,
      async () => (await pair.status('filer-a'))?.partner.connected,
    );
    again.child.kill('SIGKILL');
    await again.ended;
    expect(setOf(await pair.status('filer-b'), 'filer-a')).toMatchObject({ phase: 'open', epoch: 2 });
  }
  await firstAnswer(pair.ports['filer-b'].secondary);
  await firstAnswer(pair.ports['filer-b'].primary);
  for (const home of servers) expectOneOwnerPerEpoch(home);
});

it('refuses what an administrator asks for that cannot be, and says why', async () => {
  const { server } = await startAll();
  const ask = async (by: Server, path: string, body = '') => {
    const { status, body: text } = await pair.control(by, 'POST', path, body);
    return { status, text };
  };
  expect(await ask('filer-a', '/giveback')).toMatchObject({
    status: 409,
    text: expect.stringContaining('filer-a does not own filer-b; ask filer-b'),
  });
  expect(await ask('filer-a', '/takeover', '{"home": "filer-c"}')).toMatchObject({ status: 404 });
  expect(await ask('filer-a', '/takeover', 'now')).toMatchObject({ status: 400 });
  server['filer-b'].child.kill('SIGKILL');
  await served('filer-a', 'filer-b');
  expect(await ask('filer-a', '/takeover')).toMatchObject({
    status: 409,
    text: expect.stringContaining('has no steady connection'),
  });
});
