import { closeSync, fstatSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { FlushTimes } from '../../system/flush-queue.ts';
import type { FileTable } from '../files/file-table.ts';
import type { OpenFile } from '../files/open-file.ts';
import type { Volume } from '../volume/volume.ts';
import { FlushSet } from './flush-set.ts';

const { ESTALE, EACCES, EBADF, EIO } = constants.errno;

let directory: string;
let files: { readonly name: string; readonly key: string; readonly fd: number }[];
let pinned: string[];
let set: FlushSet;
/** Of the whole file system that are under way. */
let syncs: ((result: number) => void)[];
let freed: (() => void)[];
let flushTimes: FlushTimes;
let told: [number, boolean][];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'filerpair-flush-set-'));
  files = [];
  pinned = [];
  syncs = [];
  freed = [];
  told = [];
  flushTimes = new FlushTimes();
  const table = {
    readFd: (file: { fd: number }) => file.fd,
    pin: (file: { name: string }) => pinned.push(file.name),
    unpin: (file: { name: string }) => pinned.splice(pinned.indexOf(file.name), 1),
  } as unknown as FileTable;
  const volume = {
    flushTimes,
    sync: (done: (result: number) => void) => syncs.push(done),
    whenFreed: (done: () => void) => freed.push(done),
  } as unknown as Volume;
  set = new FlushSet(volume, table);
});
afterEach(() => {
  for (const { fd } of files) {
    try {
      fstatSync(fd);
      closeSync(fd);
    } catch {
      // Never open, or closed by the test.
    }
  }
  rmSync(directory, { recursive: true, force: true });
});

/** A file that is open, or can't be opened for this reason. */
function add(name: string, fd = openSync(join(directory, name), 'w')): { fd: number } {
  const file = { name, key: name, fd };
  files.push(file);
  set.add(file as unknown as OpenFile);
  return file;
}

function flush(): void {
  set.flush((result, issued) => told.push([result, issued]));
}

const answered = (): Promise<void> => expect.poll(() => told.length).toBe(1);

test('of nothing there is nothing to flush; it ends when what was removed has given back its space', () => {
  flush();
  expect(told).toEqual([]);
  freed.shift()!();
  expect(told).toEqual([[0, false]]);
});

test('each file is flushed, and pinned until then', async () => {
  add('a');
  add('b');
  flush();
  expect([pinned, flushTimes.underWay]).toEqual([['a', 'b'], 2]);
  await expect.poll(() => flushTimes.count).toBe(2);
  await expect.poll(() => pinned).toEqual([]);
  expect([told, syncs]).toEqual([[], []]);
  freed.shift()!();
  expect(told).toEqual([[0, true]]);
});

test('it does not end before the last file is flushed', async () => {
  add('a');
  flush();
  freed.shift()!();
  expect(told).toEqual([]);
  await answered();
  expect(told).toEqual([[0, true]]);
});

test('a file that has no name any more needs none', () => {
  add('gone', -ESTALE);
  flush();
  freed.shift()!();
  expect([told, syncs, pinned]).toEqual([[[0, false]], [], []]);
});

test('the flush of the whole file system covers one that can not be opened, once', async () => {
  add('a', -EACCES);
  add('b', -EACCES);
  add('c');
  flush();
  expect(syncs).toHaveLength(1);
  await expect.poll(() => flushTimes.count).toBe(1);
  freed.shift()!();
  expect(told).toEqual([]);
  syncs.shift()!(0);
  expect(told).toEqual([[0, true]]);
});

test('everything is flushed if that is wanted', () => {
  set.addAll();
  flush();
  freed.shift()!();
  expect([told, syncs.length]).toEqual([[], 1]);
  syncs.shift()!(0);
  expect(told).toEqual([[0, true]]);
});

test('an error of any is the result, whatever ends well behind it', async () => {
  const bad = add('a');
  closeSync(bad.fd);
  flush();
  await expect.poll(() => flushTimes.count).toBe(1);
  await expect.poll(() => pinned).toEqual([]);
  freed.shift()!();
  expect(told).toEqual([[-EBADF, true]]);
});

test('an error of the whole file system is the result', () => {
  set.addAll();
  flush();
  syncs.shift()!(-EIO);
  expect(told).toEqual([]);
  freed.shift()!();
  expect(told).toEqual([[-EIO, true]]);
});

test('a set is empty when its flush has begun', async () => {
  add('a');
  set.addAll();
  flush();
  freed.shift()!();
  syncs.shift()!(0);
  await answered();
  told = [];
  flush();
  freed.shift()!();
  expect([told, syncs, pinned]).toEqual([[[0, false]], [], []]);
});
