import { expect, test } from 'vitest';
import { FlushLane, FlushTimes } from './flush-lane.ts';

type Done = (error: NodeJS.ErrnoException | null) => void;

const EIO: NodeJS.ErrnoException = Object.assign(new Error('EIO'), { errno: -5, code: 'EIO' });

/** Flushes that end when the test says so, with what it says; two lanes, as the server has for data and metadata. */
class Disk {
  readonly asked: { readonly fd: number; readonly ends: Done }[] = [];
  readonly told: string[] = [];
  private readonly calls = {
    fsync: (fd: number, ends: Done) => this.asked.push({ fd, ends }),
    fdatasync: (fd: number, ends: Done) => this.asked.push({ fd, ends }),
  };
  private readonly lanes = {
    data: new FlushLane(2, this.calls),
    metadata: new FlushLane(2, this.calls),
  };

  flush(name: string, lane: 'data' | 'metadata', fd = 7, key = `file of ${fd}`): void {
    const done: Done = (error) => this.told.push(`${name}: ${error === null ? 'ok' : error.message}`);
    this.lanes[lane].flush({ fd, key, depth: lane === 'data' ? 'data' : 'all' }, new FlushTimes(), done);
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

test('no more than so many run at once, and the next begins when one has ended', () => {
  const disk = new Disk();
  for (const fd of [1, 2, 3]) disk.flush(`file ${fd}`, 'data', fd);
  expect(disk.asked.map(({ fd }) => fd)).toEqual([1, 2]);
  disk.asked[1]!.ends(null);
  expect(disk.asked.map(({ fd }) => fd)).toEqual([1, 2, 3]);
  expect(disk.told).toEqual(['file 2: ok']);
});
