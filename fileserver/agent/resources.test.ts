/**
 * What all of a server shares (threads of the pool, its run directory, its log) is taken away, with real processes: its own disk
 * set is served, and a planned stop ends it in time.
 */

import { execFileSync } from 'node:child_process';
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, it, vi } from 'vitest';
import { eventually } from '../../testing/eventually.ts';
import { changeOwn, Pair, type Running, servers } from './pair.fixture.ts';

vi.setConfig({ testTimeout: 120_000 });

const STOP_MS = 4000;

let pair: Pair;
afterEach(() => pair.stop());

/** A planned stop ends the process with code 0. Half a second beyond `stopMs`, the kernel kills it by a signal. */
async function expectPlannedStop({ child, ended }: Running): Promise<void> {
  child.kill('SIGTERM');
  const { code, signal } = await ended;
  expect({ code, signal }).toEqual({ code: 0, signal: null });
}

/** Lines that filer-a says it could not write. */
async function lostLines(): Promise<number> {
  const { body } = await pair.control('filer-a', 'GET', '/metrics');
  return Number(/^filerpair_log_lines_lost_total (\d+)$/m.exec(body)?.[1] ?? Number.NaN);
}

it('a server whose log nobody reads any more serves on, and counts the lines that are lost', async () => {
  pair = await Pair.create(() => ({ stopMs: STOP_MS }));
  const [a] = servers.map((server) => pair.startServer(server));
  await pair.paired();
  expect(await lostLines()).toBe(0);
  a!.child.stdout!.destroy();
  await eventually('lines are lost', 60_000, async () => {
    await pair.control('filer-a', 'POST', '/maintenance', JSON.stringify({ on: true, reason: 'new switch' }));
    return (await lostLines()) > 1;
  });
  await changeOwn(pair.ports['filer-a'].primary);
  await expectPlannedStop(a!);
});

it('a server whose log is a file on a full disk starts, serves, and counts the lines that are lost', async () => {
  pair = await Pair.create(() => ({ stopMs: STOP_MS }));
  const full = openSync('/dev/full', 'w');
  const a = pair.startServer('filer-a', full);
  closeSync(full);
  pair.startServer('filer-b');
  await pair.paired();
  expect(await lostLines()).toBeGreaterThan(1);
  await changeOwn(pair.ports['filer-a'].primary);
  await expectPlannedStop(a);
});

it.runIf(process.getuid!() === 0)(
  'a server whose run directory is full starts, serves, and stops',
  async () => {
    pair = await Pair.create(() => ({ stopMs: STOP_MS }));
    const runDir = join(pair.directory, 'filer-a');
    const config = readFileSync(pair.configFile('filer-a'));
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=32k', 'tmpfs', runDir]);
    try {
      writeFileSync(pair.configFile('filer-a'), config);
      expect(() => writeFileSync(join(runDir, 'fill'), Buffer.alloc(64 * 1024))).toThrow('ENOSPC');
      const [a] = servers.map((server) => pair.startServer(server));
      await pair.paired();
      await changeOwn(pair.ports['filer-a'].primary);
      await expectPlannedStop(a!);
    } finally {
      await pair.kill();
      execFileSync('umount', [runDir]);
    }
  },
);
