import { expect, test } from 'vitest';
import { pause } from '../../testing/pause.ts';
import { FlushQueue, FlushTimes } from './flush-queue.ts';

type Done = (error: NodeJS.ErrnoException | null) => void;

const EIO: NodeJS.ErrnoException = Object.assign(new Error('EIO'), { errno: -5, code: 'EIO' });

/** Flushes that end when the test says so, with what it says; two queues, as the server has for data and metadata. */
class Disk {
  readonly asked: { readonly fd: number; readonly ends: Done }[] = [];
  readonly told: string[] = [];
  readonly #calls = {
    fsync: (fd: number, ends: Done) => this.asked.push({ fd, ends }),
    fdatasync: (fd: number, ends: Done) => this.asked.push({ fd, ends }),
  };
  readonly #queues = {
    data: new FlushQueue(2, this.#calls),
    metadata: new FlushQueue(2, this.#calls),
  };

  flush(name: string, queue: 'data' | 'metadata', fd = 7, key = `file of ${fd}`): void {
    const done: Done = (error) => this.told.push(`${name}: ${error === null ? 'ok' : error.message}`);
    this.#queues[queue].flush({ fd, key, depth: queue === 'data' ? 'data' : 'all' }, new FlushTimes(), done);
  }
}

test('the success of a flush counts when those of the same descriptor that ran beside it have ended', () => {
  const disk = new Disk();
  disk.flush('first', 'data');
  disk.flush('second', 'metadata');
  disk.asked[0]!.ends(null);
  expect(disk.told).toEqual([]);
  disk.asked[1]!.ends(null);
  expect(disk.told).toEqual(['first: ok', 'second: ok']);
});

test('what the kernel told one flush of a descriptor is told to all that ran beside it', () => {
  const disk = new Disk();
  disk.flush('first', 'data');
  disk.flush('second', 'metadata');
  disk.asked[0]!.ends(null);
  disk.asked[1]!.ends(EIO);
  expect(disk.told.sort()).toEqual(['first: EIO', 'second: EIO']);
});

test('an error is told at once, and the flush that still runs gets it whatever the kernel says to it', () => {
  const disk = new Disk();
  disk.flush('first', 'data');
  disk.flush('second', 'metadata');
  disk.asked[0]!.ends(EIO);
  expect(disk.told).toEqual(['first: EIO']);
  disk.asked[1]!.ends(null);
  expect(disk.told).toEqual(['first: EIO', 'second: EIO']);
});

test('another object has nothing to do with flushes that still run, whatever has ended beside them', () => {
  const disk = new Disk();
  disk.flush('first', 'data', 7, 'one');
  disk.flush('second', 'metadata', 8, 'one');
  disk.asked[0]!.ends(null);
  disk.flush('other', 'data', 9, 'two');
  disk.asked[2]!.ends(null);
  expect(disk.told).toEqual(['first: ok', 'other: ok']);
  disk.asked[1]!.ends(EIO);
  expect(disk.told.at(-1)).toBe('second: EIO');
});

test('nobody waits for what began later, nor for other descriptors', () => {
  const disk = new Disk();
  disk.flush('first', 'data');
  disk.flush('second', 'metadata');
  disk.flush('another file', 'metadata', 8);
  disk.asked[0]!.ends(null);
  disk.flush('third', 'data');
  disk.asked[1]!.ends(null);
  expect(disk.told).toEqual(['first: ok']);
  disk.asked[3]!.ends(null);
  expect(disk.told).toEqual(['first: ok', 'second: ok', 'third: ok']);
});

test('with a descriptor of its own a flush waits for those that began before it, and they not for it', () => {
  const disk = new Disk();
  disk.flush('first', 'data', 7, 'a file');
  disk.flush('second', 'data', 8, 'a file');
  disk.asked[1]!.ends(null);
  expect(disk.told).toEqual([]);
  disk.asked[0]!.ends(null);
  expect(disk.told.sort()).toEqual(['first: ok', 'second: ok']);
  disk.flush('third', 'data', 7, 'a file');
  disk.flush('fourth', 'data', 8, 'a file');
  disk.asked[2]!.ends(null);
  expect(disk.told).toEqual(['first: ok', 'second: ok', 'third: ok']);
  disk.asked[3]!.ends(EIO);
  expect(disk.told.at(-1)).toBe('fourth: EIO');
});

test('a descriptor that was opened after somebody heard the error hears nothing of it, and is told', () => {
  const disk = new Disk();
  disk.flush('first', 'data', 7, 'a file');
  disk.flush('second', 'data', 8, 'a file');
  disk.asked[1]!.ends(null);
  disk.asked[0]!.ends(EIO);
  expect(disk.told.sort()).toEqual(['first: EIO', 'second: EIO']);
});

test('an error is none of a flush that had ended well before the one began that is told of it', () => {
  const disk = new Disk();
  disk.flush('first', 'data', 7, 'a file');
  disk.flush('second', 'data', 8, 'a file');
  disk.asked[1]!.ends(null);
  disk.flush('third', 'metadata', 7, 'a file');
  disk.asked[2]!.ends(EIO);
  disk.asked[0]!.ends(null);
  expect(disk.told.sort()).toEqual(['first: EIO', 'second: ok', 'third: EIO']);
});

test('no more than so many run at once, and the next begins when one has ended', () => {
  const disk = new Disk();
  for (const fd of [1, 2, 3]) disk.flush(`file ${fd}`, 'data', fd);
  expect(disk.asked.map(({ fd }) => fd)).toEqual([1, 2]);
  disk.asked[1]!.ends(null);
  expect(disk.asked.map(({ fd }) => fd)).toEqual([1, 2, 3]);
  expect(disk.told).toEqual(['file 2: ok']);
});

test('fdatasync flushes data alone, fsync everything', () => {
  const asked: string[] = [];
  const queue = new FlushQueue(2, {
    fsync: (fd) => asked.push(`fsync ${fd}`),
    fdatasync: (fd) => asked.push(`fdatasync ${fd}`),
  });
  for (const depth of ['data', 'all'] as const)
    queue.flush({ fd: depth.length, key: `alone ${depth}`, depth }, new FlushTimes(), () => {});
  expect(asked).toEqual(['fdatasync 4', 'fsync 3']);
});

test('a volume knows how many flushes it had, what they took, and when none is under way', async () => {
  const ends: Done[] = [];
  const queue = new FlushQueue(1, { fsync: (_fd, done) => ends.push(done), fdatasync: () => {} });
  const times = new FlushTimes();
  const told: string[] = [];
  const flush = (name: string): void => {
    expect(queue.hasRoom).toBe(ends.length === 0);
    const target = { fd: 3, key: `counted ${name}`, depth: 'all' } as const;
    queue.flush(target, times, () => told.push(`${name} of ${times.underWay}`));
  };
  await times.whenEnded();
  expect([times.count, times.ms, times.underWay]).toEqual([0, 0, 0]);
  flush('first');
  flush('second');
  expect([times.underWay, ends.length]).toEqual([2, 1]);
  void times.whenEnded().then(() => told.push('ended'));
  await pause(5, 'a flush takes its time');
  ends.shift()!(null);
  await new Promise((resolve) => setImmediate(resolve));
  expect([told, times.count, times.underWay]).toEqual([['first of 2'], 1, 1]);
  expect(times.ms).toBeGreaterThan(3);
  expect(times.ms).toBeLessThan(10_000);
  ends.shift()!(null);
  await new Promise((resolve) => setImmediate(resolve));
  expect([told, times.count, times.underWay]).toEqual([['first of 2', 'second of 1', 'ended'], 2, 0]);
  expect(queue.hasRoom).toBe(true);
  // Who has been told once is not told again.
  flush('third');
  ends.shift()!(null);
  await new Promise((resolve) => setImmediate(resolve));
  expect(told.filter((one) => one === 'ended')).toHaveLength(1);
});

test('those that wait begin in their order, each as soon as one has ended, also when some have waited before', () => {
  const ends: Done[] = [];
  const begun: number[] = [];
  const queue = new FlushQueue(1, {
    fsync: (fd, done) => {
      begun.push(fd);
      ends.push(done);
    },
    fdatasync: () => {},
  });
  const flush = (fd: number): void =>
    queue.flush({ fd, key: `waits ${fd}`, depth: 'all' }, new FlushTimes(), () => {});
  for (const fd of [10, 11, 12]) flush(fd);
  ends.shift()!(null);
  flush(13);
  for (let i = 0; i < 3; i++) ends.shift()!(null);
  expect(begun).toEqual([10, 11, 12, 13]);
  flush(14);
  flush(15);
  expect(begun).toEqual([10, 11, 12, 13, 14]);
  ends.shift()!(null);
  expect(begun).toEqual([10, 11, 12, 13, 14, 15]);
});
