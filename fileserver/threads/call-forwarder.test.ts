/** Answers of those who have removed something wait until its space is free, of their own volume only. */
import { beforeEach, expect, test } from 'vitest';
import { pause } from '../../testing/pause.ts';
import { keyOfAddress } from '../callers/client-key.ts';
import { BatchWriter, entrySize } from '../rpc/call-batch.ts';
import { LongRecords } from '../rpc/long-records.ts';
import { NO_CALL } from '../storage/handles/forgotten-object.ts';
import { CallForwarder, VolumeRoute } from './call-forwarder.ts';

const SESSION = 1;
const CALL = 1;

/** A volume whose removed objects give back their space when the test says so. */
class Freed {
  waiting: (() => void)[] = [];
  whenFreed(done: () => void): void {
    this.waiting.push(done);
  }
}

let volumes: Freed[];
let forwarder: CallForwarder;
let answers: (Uint8Array | null)[];

beforeEach(() => {
  volumes = [new Freed(), new Freed()];
  answers = [];
  const channel = { postMessage: () => {}, on: () => {} };
  // The objects of this test are the number of their volume.
  forwarder = new CallForwarder(SESSION, channel, new LongRecords(), {
    forget: (bytes, start) => volumes[bytes[start]!] ?? null,
  });
  const route = new VolumeRoute('data', forwarder);
  const connection = {
    id: 1,
    host: '127.0.0.1',
    port: 700,
    place: { place: -1, number: 1, host: 1, address: 700 },
    clientKey: keyOfAddress('127.0.0.1'),
  };
  route.forward(connection, new Uint8Array(8), 0, 8, (reply) => answers.push(reply));
});

/** The reply of the call, behind objects of these volumes. */
function receive(...gone: number[]): void {
  const reply = new Uint8Array([9, 9, 9, 9]);
  const size = gone.length * entrySize(1) + entrySize(reply.length);
  const batch = new ArrayBuffer(size);
  const w = new BatchWriter(batch);
  for (const volume of gone) w.add(NO_CALL, 0, new Uint8Array([volume]), 0, 1);
  w.add(CALL, 0, reply, 0, reply.length);
  forwarder.receive({ kind: 'replies', session: SESSION, batch, size, spent: [] });
}

test('nothing was removed, or nothing that is open here: answered at once', () => {
  receive(7);
  expect(answers).toHaveLength(1);
});

test('the volume of what was removed is waited for, and no other', () => {
  receive(1, 1);
  expect(answers).toHaveLength(0);
  expect(volumes[0]!.waiting).toHaveLength(0);
  expect(volumes[1]!.waiting).toHaveLength(1);
  volumes[1]!.waiting[0]!();
  expect(answers).toHaveLength(1);
});

test('of two volumes both are', () => {
  receive(0, 1);
  volumes[1]!.waiting[0]!();
  expect(answers).toHaveLength(0);
  volumes[0]!.waiting[0]!();
  expect(answers).toHaveLength(1);
});

test('a call that waits for others has waited since the last word of their thread, and one that has begun since then', async () => {
  const say = async (words: { queued?: number[]; begun?: number[] }): Promise<number> => {
    await pause(5, 'calls wait for a while');
    const nowMs = performance.now();
    const batch = new ArrayBuffer(0);
    forwarder.receive({ kind: 'replies', session: SESSION, batch, size: 0, spent: [], ...words });
    return nowMs;
  };
  const since = (): number => forwarder.longestWaiting!.sinceMs;
  const sentMs = performance.now();
  // Of a thread that says nothing: it may be held by its disk.
  expect(since()).toBeLessThan(sentMs);
  await say({});
  expect(since()).toBeLessThan(sentMs);
  const queuedMs = await say({ queued: [CALL] });
  expect(since()).toBeGreaterThanOrEqual(queuedMs);
  const heardMs = await say({});
  expect(since()).toBeGreaterThanOrEqual(heardMs);
  const begunMs = await say({ begun: [CALL] });
  // From now on its own disk is what it waits for, whatever others are told.
  const laterMs = await say({});
  expect(since()).toBeGreaterThanOrEqual(begunMs);
  expect(since()).toBeLessThan(laterMs);
});
