import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { OPEN } from '../../system/open-gate.fixture.ts';
import { become, identityCanChange, SERVER_IDENTITY } from '../../system/thread-identity.ts';
import { NO_WRITES, REFUSED, RefusedError, type WriteGate } from '../../system/write-gate.ts';
import { flushDirectory, makeFile, must, removeFile, replaceDurably, writeWhole } from './durable-file.ts';

/** 'data' and 'all', in their order. */
let flushes: string[];
vi.mock(import('node:fs'), async (original) => {
  const fs = await original();
  return {
    ...fs,
    fdatasync: ((fd, done) => {
      flushes.push(`data of ${fs.readlinkSync(`/proc/self/fd/${fd}`).split('/').at(-1)}`);
      fs.fdatasync(fd, done);
    }) as typeof fs.fdatasync,
    fsync: ((fd, done) => {
      const path = fs.readlinkSync(`/proc/self/fd/${fd}`);
      flushes.push(
        `all of ${path === directory ? 'the directory' : path}, in which is ${fs.readdirSync(path)}`,
      );
      fs.fsync(fd, done);
    }) as typeof fs.fsync,
  };
});

/** Bytes that a write takes at most. */
let most: number;
vi.mock(import('../../system/data-calls.ts'), async (original) => {
  const calls = await original();
  return {
    ...calls,
    writeFrom: (gate, fd, data, at) => calls.writeFrom(gate, fd, data.subarray(0, most), at),
  };
});

const openFiles = (): number => readdirSync('/proc/self/fd').length;
let directory: string;
let path: string;

beforeEach(() => {
  flushes = [];
  most = Number.POSITIVE_INFINITY;
  directory = mkdtempSync(join(tmpdir(), 'filerpair-durable-'));
  path = join(directory, 'file');
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

/** Lets so many changes through. */
function gateFor(changes: number): WriteGate {
  let left = changes;
  return { begin: () => --left >= 0, end: () => {} };
}

test('a result is what it is, unless it says that the call failed or was not made', () => {
  expect([must('x', 0), must('x', 7)]).toEqual([0, 7]);
  expect(() => must('read x', -2)).toThrow('read x: ENOENT');
  expect(() => must('x', REFUSED)).toThrow(RefusedError);
});

test('a new file, on the disk before it has the name, replaces a file, and the name is on the disk then', async () => {
  writeFileSync(path, 'old');
  // Left by a crash, or put there: it is not written to.
  writeFileSync(join(directory, 'elsewhere'), 'untouched');
  symlinkSync(join(directory, 'elsewhere'), `${path}.new`);
  const before = openFiles();
  await replaceDurably(OPEN, path, 'new');
  expect(readFileSync(path, 'utf8')).toBe('new');
  expect(readFileSync(join(directory, 'elsewhere'), 'utf8')).toBe('untouched');
  expect(flushes).toEqual(['data of file.new', 'all of the directory, in which is elsewhere,file']);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  await replaceDurably(OPEN, path, Uint8Array.of(0xff, 0));
  expect([...readFileSync(path)]).toEqual([0xff, 0]);
  expect(openFiles()).toBe(before);
});

test.each([0, 1, 2, 3])(
  'without the right after %i changes, the old one is there, and nothing stays open',
  async (changes) => {
    writeFileSync(path, 'old');
    const before = openFiles();
    await expect(replaceDurably(gateFor(changes), path, 'new')).rejects.toThrow(RefusedError);
    expect(readFileSync(path, 'utf8')).toBe('old');
    expect(openFiles()).toBe(before);
  },
);

test('all of a content is written, from its place on, or it is said that it was not', () => {
  const fd = makeFile(OPEN, path, new Uint8Array(0));
  most = 2;
  writeWhole(OPEN, path, fd, Uint8Array.of(1, 2, 3), 2);
  expect([...readFileSync(path)]).toEqual([0, 0, 1, 2, 3]);
  expect(() => writeWhole(NO_WRITES, path, fd, Uint8Array.of(1), 0)).toThrow(RefusedError);
  expect(() => writeWhole(OPEN, path, -1, Uint8Array.of(1), 0)).toThrow(`write ${path}: EBADF`);
});

test('a new file is new', () => {
  writeFileSync(path, 'old');
  expect(() => makeFile(OPEN, path, Uint8Array.of(1))).toThrow(`create ${path}: EEXIST`);
  expect(readFileSync(path, 'utf8')).toBe('old');
});

test('a file may be removed that is not there; one that can not be removed is told', () => {
  removeFile(OPEN, path);
  writeFileSync(path, '');
  removeFile(OPEN, path);
  expect(readdirSync(directory)).toEqual([]);
  mkdirSync(path);
  expect(() => removeFile(OPEN, path)).toThrow(`unlink ${path}`);
});

test('the server flushes a directory, whichever user the thread served before, and does not leave it open', async (context) => {
  if (!identityCanChange) context.skip();
  const before = openFiles();
  become({ uid: 1000, gid: 1000, groups: [] });
  await flushDirectory(directory);
  become(SERVER_IDENTITY);
  expect(flushes).toHaveLength(1);
  expect(openFiles()).toBe(before);
  await expect(flushDirectory(path)).rejects.toThrow(`open ${path}: ENOENT`);
  writeFileSync(path, '');
  await expect(flushDirectory(path)).rejects.toThrow(`open ${path}: ENOTDIR`);
});
