/** Flushes of small files: who waits is flushed together, each by itself where that says more or costs less. */
import { describe, expect, test } from 'vitest';
import { SmallFileFlushes } from './small-file-flushes.ts';
import { saysErrors } from './sync-file-system.ts';

/** A file system of which each flush lasts until it is told to end. */
class Disk {
  /** What was flushed, in order. */
  readonly log: string[] = [];
  nowMs = 0;
  readonly flushes = new SmallFileFlushes(
    () => {
      this.log.push('all');
      return this.#until();
    },
    () => this.nowMs,
  );
  #ends: ((done: boolean) => void)[] = [];
  failing = '';

  file(name: string): Promise<string> {
    const sync = async (): Promise<void> => {
      this.log.push(name);
      if (!(await this.#until()) || name === this.failing) throw new Error(`${name} is lost`);
    };
    return this.flushes.flush({ sync }).then(
      () => `${name} is there`,
      (error: Error) => error.message,
    );
  }

  files(...names: string[]): Promise<string[]> {
    return Promise.all(names.map((name) => this.file(name)));
  }

  /** Ends all flushes that run, and lets what follows begin. */
  async end(done = true): Promise<void> {
    await turn();
    const ends = this.#ends;
    this.#ends = [];
    for (const end of ends) end(done);
    await turn();
  }

  #until(): Promise<boolean> {
    return new Promise((resolve) => this.#ends.push(resolve));
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const FOUR = ['b', 'c', 'd', 'e'];

describe('files that are copied', () => {
  test('go together while a flush runs, and are there when the flush that began after them has ended', async () => {
    const disk = new Disk();
    const first = disk.file('a');
    const others = disk.files(...FOUR);
    await disk.end();
    expect(disk.log).toEqual(['a', 'all']);
    // It may have written before it did: not of this flush.
    const late = disk.file('f');
    await disk.end();
    expect(await first).toBe('a is there');
    expect(await others).toEqual(FOUR.map((name) => `${name} is there`));
    expect(disk.log).toEqual(['a', 'all', 'f']);
    await disk.end();
    expect(await late).toBe('f is there');
  });

  test('are flushed one by one where there are few', async () => {
    const disk = new Disk();
    const all = disk.files('a', 'b', 'c');
    await disk.end();
    await disk.end();
    expect(await all).toHaveLength(3);
    expect(disk.log).toEqual(['a', 'b', 'c']);
  });

  test('learn which of them has failed', async () => {
    const disk = new Disk();
    disk.failing = 'c';
    const all = disk.files('a', ...FOUR);
    await disk.end();
    await disk.end(false);
    expect(disk.log).toEqual(['a', 'all', ...FOUR]);
    await disk.end();
    expect(await all).toEqual(['a is there', 'b is there', 'c is lost', 'd is there', 'e is there']);
  });

  test('are flushed one by one after a flush of all that took long', async () => {
    const disk = new Disk();
    const all = disk.files('a', ...FOUR);
    await disk.end();
    disk.nowMs += 1001;
    const later = disk.files('f', 'g', 'h', 'i');
    await disk.end();
    expect(disk.log).toEqual(['a', 'all', 'f', 'g', 'h', 'i']);
    await disk.end();
    expect(await all).toHaveLength(5);
    expect(await later).toHaveLength(4);
  });
});

test.each([
  ['linux', '5.8.0-generic', true],
  ['linux', '6.1.0', true],
  ['linux', '5.7.19', false],
  ['linux', '4.19.0', false],
  ['darwin', '24.1.0', false],
])('syncfs of %s %s says what was not written: %s', (system, kernel, says) => {
  expect(saysErrors(system, kernel)).toBe(says);
});
