// When the list of mounts is written: not during a hold, not without the right, and not after the end of service.
import { execFileSync } from 'node:child_process';
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { MountList } from './mount-list.ts';

let directory: string;
let file: string;
let mayWrite: boolean;
let list: MountList;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'filerpair-mounts-'));
  file = join(directory, 'mounts.json');
  mayWrite = true;
  list = new MountList(file, () => mayWrite);
});
afterEach(async () => {
  await list.stop();
  rmSync(directory, { recursive: true, force: true });
});

const written = (): unknown => (existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : null);
/** Longer than the list waits after a change. */
const later = () => new Promise((resolve) => setTimeout(resolve, 1300));

test('a hold writes nothing; what changed meanwhile is written when it is over', async () => {
  await list.hold();
  list.add('client', '/data');
  await later();
  expect(written()).toBe(null);
  list.resume();
  await expect.poll(written, { timeout: 10_000 }).toEqual([{ host: 'client', path: '/data' }]);
});

test('an orderly stop writes what has changed at once, and then nothing any more', async () => {
  list.add('client', '/data');
  await list.finish();
  expect(written()).toEqual([{ host: 'client', path: '/data' }]);
  list.add('other', '/data');
  await list.finish();
  await later();
  expect(written()).toEqual([{ host: 'client', path: '/data' }]);
});

test('without the right to serve nothing is written', async () => {
  list.add('client', '/data');
  mayWrite = false;
  await list.finish();
  expect(written()).toBe(null);
});

test('a hold and a stop wait for the write under way, which ends there if the right is gone', async () => {
  // A disk that lets the writing wait: a FIFO without a reader does.
  execFileSync('mkfifo', [`${file}.new`]);
  list.add('client', '/data');
  await later();
  const told: string[] = [];
  const held = list.hold().then(() => told.push('held'));
  const stopped = list.stop().then(() => told.push('stopped'));
  await new Promise((resolve) => setImmediate(resolve));
  expect(told).toEqual([]);
  mayWrite = false;
  const reader = openSync(`${file}.new`, 'r');
  await Promise.all([held, stopped]);
  closeSync(reader);
  expect(existsSync(file)).toBe(false);
});
