/**
 * A pair of processes whose home server finds an empty directory where its volume was. Neither serves it until the volume is
 * there again, or an administrator says that it is to be served as it is. Trying again has its pace.
 */

import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, it, vi } from 'vitest';
import { silenceMs } from '../../pair/serving-lease.ts';
import { eventually } from '../../testing/eventually.ts';
import { bootMs } from '../system/boottime.ts';
import { newestFile } from '../witness/embedded-lease.fixture.ts';
import { firstAnswer, Pair, type Running, servers, timing } from './pair.fixture.ts';

vi.setConfig({ testTimeout: 180_000 });

let pair: Pair;
afterEach(() => pair.stop());

const volume = (): string => join(pair.directory, 'volumes/filer-a/data');
const notServedOn = (output: string): boolean => /could not be opened \(VolumeBehind\)/.test(output);
const failureOf = async (server: 'filer-a' | 'filer-b') =>
  (await pair.status(server))?.diskSets.find(({ home }) => home === 'filer-a')?.openFailure;

const written = () => newestFile(join(pair.directory, 'witness'), 'filer-a', 'written');

async function startAll(): Promise<Running[]> {
  for (const server of servers) pair.startSentinel(server);
  const running = servers.map((server) => pair.startServer(server));
  return running;
}

it('neither serves an empty directory in place of the volume, with a pause between two tries', async () => {
  pair = await Pair.create();
  await startAll();
  await pair.paired();
  await eventually('the witness knows what was written', 60_000, () => written() !== null);
  const { uuid } = JSON.parse(readFileSync(join(volume(), '.filerpair/volume.json'), 'utf8'));
  expect(JSON.parse(readFileSync(written()!, 'utf8')).volumes).toEqual({ data: uuid });
  await pair.kill();

  renameSync(volume(), `${volume()}-not-mounted`);
  mkdirSync(volume());
  const running = await startAll();
  await eventually('both have tried', 60_000, () => running.every((one) => notServedOn(one.output())));
  const from = { atMs: bootMs(), claims: claims() };
  await eventually('each has tried again', 60_000, async () => claims() >= from.claims + 4);
  // Each waits for four times the silence that a takeover waits for, so that two tries are half of it apart on average.
  const pauseMs = silenceMs(timing) * 4;
  expect(bootMs() - from.atMs).toBeGreaterThan(pauseMs / 2);
  expect(await failureOf('filer-a')).toMatchObject({
    reason: 'VolumeBehind',
    message: expect.stringMatching(/holds no FilerPair volume, but this volume was served in epoch \d+/),
  });

  // The disk is mounted again: it is served without a word.
  rmSync(volume(), { recursive: true });
  renameSync(`${volume()}-not-mounted`, volume());
  await eventually('one of them serves it', 60_000, async () => {
    for (const server of servers) {
      const set = (await pair.status(server))?.diskSets.find(({ home }) => home === 'filer-a');
      if (set?.phase === 'open') return set.openFailure === null;
    }
    return false;
  });
});

it('an administrator says that the volume is to begin empty', async () => {
  pair = await Pair.create();
  await startAll();
  await pair.paired();
  await eventually('the witness knows what was written', 60_000, () => written() !== null);
  await pair.kill();
  rmSync(volume(), { recursive: true });
  mkdirSync(volume());
  const running = await startAll();
  await eventually('it is refused', 60_000, () => running.some((one) => notServedOn(one.output())));
  mkdirSync(join(volume(), '.filerpair'), { recursive: true });
  writeFileSync(join(volume(), '.filerpair/restored'), '');
  await firstAnswer(pair.ports['filer-a'].primary, 120_000);
  await eventually('the log says so', 60_000, () =>
    running[0]!.output().includes('It is served all the same'),
  );
});

function claims(): number {
  return pair.history('filer-a').filter(({ holder }) => holder !== null).length;
}
