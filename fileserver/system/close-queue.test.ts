/** The objects are named pipes: the reader of one sees that nobody has it open for writing any more. */

import { execFileSync } from 'node:child_process';
import { closeSync, constants, fstatSync, mkdtempSync, openSync, readSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { assertEventually } from '../../testing/assert-eventually.ts';
import { CloseQueue } from './close-queue.ts';

const NEVER_MS = 60_000;

let directory: string;
let queue: CloseQueue;
let readers: number[];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'filerpair-closing-'));
  queue = new CloseQueue();
  readers = [];
});
afterEach(async () => {
  await queue.end();
  for (const fd of readers) closeSync(fd);
  rmSync(directory, { recursive: true });
});

/** The writing end of a new pipe, whose reading end is the last of `readers`. */
function pipe(): number {
  const path = join(directory, `pipe-${readers.length}`);
  execFileSync('mkfifo', [path]);
  readers.push(openSync(path, constants.O_RDONLY | constants.O_NONBLOCK));
  return openSync(path, constants.O_WRONLY);
}

/** Has the pipe no writer any more? */
function isClosed(reader: number): boolean {
  try {
    return readSync(reader, new Uint8Array(1)) === 0;
  } catch (error) {
    expect(error).toMatchObject({ code: 'EAGAIN' });
    return false;
  }
}

const closed = (): Promise<void> => new Promise((resolve) => queue.whenClosed(resolve, null));

test('closes what it has taken over, in this process and for good', async () => {
  const fds = Array.from({ length: 3 }, pipe);
  for (const fd of fds) queue.close(fd);
  expect(readers.map(isClosed)).toEqual([false, false, false]);
  await closed();
  expect(readers.map(isClosed)).toEqual([true, true, true]);
  for (const fd of fds) expect(() => fstatSync(fd)).toThrow('EBADF');
  expect(queue.isEmpty).toBe(true);
});

test('closes at the end of the turn, whether somebody waits or not', async () => {
  queue.close(pipe());
  await assertEventually(() => expect(isClosed(readers[0]!)).toBe(true));
});

test('more than one message holds are closed one message after the other, and who came first is called first', async () => {
  const writer = pipe();
  const path = join(directory, 'pipe-0');
  const called: string[] = [];
  const take = (count: number): void => {
    for (let i = 0; i < count; i++) queue.close(openSync(path, constants.O_WRONLY));
  };
  take(10);
  queue.whenClosed(() => called.push('ten'), NEVER_MS);
  take(700);
  queue.close(writer);
  queue.whenClosed(() => called.push('all'), NEVER_MS);
  expect(called).toEqual([]);
  await closed();
  expect(called).toEqual(['ten', 'all']);
  expect(isClosed(readers[0]!)).toBe(true);
});

test('with nothing to close it calls back at once', () => {
  const done = vi.fn();
  queue.whenClosed(done, NEVER_MS);
  expect(done).toHaveBeenCalledOnce();
});

test('ended, it closes at once what still comes', async () => {
  queue.close(pipe());
  await queue.end();
  expect(isClosed(readers[0]!)).toBe(true);
  queue.close(pipe());
  expect(isClosed(readers[1]!)).toBe(true);
});
