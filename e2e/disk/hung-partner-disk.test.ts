/**
 * The partner's disk hangs, also for who only wants to look at it: that takes no threads from the own disk set, from the start
 * of the process to its end.
 */

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { changeOwn, Pair, type Running, servers } from '../../fileserver/agent/pair.fixture.ts';
import { eventually } from '../../testing/eventually.ts';
import { type LoopMount, missingForDisks, RecordingDisk } from './recording-disk.ts';

const possible = missingForDisks('ext4') === null;
const TIMEOUT_MS = 120_000;
const STOP_MS = 4000;
/** More than the pool has threads. */
const LOOKS = 80;

let disk: RecordingDisk;
let mounted: LoopMount;
let pair: Pair;

beforeEach(async () => {
  if (!possible) return;
  disk = await RecordingDisk.make('ext4', { record: false });
  mounted = disk.mount();
  mkdirSync(join(mounted.path, 'data', '.filerpair'), { recursive: true, mode: 0o700 });
  writeFileSync(join(mounted.path, 'data', '.filerpair', 'volume.json'), '{}');
  await mounted.unmount();
  disk.forget();
  mounted = disk.mount();
}, TIMEOUT_MS);

afterEach(async () => {
  if (!possible) return;
  disk.goOn();
  await pair.stop();
  await mounted.unmount();
  await disk.discard();
}, TIMEOUT_MS);

async function startWithHungPartnerDisk(): Promise<Running> {
  pair = await Pair.create(() => ({ stopMs: STOP_MS }));
  const config = JSON.parse(readFileSync(pair.configFile('filer-b'), 'utf8'));
  config.diskSets['filer-a'].volumes[0].path = join(mounted.path, 'data');
  pair.reconfigure('filer-b', config);
  disk.hang();
  const [, b] = servers.map((server) => pair.startServer(server));
  await pair.paired();
  return b!;
}

test.skipIf(!possible)(
  "looks at the partner's hung disk take no threads from the own disk set, and hold up no planned stop",
  async () => {
    const b = await startWithHungPartnerDisk();
    const looks = Array.from({ length: LOOKS }, async () => {
      const { body } = await pair.control('filer-b', 'GET', '/check');
      expect(JSON.parse(body)).toMatchObject({ possible: false });
      expect(body).toContain('volume data of filer-a has not been read');
    });
    await Promise.all(looks);
    await changeOwn(pair.ports['filer-b'].primary);
    expect(disk.hangs).toBe(true);
    b.child.kill('SIGTERM');
    await eventually('everything is released', 60_000, () =>
      b.output().includes('Everything is released. Ending.'),
    );
    expect(disk.hangs).toBe(true);
    // The kernel ends no thread that waits for a disk. Of this process nothing else is left by then.
    disk.goOn();
    const { code, signal } = await b.ended;
    expect({ code, signal }).toEqual({ code: 0, signal: null });
  },
  TIMEOUT_MS,
);
