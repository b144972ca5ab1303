import { closeSync, fstatSync, openSync } from 'node:fs';
import { constants } from 'node:os';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { FlushQueue, FlushTimes } from '../../system/flush-queue.ts';
import type { OpenFile } from '../files/open-file.ts';
import type { Volume } from '../volume/volume.ts';
import { DataFlusher, UNSTABLE_TICKS } from './data-flusher.ts';

type Ends = (error: NodeJS.ErrnoException | null) => void;

const LONGER_THAN_A_FAST_DISK_MS = 20;
const pause = (ms: number) => vi.advanceTimersByTimeAsync(ms);

// The clock of the test, which is the global one alone.
vi.mock('node:perf_hooks', () => ({ performance: { now: () => performance.now() } }));

let asked: { readonly call: 'fsync' | 'fdatasync'; readonly fd: number; readonly ends: Ends }[];
let told: string[];
/** What the ownership record says. */
let isOurs: boolean;
/** What the volume was given up for. */
let failed: string[];
let pins: number;
/** What the table says when it is asked for a descriptor of the file. */
let filesFd: () => number;
let anyFd: number;
/** Descriptors of a flush's own. */
let ownFds: number[];
let openOwn: () => number;
/** Files whose descriptors the table can keep. */
let unflushedMax: number;
let removed: boolean;
let tests = 0;
/** Ends of syncfs. */
let synced: ((result: number) => void)[];
let volume: Volume;
let file: OpenFile;
let flusher: DataFlusher;
let queue: FlushQueue;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  asked = [];
  told = [];
  isOurs = true;
  failed = [];
  pins = 0;
  synced = [];
  anyFd = openSync('/dev/null', 'r');
  filesFd = () => anyFd;
  unflushedMax = 100_000;
  removed = false;
  tests += 1;
  volume = {
    spec: { name: 'data' },
    flushTimes: new FlushTimes(),
    isOurs: () => isOurs,
    fail: (reason: string) => failed.push(reason),
    sync: (done: (result: number) => void) => synced.push(done),
  } as unknown as Volume;
  file = { key: `file ${tests}`, volume } as unknown as OpenFile;
  ownFds = [];
  openOwn = () => openSync('/dev/null', 'r');
  queue = new FlushQueue(8, {
    fsync: (fd, ends) => asked.push({ call: 'fsync', fd, ends }),
    fdatasync: (fd, ends) => asked.push({ call: 'fdatasync', fd, ends }),
  });
  const table = {
    readFd: () => filesFd(),
    ownFd: () => {
      const fd = openOwn();
      if (fd >= 0) ownFds.push(fd);
      return fd;
    },
    get unflushedMax() {
      return unflushedMax;
    },
    pin: () => {
      pins += 1;
    },
    unpin: () => {
      pins -= 1;
      // As the table has it: a removed file's descriptors are closed with its last pin.
      if (pins === 0 && removed) filesFd = () => -constants.errno.ESTALE;
    },
  };
  flusher = new DataFlusher(table, queue);
});
afterEach(() => {
  vi.useRealTimers();
  expect(pins).toBe(0);
  for (const fd of ownFds) expect(() => fstatSync(fd)).toThrow('EBADF');
  closeSync(anyFd);
});

const flush = (name: string): void =>
  flusher.flush(file, 'all', (outcome) => told.push(`${name}: ${outcome}`));

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

test('of those that share a flush one that needs all is enough', () => {
  flusher.flush(file, 'data', () => {});
  flush('A');
  flusher.flush(file, 'data', () => {});
  asked[0]!.ends(null);
  flusher.flush(file, 'data', () => {});
  asked[1]!.ends(null);
  asked[2]!.ends(null);
  expect(asked.map(({ call }) => call)).toEqual(['fdatasync', 'fsync', 'fdatasync']);
});

test('on a slow disk one that could not wait any longer begins when the first has ended, and none for nobody', async () => {
  await showThatTheDiskIsSlow();
  flush('A');
  await pause(5);
  flush('B');
  asked[0]!.ends(null);
  expect(asked).toHaveLength(2);
  await pause(LONGER_THAN_A_FAST_DISK_MS);
  expect(asked).toHaveLength(2);
  flush('C');
  await pause(1);
  expect(asked).toHaveLength(3);
  for (const { ends } of asked.slice(1)) ends(null);
  expect(told).toEqual(['A: ok', 'B: ok', 'C: ok']);
});

test('on a slow disk one for which there is no descriptor waits for the end of the first', async () => {
  await showThatTheDiskIsSlow();
  openOwn = () => -constants.errno.EMFILE;
  flush('A');
  flush('B');
  await pause(LONGER_THAN_A_FAST_DISK_MS);
  expect([asked.length, synced.length]).toEqual([1, 0]);
  asked[0]!.ends(null);
  asked[1]!.ends(null);
  expect(told).toEqual(['A: ok', 'B: ok']);
});

test('on a slow disk the next one begins beside the first, with a descriptor of its own', async () => {
  await showThatTheDiskIsSlow();
  flush('A');
  flush('B');
  flush('C');
  await pause(1);
  expect(asked).toHaveLength(1);
  await pause(1);
  expect(asked).toHaveLength(2);
  expect(asked[1]!.fd).not.toBe(asked[0]!.fd);
  // However old those are: what comes at the same time shares a flush.
  await pause(10);
  flush('D');
  await pause(0);
  flush('E');
  await pause(2);
  expect(asked).toHaveLength(3);
  asked[0]!.ends(null);
  expect(told).toEqual(['A: ok']);
  asked[1]!.ends(null);
  asked[2]!.ends(null);
  expect(told).toEqual(['A: ok', 'B: ok', 'C: ok', 'D: ok', 'E: ok']);
});

test('no more than four of a file at once; the rest waits for one of them', async () => {
  await showThatTheDiskIsSlow();
  for (const name of ['A', 'B', 'C', 'D']) {
    flush(name);
    await pause(2);
    expect(asked).toHaveLength(name.charCodeAt(0) - 64);
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
  await pause(2);
  expect(asked).toHaveLength(2);
  asked[1]!.ends(null);
  expect(told).toEqual([]);
  asked[0]!.ends(Object.assign(new Error('EIO'), { errno: -5 }));
  expect(told.sort()).toEqual(['A: ioError', 'B: ioError']);
});

test('a second flush of one file is not begun where other files wait for their first', async () => {
  await showThatTheDiskIsSlow();
  for (let other = 0; other < 7; other++) {
    queue.flush({ fd: anyFd, key: `${other}`, depth: 'all' }, new FlushTimes(), () => {});
  }
  flush('A');
  flush('B');
  await pause(LONGER_THAN_A_FAST_DISK_MS);
  const lateFd = openSync('/dev/null', 'r');
  queue.flush({ fd: lateFd, key: 'late', depth: 'all' }, new FlushTimes(), () => {});
  expect(asked).toHaveLength(8);
  for (let other = 0; other < 3; other++) asked[other]!.ends(null);
  expect(asked.slice(8).map(({ fd }) => fd)).toEqual([lateFd]);
  closeSync(lateFd);
  // Now there is room.
  flush('C');
  await pause(1);
  expect(asked).toHaveLength(10);
  for (const { ends } of asked.slice(3)) ends(null);
  expect(told).toEqual(['A: ok', 'B: ok', 'C: ok']);
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

test('a file that is removed while a flush runs is flushed for those that wait, by the descriptor that it had', () => {
  flush('A');
  flush('B');
  removed = true;
  asked[0]!.ends(null);
  expect(asked).toHaveLength(2);
  asked[1]!.ends(null);
  expect(told).toEqual(['A: ok', 'B: ok']);
  flush('C');
  expect(told).toEqual(['A: ok', 'B: ok', 'C: stale']);
});

test.each(['EACCES', 'EMFILE', 'ENFILE', 'ENOMEM', 'EIO'] as const)(
  'without a descriptor (%s) the whole file system is flushed, and what comes meanwhile waits for the next one',
  (code) => {
    filesFd = () => -constants.errno[code];
    flush('A');
    flush('B');
    expect(asked).toHaveLength(0);
    expect(synced).toHaveLength(1);
    filesFd = () => anyFd;
    synced[0]!(0);
    expect(told).toEqual(['A: ok']);
    asked[0]!.ends(null);
    expect(told).toEqual(['A: ok', 'B: ok']);
  },
);

test('a flush of the whole file system that fails is a failed flush', () => {
  filesFd = () => -constants.errno.EACCES;
  flush('A');
  synced[0]!(-constants.errno.EIO);
  expect(told).toEqual(['A: ioError']);
});

test('flushing what is unstable waits for a flush of it that is under way, and for what was written since it began', async () => {
  flusher.noteUnstable(file);
  flush('COMMIT');
  flusher.noteUnstable(file);
  let flushed = false;
  const all = flusher.flushUnstable().then(() => {
    flushed = true;
  });
  asked[0]!.ends(null);
  await pause(0);
  expect([flushed, told, volume.flushTimes.underWay]).toEqual([false, ['COMMIT: ok'], 1]);
  asked[1]!.ends(null);
  await all;
  expect([flusher.hasUnstable, volume.flushTimes.underWay]).toEqual([false, 0]);
});

test('flushing what is unstable says when nothing was lost', async () => {
  flusher.noteUnstable(file);
  expect(flusher.hasUnstable).toBe(true);
  const all = flusher.flushUnstable();
  asked[0]!.ends(null);
  expect([...(await all)]).toEqual([]);
});

test('a flush counts as under way until those that wait have been told, whatever they begin then', async () => {
  let ended = false;
  flusher.noteUnstable(file);
  flusher.flush(file, 'data', () => flush('next'));
  void volume.flushTimes.whenEnded().then(() => {
    ended = true;
  });
  expect(flusher.hasUnstable).toBe(false);
  asked[0]!.ends(null);
  await pause(0);
  expect([ended, told]).toEqual([false, []]);
  asked[1]!.ends(null);
  await volume.flushTimes.whenEnded();
  expect(told).toEqual(['next: ok']);
});

test('more unstable files than are remembered: their file system is flushed too, and a failure is told of their volume', async () => {
  unflushedMax = 8;
  const files = Array.from({ length: 9 }, (_, i) => ({ key: `${i}`, volume }) as unknown as OpenFile);
  for (const one of files) flusher.noteUnstable(one);
  const all = flusher.flushUnstable();
  expect(synced).toHaveLength(1);
  synced[0]!(-constants.errno.EIO);
  for (let i = 0; i < 8; i++) asked[i]!.ends(null);
  expect([...(await all)]).toEqual([volume]);
});

test('flushing what is unstable says that a flush failed which was under way', async () => {
  flusher.noteUnstable(file);
  flush('COMMIT');
  const all = flusher.flushUnstable();
  asked[0]!.ends(Object.assign(new Error('EIO'), { errno: -5 }));
  expect([...(await all)]).toEqual([volume]);
  expect(told).toEqual(['COMMIT: ioError']);
});

test('what was written unstable is flushed by itself after a while, and until then its descriptors stay open', () => {
  flusher.noteUnstable(file);
  flusher.noteUnstable(file);
  for (let second = 1; second < UNSTABLE_TICKS; second++) flusher.tick();
  expect([file.unflushed, asked.length]).toEqual([true, 0]);
  flusher.tick();
  expect([file.unflushed, asked.length, pins]).toEqual([false, 1, 1]);
  // What is written now is not what this flush is about.
  flusher.noteUnstable(file);
  asked[0]!.ends(null);
  expect([file.unflushed, pins, failed]).toEqual([true, 0, []]);
});

test('it is flushed so long after it was first written, however often since', () => {
  for (let second = 0; second < 20; second++) flusher.tick();
  flusher.noteUnstable(file);
  for (let second = 1; second < UNSTABLE_TICKS; second++) {
    flusher.noteUnstable(file);
    flusher.tick();
  }
  expect(asked).toHaveLength(0);
  flusher.tick();
  expect(asked).toHaveLength(1);
  asked[0]!.ends(null);
});

test('of many files 64 are flushed in a second', () => {
  const files = Array.from({ length: 100 }, (_, i) => ({ key: `${i}`, volume }) as unknown as OpenFile);
  for (const one of files) flusher.noteUnstable(one);
  for (let second = 1; second <= UNSTABLE_TICKS; second++) flusher.tick();
  const begun = (): number => files.filter(({ unflushed }) => !unflushed).length;
  expect(begun()).toBe(64);
  flusher.tick();
  expect(begun()).toBe(100);
  for (let i = 0; i < 100; i++) asked[i]!.ends(null);
});

test('on a disk that does not answer nothing is added to the flush that is under way', () => {
  flush('A');
  flusher.noteUnstable(file);
  for (let second = 1; second <= UNSTABLE_TICKS + 10; second++) flusher.tick();
  asked[0]!.ends(null);
  expect(asked).toHaveLength(1);
  flusher.tick();
  expect(asked).toHaveLength(2);
  asked[1]!.ends(null);
});

test("a failure of such a flush is the volume's", () => {
  flusher.noteUnstable(file);
  for (let second = 1; second <= UNSTABLE_TICKS; second++) flusher.tick();
  asked[0]!.ends(Object.assign(new Error('EIO'), { errno: -5 }));
  expect(failed).toEqual(['IoError']);
});

test('files of which no descriptor is kept are committed with their whole file system, until that was flushed', () => {
  const files = Array.from({ length: 4097 }, (_, i) => ({ key: `${i}`, volume }) as unknown as OpenFile);
  for (const one of files) flusher.noteUnstable(one);
  const last = files[4096]!;
  expect([files[4095]!.unflushed, last.unflushed]).toEqual([true, undefined]);
  expect(flusher.hasUnstable).toBe(true);
  // Its descriptor may be younger than an error of its data.
  flusher.flush(last, 'data', (outcome) => told.push(outcome));
  expect([asked.length, synced.length]).toEqual([0, 1]);
  synced[0]!(0);
  expect(told).toEqual(['ok']);
  // Something was written while the whole file system was flushed: once more.
  flusher.tick();
  flusher.noteUnstable(last);
  synced[1]!(0);
  flusher.flush(last, 'data', () => {});
  expect([asked.length, synced.length]).toEqual([0, 3]);
  synced[2]!(0);
  flusher.tick();
  synced[3]!(0);
  flusher.flush(last, 'data', () => {});
  expect([asked.length, synced.length, failed]).toEqual([1, 4, []]);
  asked[0]!.ends(null);
});

test('a flush proves nothing once somebody newer has the volume', () => {
  flush('A');
  isOurs = false;
  asked[0]!.ends(null);
  expect(told).toEqual(['A: ioError']);
});

test('on a slow disk a second commit of a file of which no descriptor is kept leaves none open', async () => {
  await showThatTheDiskIsSlow();
  unflushedMax = 8;
  const files = Array.from({ length: 8 }, (_, i) => ({ key: `${i}`, volume }) as unknown as OpenFile);
  for (const one of [...files, file]) flusher.noteUnstable(one);
  flush('A');
  flush('B');
  await pause(LONGER_THAN_A_FAST_DISK_MS);
  expect([asked.length, synced.length, ownFds.length]).toEqual([0, 2, 1]);
  for (const end of synced) end(0);
  expect(told).toEqual(['A: ok', 'B: ok']);
});
