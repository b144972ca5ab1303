import { closeSync, openSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { eventually } from '../eventually.fixture.ts';
import { FlushLane, FlushTimes } from '../system/flush-lane.ts';
import { DataFlusher } from './data-flusher.ts';
import type { OpenFile } from './open-file.ts';

type Ends = (error: NodeJS.ErrnoException | null) => void;

const LONGER_THAN_A_FAST_DISK_MS = 20;
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

let asked: { readonly fd: number; readonly ends: Ends }[];
let told: string[];
let pins: number;
let filesFd: number;
let flusher: DataFlusher;
let lane: FlushLane;

beforeEach(() => {
  asked = [];
  told = [];
  pins = 0;
  filesFd = openSync('/dev/null', 'r');
  const flush = (fd: number, ends: Ends) => asked.push({ fd, ends });
  lane = new FlushLane(8, { fsync: flush, fdatasync: flush });
  const table = {
    readFd: () => filesFd,
    ownFd: () => openSync('/dev/null', 'r'),
    pin: () => {
      pins += 1;
    },
    unpin: () => {
      pins -= 1;
    },
  };
  flusher = new DataFlusher(table, lane);
});
afterEach(() => {
  expect(pins).toBe(0);
  closeSync(filesFd);
});

const file = { key: 'a file', volume: { flushTimes: new FlushTimes() } } as unknown as OpenFile;
const flush = (name: string): void =>
  flusher.flush(file, 'all', (result) => told.push(`${name}: ${result === 0 ? 'ok' : result}`));

/** Some dozen flushes, one after the other, of which none is fast. */
async function showThatTheDiskIsSlow(): Promise<void> {
  for (let i = 0; i < 48; i++) {
    flush('slow');
    await pause(4);
    asked.splice(0)[0]!.ends(null);
  }
  told = [];
}

test('what comes while a flush runs shares the next one', async () => {
  flush('A');
  flush('B');
  flush('C');
  expect(asked).toHaveLength(1);
  asked[0]!.ends(null);
  expect(told).toEqual(['A: ok']);
  expect(asked).toHaveLength(2);
  asked[1]!.ends(null);
  expect(told).toEqual(['A: ok', 'B: ok', 'C: ok']);
  await pause(LONGER_THAN_A_FAST_DISK_MS);
  expect(asked).toHaveLength(2);
});

test('on a slow disk the next one begins beside the first, with a descriptor of its own', async () => {
  await showThatTheDiskIsSlow();
  flush('A');
  flush('B');
  flush('C');
  await eventually(() => expect(asked).toHaveLength(2));
  expect(asked[1]!.fd).not.toBe(asked[0]!.fd);
  flush('D');
  await eventually(() => expect(asked).toHaveLength(3));
  asked[0]!.ends(null);
  expect(told).toEqual(['A: ok']);
  asked[1]!.ends(null);
  asked[2]!.ends(null);
  expect(told).toEqual(['A: ok', 'B: ok', 'C: ok', 'D: ok']);
});

test('no more than four of a file at once; the rest waits for one of them', async () => {
  await showThatTheDiskIsSlow();
  for (const name of ['A', 'B', 'C', 'D']) {
    flush(name);
    await eventually(() => expect(told.length + asked.length).toBe(name.charCodeAt(0) - 64));
  }
  flush('E');
  await pause(LONGER_THAN_A_FAST_DISK_MS);
  expect(asked).toHaveLength(4);
  asked[0]!.ends(null);
  expect(asked).toHaveLength(5);
  for (const { ends } of asked.slice(1)) ends(null);
  expect(told).toEqual(['A: ok', 'B: ok', 'C: ok', 'D: ok', 'E: ok']);
});

test('an error is told to all that have a flush of the file under way', async () => {
  await showThatTheDiskIsSlow();
  flush('A');
  flush('B');
  await eventually(() => expect(asked).toHaveLength(2));
  asked[1]!.ends(null);
  expect(told).toEqual([]);
  asked[0]!.ends(Object.assign(new Error('EIO'), { errno: -5 }));
  expect(told.sort()).toEqual(['A: -5', 'B: -5']);
});

test('a second flush of one file is not begun where other files wait for their first', async () => {
  await showThatTheDiskIsSlow();
  for (let other = 0; other < 7; other++) {
    lane.flush({ fd: filesFd, key: `${other}`, depth: 'all' }, new FlushTimes(), () => {});
  }
  flush('A');
  flush('B');
  await pause(LONGER_THAN_A_FAST_DISK_MS);
  expect(asked).toHaveLength(8);
  for (const { ends } of [...asked]) ends(null);
  for (const { ends } of asked.slice(8)) ends(null);
  expect(told).toEqual(['A: ok', 'B: ok']);
});

test('on a fast disk none begins beside another, though most of them wait for a processor', async () => {
  for (let i = 0; i < 48; i++) {
    flush('other');
    if (i % 4 !== 0) await pause(4);
    asked.splice(0)[0]!.ends(null);
  }
  flush('A');
  flush('B');
  await pause(LONGER_THAN_A_FAST_DISK_MS);
  expect(asked).toHaveLength(1);
  asked[0]!.ends(null);
  asked[1]!.ends(null);
});
