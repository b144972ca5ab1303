/**
 * Records what a disk is asked to do while clients work on a file server. Afterwards it puts the server on that disk as it may
 * be after a crash at any moment. Everything acknowledged has to be there, and nothing may be executed twice.
 */

import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, fsyncSync, mkdirSync, openSync, readdirSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { mount, openMessage, TestDataThread } from '../../fileserver/data-path/data-thread.fixture.ts';
import { RpcClient } from '../../fileserver/data-path/rpc-client.fixture.ts';
import type { Failpoints } from '../../fileserver/system/failpoints.ts';
import type { OpenMessage } from '../../fileserver/threads/messages.ts';
import { SeededRandom } from '../../testing/seeded-random.ts';
import { applyAll, applySome, type CrashPoint, crashPoints, durableBefore } from './crash-states.ts';
import { type DiskEvent, monotonicMs } from './disk-log.ts';
import { type Known, NOTHING_KNOWN, roundOf } from './operation-chain.ts';
import {
  type FileSystemType,
  fileSystemTypes,
  LoopMount,
  RecordingDisk,
  workDirectory,
} from './recording-disk.ts';

/** A call as a client remembers it. Times as in DiskEvent; `answeredAt` is Infinity while there is no answer. */
interface Call {
  readonly round: number;
  readonly step: number;
  readonly xid: number;
  readonly sentAt: number;
  answeredAt: number;
  readonly before: Known;
  after: Known;
}

export interface Recording {
  readonly type: FileSystemType;
  readonly disk: RecordingDisk;
  readonly events: readonly DiskEvent[];
  /** The first event after the volume was made. */
  readonly from: number;
  readonly root: Uint8Array;
  /** By chain. */
  readonly histories: readonly (readonly Call[])[];
  readonly mountOptions: readonly string[];
}

export interface RecordingOptions {
  readonly chains: number;
  readonly forMs: number;
  readonly testing: Failpoints;
  readonly mountOptions: readonly string[];
  readonly seed: number;
}

/** Records a load; the file system is unmounted afterwards, the caller has to discard the disk. */
export async function record(type: FileSystemType, options: RecordingOptions): Promise<Recording> {
  const disk = await RecordingDisk.make(type, { record: true });
  const mounted = disk.mount(options.mountOptions);
  const thread = new TestDataThread(options.testing);
  const volume = join(mounted.path, 'volume');
  mkdirSync(volume);
  const { port } = await thread.open(openMessage(volume));
  execFileSync('sync', ['-f', volume]);
  const from = disk.events().length;
  const client = await RpcClient.connect(port);
  const root = await mount(client, '/data');
  const until = monotonicMs() + options.forMs;
  const noise = commitAtRandom(mounted.path, until, new SeededRandom(options.seed));
  const chains = Array.from({ length: options.chains }, (_, chain) => runChain(client, root, chain, until));
  const histories = await Promise.all(chains);
  await noise;
  client.close();
  await thread.close('local', 'fence');
  // Not before: the thread closes what a flush that is under way has open.
  await mounted.unmount();
  await thread.stop();
  return { type, disk, events: disk.events(), from, root, histories, mountOptions: options.mountOptions };
}

/** Somebody else on the same file system: its commits come at any moment, also between an operation and its flush. */
async function commitAtRandom(path: string, until: number, random: SeededRandom): Promise<void> {
  const noise = join(path, 'noise');
  for (let i = 0; monotonicMs() < until; i++) {
    if (i % 3 === 0) {
      await once(spawn('sync', ['-f', path], { stdio: 'ignore' }), 'exit');
    } else {
      const fd = openSync(noise, 'a');
      writeSync(fd, new Uint8Array(1 + random.below(10_000)));
      fsyncSync(fd);
      closeSync(fd);
      if (i % 10 === 5) rmSync(noise);
    }
    await new Promise((resolve) => setTimeout(resolve, random.next() * 8));
  }
}

function xidOf(chain: number, call: number): number {
  return (chain + 1) * 0x100000 + call;
}

async function runChain(client: RpcClient, root: Uint8Array, chain: number, until: number): Promise<Call[]> {
  const history: Call[] = [];
  let known = NOTHING_KNOWN;
  for (let round = 0; monotonicMs() < until; round++) {
    const steps = roundOf(root, `${chain}-${round}-`);
    for (let step = 0; step < steps.length; step++) {
      const xid = xidOf(chain, history.length);
      const call: Call = {
        round,
        step,
        xid,
        sentAt: monotonicMs(),
        answeredAt: Infinity,
        before: known,
        after: known,
      };
      history.push(call);
      const { trouble, known: after } = await steps[step]!.call(client, xid, known);
      if (trouble !== null) throw new Error(`while recording, ${steps[step]!.name} failed: ${trouble}`);
      call.answeredAt = monotonicMs();
      call.after = after;
      known = after;
    }
  }
  return history;
}

export interface ReplayResult {
  readonly states: number;
  /** Sentences: what was wrong after which crash. */
  readonly failures: readonly string[];
}

/** Answered calls of a chain that are sent again, from the last one back. */
const SENT_AGAIN = 4;
/** After one crash of so many there is a second one, while the volume is taken over. */
const CRASHED_AGAIN = 5;

/** Puts a server on so many states after a crash, one after the other. */
export async function replay(recording: Recording, states: number, seed: number): Promise<ReplayResult> {
  const random = new SeededRandom(seed);
  const { events, from } = recording;
  const points = crashPoints(events, from, states, random);
  let count = 0;
  const directory = workDirectory();
  const base = join(directory, 'base');
  const image = join(directory, 'image');
  const thread = new TestDataThread();
  const failures: string[] = [];
  execFileSync('cp', ['--sparse=always', recording.disk.initialImage, base]);
  const { superblock } = fileSystemTypes[recording.type];
  let applied = 0;
  try {
    for (const point of points) {
      const durable = durableBefore(events, point.events);
      writing(base, (write) => applyAll(events, applied, durable, write));
      applied = Math.max(applied, durable);
      copyAnew(base, image);
      writing(image, (write) => applySome(events, durable, point, superblock, random, write));
      const isSecond = ++count % CRASHED_AGAIN === 0;
      const path = join(directory, 'mounted');
      const second = isSecond ? await crashTakingOver(recording, image, thread, random) : '';
      const trouble = await check(recording, point, image, path, thread, isSecond ? 3 : 2);
      if (trouble !== null) failures.push(`${describe(point, durable)}${second}: ${trouble}`);
    }
  } finally {
    await thread.stop();
    rmSync(directory, { recursive: true, force: true });
  }
  return { states: points.length, failures };
}

/**
 * A file of its own each time: what a slow machine could not unmount in time may still write into the file that it was mounted from.
 */
function copyAnew(from: string, to: string): void {
  rmSync(to, { force: true });
  execFileSync('cp', ['--sparse=always', from, to]);
}

function describe({ events, kept, torn }: CrashPoint, durable: number): string {
  return `crash after event ${events} (${durable} durable, of the rest ${kept * 100} %${torn ? ', torn' : ''})`;
}

function writing(path: string, work: (write: (offset: number, data: Uint8Array) => void) => void): void {
  const fd = openSync(path, 'r+');
  try {
    work((offset, data) => writeSync(fd, data, 0, data.length, offset));
  } finally {
    closeSync(fd);
  }
}

/**
 * Takes the volume over on a disk that crashes again meanwhile, at a moment between the mount and the unmounting. The image is as that
 * leaves it. In words, behind those of the first crash.
 */
async function crashTakingOver(
  { type, mountOptions }: Recording,
  image: string,
  thread: TestDataThread,
  random: SeededRandom,
): Promise<string> {
  const disk = await RecordingDisk.make(type, { record: true, copyOf: image });
  try {
    const mounted = disk.mount(mountOptions);
    try {
      await thread.open(takeOver(join(mounted.path, 'volume'), 2));
      await thread.close('partner', 'fence');
    } finally {
      await mounted.unmount();
    }
    const events = disk.events();
    const [point] = crashPoints(events, 0, 1, random);
    const durable = durableBefore(events, point!.events);
    copyAnew(disk.initialImage, image);
    writing(image, (write) => {
      applyAll(events, 0, durable, write);
      applySome(events, durable, point!, fileSystemTypes[type].superblock, random, write);
    });
    return `, and while it was taken over a ${describe(point!, durable)}, of ${events.length}`;
  } finally {
    await disk.discard();
  }
}

function takeOver(volume: string, epoch: number): OpenMessage {
  return openMessage(volume, { diskSet: 'partner', server: 'filer-b', epoch });
}

/** Mounts the image (its file system recovers), takes the volume over, and has the clients go on. Trouble, or null. */
async function check(
  recording: Recording,
  point: CrashPoint,
  image: string,
  path: string,
  thread: TestDataThread,
  epoch: number,
): Promise<string | null> {
  let mounted: LoopMount | null = null;
  let client: RpcClient | null = null;
  try {
    // A file system that does not come back is the file system's, or this test's idea of a disk: but it has to be told.
    mounted = new LoopMount(recording.type, image, path, recording.mountOptions);
    const volume = join(path, 'volume');
    client = await RpcClient.connect((await thread.open(takeOver(volume, epoch))).port);
    const at = recording.events[point.events]?.atMs ?? Infinity;
    for (let chain = 0; chain < recording.histories.length; chain++) {
      const trouble = await goOn(client, recording, chain, at);
      if (trouble !== null) return `chain ${chain}, ${trouble}`;
    }
    const left = readdirSync(volume).filter((name) => name !== '.filerpair');
    return left.length === 0 ? null : `left over: ${left.join(', ')}`;
  } catch (error) {
    return (error as Error).message;
  } finally {
    client?.close();
    if (mounted !== null) {
      await thread.close('partner', 'fence');
      await mounted.unmount();
    }
  }
}

/** The client after the crash: it asks again what it knows the answer of, what it does not, and finishes its round. */
async function goOn(
  client: RpcClient,
  { root, histories }: Recording,
  chain: number,
  crashAt: number,
): Promise<string | null> {
  const sent = histories[chain]!.filter(({ sentAt }) => sentAt < crashAt);
  const last = sent.at(-1);
  if (last === undefined) return null;
  const steps = roundOf(root, `${chain}-${last.round}-`);
  const answered = sent.filter(({ answeredAt, round }) => answeredAt < crashAt && round === last.round);
  for (const { step, xid, before } of answered.slice(-SENT_AGAIN)) {
    if (!steps[step]!.once) continue;
    const { trouble } = await steps[step]!.call(client, xid, before);
    if (trouble !== null) return `${steps[step]!.name}, which was answered, sent again: ${trouble}`;
  }
  const pending = last.answeredAt >= crashAt;
  let known = pending ? last.before : last.after;
  for (let step = pending ? last.step : last.step + 1; step < steps.length; step++) {
    const resent = pending && step === last.step;
    const xid = resent ? last.xid : xidOf(chain, 0x80000 + step);
    const { trouble, known: after } = await steps[step]!.call(client, xid, known);
    if (trouble !== null) return `${steps[step]!.name}, sent ${resent ? 'again' : 'next'}: ${trouble}`;
    known = after;
  }
  return null;
}
