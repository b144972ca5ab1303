/** When the list of mounts is written: only when the thread that changes the volume says so, and not without the lease. */
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { MountFile, readMounts } from './mount-file.ts';

let root: string;
let file: string;
/** Of the gate: how often it still says yes. */
let changesLeft: number;
let mounts: MountFile;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'filerpair-mounts-'));
  mkdirSync(join(root, '.filerpair'));
  file = join(root, '.filerpair/mounts.json');
  changesLeft = Number.POSITIVE_INFINITY;
  mounts = new MountFile({ begin: () => changesLeft-- > 0, end: () => {} }, root);
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const entry = { host: 'client', path: '/data' };
const written = (): unknown => (existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : null);

test('what has changed is written when it is asked for, and read by the next owner', async () => {
  mounts.replace([entry]);
  expect([mounts.isSettled, written()]).toEqual([false, null]);
  await mounts.write();
  expect([mounts.isSettled, written()]).toEqual([true, [entry]]);
  expect(await readMounts(root)).toEqual([entry]);
  writeFileSync(file, 'no list');
  expect(await readMounts(root)).toEqual([]);
});

test('what changes during a write waits for the next', async () => {
  mounts.replace([entry]);
  const writing = mounts.write();
  mounts.replace([]);
  await mounts.write();
  await writing;
  expect([mounts.isSettled, written()]).toEqual([false, [entry]]);
  await mounts.write();
  expect(written()).toEqual([]);
});

test('a right that ends before any of its system calls ends the write there', async () => {
  mounts.replace([entry]);
  await mounts.write();
  const before = readFileSync(file, 'utf8');
  const calls = 4;
  for (let left = 0; left < calls; left++) {
    changesLeft = left;
    mounts.replace([{ host: 'other', path: '/data' }]);
    await mounts.write();
    expect(readFileSync(file, 'utf8')).toBe(before);
  }
  changesLeft = calls;
  mounts.replace([]);
  await mounts.write();
  expect(written()).toEqual([]);
});

test('something else under the temporary name is not opened', async () => {
  execFileSync('mkfifo', [`${file}.new`]);
  mounts.replace([entry]);
  await mounts.write();
  expect(written()).toEqual([entry]);
  expect(readdirSync(join(root, '.filerpair'))).toEqual(['mounts.json']);
});
