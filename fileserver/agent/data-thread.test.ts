/** The real data thread, from the agent's side. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { incarnationOf } from '../../pair/incarnation.ts';
import { assertEventually } from '../../testing/assert-eventually.ts';
import { type Config, parseConfig } from '../config/config.ts';
import { unpacked } from '../exports/export-specs.ts';
import { allocateLeaseTable, LeaseTable } from '../serving-lease/lease-table.ts';
import { bootMs } from '../system/boottime.ts';
import type { FromDataThread } from '../threads/messages.ts';
import { DataThread } from './data-thread.ts';
import { firstAnswer, isClosed } from './pair.fixture.ts';

let directory = '';
const ends: (() => unknown)[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'filerpair-data-thread-'));
});
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
  rmSync(directory, { recursive: true, force: true });
});

function config(): Config {
  const diskSet = {
    volumes: [{ name: 'data', path: directory }],
    exports: [{ path: '/home', volume: 'data' }],
  };
  const text = JSON.stringify({
    pair: 'home',
    server: 'filer-a',
    partner: 'filer-b',
    listen: { host: '127.0.0.1', primary: 0, secondary: 0 },
    partnerAddress: { host: '127.0.0.1' },
    runDir: directory,
    tls: { directory: '/nowhere', name: 'filer-a', partnerName: 'filer-b' },
    witness: { kind: 'embedded', directory },
    diskSets: { 'filer-a': diskSet, 'filer-b': diskSet },
  });
  return parseConfig(text, 'test');
}

function start() {
  const leases = new LeaseTable(allocateLeaseTable());
  const messages: FromDataThread[] = [];
  const ended: string[] = [];
  const thread = new DataThread({
    config: config(),
    me: incarnationOf('filer-a', 'machine', '1'),
    leases: leases.buffer,
    groupChannel: null,
    received: (message) => messages.push(message),
    ended: (reason) => ended.push(reason),
  });
  ends.push(() => thread.terminate());
  const message = <K extends FromDataThread['kind']>(kind: K) =>
    assertEventually(() => {
      const found = messages.find((one) => one.kind === kind);
      if (found === undefined) throw new Error(`no ${kind} in ${JSON.stringify(messages)}`);
      return found as Extract<FromDataThread, { kind: K }>;
    });
  return { thread, leases, message, ended };
}

it('opens, answers and closes a disk set, and says what each step took', async () => {
  const { thread, leases, message } = start();
  leases.set('local', bootMs() + 60_000);
  thread.open('local', 1, unpacked([]));
  const { port, phases } = await message('opened');
  expect(phases.map(({ name }) => name)).toEqual(['verify', 'listen', 'replay']);
  const askedAt = bootMs();
  await firstAnswer(port);
  expect((await message('firstReply')).atBootMs).toBeGreaterThan(askedAt);
  thread.close('local', 'quiesce');
  expect(await message('closed')).toEqual({ kind: 'closed', diskSet: 'local', mode: 'quiesce' });
  expect(await isClosed(port)).toBe(true);
});

it('answers nobody once the right has run out, although nobody told it to stop', async () => {
  const { thread, leases, message } = start();
  leases.set('local', bootMs() + 60_000);
  thread.open('local', 1, unpacked([]));
  const { port } = await message('opened');
  await firstAnswer(port);
  leases.set('local', 0);
  await expect(firstAnswer(port, 500)).rejects.toThrow('did not answer');
});

it('reports its own end with the reason, so that the process can end with it', async () => {
  const { thread, leases, ended } = start();
  leases.set('local', bootMs() + 60_000);
  thread.open('local', 1, unpacked([]));
  // A mistake of the agent is a bug, and a bug of the data thread ends it.
  thread.open('local', 1, unpacked([]));
  await assertEventually(() => expect(ended[0]).toMatch(/is open already/));
  await assertEventually(() => expect(ended.at(-1)).toBe('it exited with code 1'));
});
