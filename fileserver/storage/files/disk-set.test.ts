/** Files behind handles: bounded descriptors, none left behind, and handles that outlive all of it. */

import { mkdirSync, mkdtempSync, readdirSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { SeededRandom } from '../../../testing/seeded-random.ts';
import { EVERYBODY } from '../../data-path/data-thread.fixture.ts';
import { ExportSpecs } from '../../exports/export-specs.ts';
import type { ExportSpec } from '../../settings/export-spec.ts';
import { OPEN } from '../../system/open-gate.fixture.ts';
import { StatBuffer } from '../../system/statx.ts';
import { SERVER_IDENTITY } from '../../system/thread-identity.ts';
import { openVolume } from '../volume/open-volume.ts';
import type { Volume } from '../volume/volume.ts';
import { DiskSet } from './disk-set.ts';
import type { Export } from './export.ts';
import { IDLE_TICKS } from './file-table.ts';
import type { OpenFile } from './open-file.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const stat = new StatBuffer();
const exported: ExportSpec = { path: '/data', volume: 'data', ...EVERYBODY };
const DESCRIPTORS_MAX = 256;

let path: string;
let volume: Volume;
let diskSet: DiskSet;
let descriptorsBefore: number;
const descriptors = (): number => readdirSync('/proc/self/fd').length;

beforeEach(async () => {
  path = mkdtempSync(join(tmpdir(), 'filerpair-disk-set-'));
  const owner = { home: 'filer-a', server: 'filer-a', incarnation: 'filer-a/here/1', epoch: 1 };
  descriptorsBefore = descriptors();
  volume = await openVolume({ name: 'data', path }, owner, OPEN, () => {});
  // Else the ownership record's file may still be open when descriptors are counted.
  await volume.recorded;
  diskSet = new DiskSet([volume], ExportSpecs.of([exported]), {
    filesMax: 2000,
    descriptorsMax: DESCRIPTORS_MAX,
  });
});
afterEach(async () => {
  await diskSet.close();
  expect(descriptors()).toBe(descriptorsBefore);
  rmSync(path, { recursive: true, force: true });
});

function root(): OpenFile {
  const file = diskSet.rootOf(diskSet.exports.all[0]!);
  if (typeof file === 'string') throw new Error(file);
  return file;
}
function lookup(name: string): OpenFile {
  const file = diskSet.lookup(root(), bytes(name), SERVER_IDENTITY);
  if (typeof file === 'string') throw new Error(`${name}: ${file}`);
  return file;
}
/** As a request with the handle would find it. */
function byHandle(handle: Uint8Array): OpenFile {
  const file = diskSet.resolveHandle(handle);
  if (typeof file === 'string') throw new Error(file);
  return file;
}

test('a thousand files in use need no more descriptors than allowed', () => {
  const handles: Uint8Array[] = [];
  for (let i = 0; i < 1000; i++) {
    writeFileSync(join(path, `file-${i}`), 'x'.repeat(i % 7));
    const file = lookup(`file-${i}`);
    handles.push(file.handle);
    expect(diskSet.table.readFd(file)).toBeGreaterThan(0);
    expect(diskSet.table.descriptorCount).toBeLessThanOrEqual(DESCRIPTORS_MAX);
  }
  handles.forEach((handle, i) => {
    expect(diskSet.attributes(byHandle(handle), stat)).toBe('ok');
    expect(stat.size).toBe(i % 7);
  });
  expect(diskSet.table.descriptorCount).toBeLessThanOrEqual(DESCRIPTORS_MAX);
});

test('more files than the table holds: the oldest go, their handles stay', () => {
  const handles = Array.from({ length: 2500 }, (_, i) => {
    writeFileSync(join(path, `file-${i}`), '');
    return lookup(`file-${i}`).handle;
  });
  expect(diskSet.table.fileCount).toBeLessThanOrEqual(2000);
  for (const handle of handles) expect(diskSet.attributes(byHandle(handle), stat)).toBe('ok');
});

test('a file removed behind the server is stale as soon as it is looked at, and its space is freed', () => {
  writeFileSync(join(path, 'file'), 'content');
  const file = lookup('file');
  expect(diskSet.attributes(file, stat)).toBe('ok');
  const open = diskSet.table.descriptorCount;
  unlinkSync(join(path, 'file'));
  expect(diskSet.attributes(file, stat)).toBe('stale');
  expect(diskSet.table.descriptorCount).toBeLessThan(open);
  expect(diskSet.attributes(byHandle(file.handle), stat)).toBe('stale');
});

test('descriptors that nobody uses are closed after a while', () => {
  writeFileSync(join(path, 'file'), '');
  diskSet.attributes(lookup('file'), stat);
  expect(diskSet.table.descriptorCount).toBeGreaterThan(0);
  for (let i = 0; i < 40; i++) diskSet.table.tick();
  expect(diskSet.table.descriptorCount).toBe(0);
  expect(diskSet.attributes(lookup('file'), stat)).toBe('ok');
});

test('what is written and not flushed keeps its descriptors, however long, and whatever else needs some', () => {
  writeFileSync(join(path, 'file'), '');
  const file = lookup('file');
  const fd = diskSet.table.writeFd(file);
  file.unflushed = true;
  for (let i = 0; i < IDLE_TICKS + 2; i++) diskSet.table.tick();
  for (let i = 0; i < 2 * DESCRIPTORS_MAX; i++) {
    writeFileSync(join(path, `other-${i}`), '');
    expect(diskSet.pathFd(lookup(`other-${i}`))).toBeGreaterThan(0);
  }
  expect([file.writeFd, diskSet.table.writeFd(file)]).toEqual([fd, fd]);
  // It leaves the table, and its descriptors stay.
  diskSet.table.pin(file);
  diskSet.table.drop(file);
  diskSet.table.unpin(file);
  expect(file.writeFd).toBe(fd);
  file.unflushed = false;
  diskSet.table.pin(file);
  diskSet.table.unpin(file);
  expect(file.isOpen).toBe(false);
});

test('what is written and not flushed gives its space back when it is removed', () => {
  writeFileSync(join(path, 'file'), '');
  const file = lookup('file');
  diskSet.table.writeFd(file);
  file.unflushed = true;
  unlinkSync(join(path, 'file'));
  diskSet.table.dropRemoved(file);
  expect(file.isOpen).toBe(false);
});

test('a pinned file keeps its descriptors through everything, and gives them up afterwards', () => {
  writeFileSync(join(path, 'file'), '');
  const file = lookup('file');
  const fd = diskSet.table.readFd(file);
  diskSet.table.pin(file);
  diskSet.exported.replace(ExportSpecs.of([]));
  expect(file.readFd).toBe(fd);
  diskSet.table.unpin(file);
  expect([file.readFd, diskSet.table.descriptorCount]).toEqual([-1, 0]);
});

test('a change of exports counts for files in use, and leaves them open', () => {
  writeFileSync(join(path, 'file'), '');
  const file = lookup('file');
  const fd = diskSet.table.readFd(file);
  diskSet.exported.replace(ExportSpecs.of([{ ...exported, access: 'ReadOnly' }]));
  expect([byHandle(file.handle) === file, file.readFd, file.tree.readOnly]).toEqual([true, fd, true]);
  diskSet.table.drop(file);
  diskSet.exported.replace(ExportSpecs.of([exported]));
  expect(diskSet.attributes(file, stat)).toBe('ok');
  expect(file.tree.readOnly).toBe(false);
});

test('a file of an export that is gone is stale, but the server can still flush it', () => {
  writeFileSync(join(path, 'file'), '');
  const file = lookup('file');
  diskSet.exported.replace(ExportSpecs.of([{ ...exported, path: '/other' }]));
  expect(diskSet.resolveHandle(file.handle)).toBe('stale');
  expect(diskSet.attributes(file, stat)).toBe('stale');
  expect(diskSet.table.readFd(file)).toBeGreaterThan(0);
  expect(diskSet.attributes(file, stat)).toBe('stale');
  expect(diskSet.resolveHandle(file.handle)).toBe('stale');
  diskSet.exported.replace(ExportSpecs.of([exported]));
  expect(diskSet.attributes(byHandle(file.handle), stat)).toBe('ok');
  // afterEach closes what it opened, and counts.
});

test('whatever calls in progress do, no file can be found whose export is not the present one of its number', () => {
  const random = new SeededRandom(22);
  const one = <T>(of: readonly T[]): T => of[random.below(of.length)]!;
  const names = Array.from({ length: 40 }, (_, i) => `file-${i}`);
  for (const name of names) writeFileSync(join(path, name), '');
  const held: OpenFile[] = [];
  const pinned: OpenFile[] = [];
  const steps: (() => void)[] = [
    () =>
      diskSet.exported.replace(
        ExportSpecs.of(['/data', '/b', '/c'].filter(() => random.below(3) > 0).map(randomTerms)),
      ),
    () => diskSet.exports.all.length > 0 && held.push(found(one(diskSet.exports.all), one(names))),
    () => held.length > 0 && diskSet.attributes(one(held), stat),
    () => held.length > 0 && diskSet.table.readFd(one(held)),
    () => held.length > 0 && diskSet.resolveHandle(one(held).handle),
    () => held.length > 0 && diskSet.table.drop(one(held)),
    () => {
      if (held.length === 0) return;
      const file = one(held);
      if (diskSet.table.readFd(file) < 0) return;
      diskSet.table.pin(file);
      pinned.push(file);
    },
    () => pinned.length > 0 && diskSet.table.unpin(pinned.splice(random.below(pinned.length), 1)[0]!),
    () => diskSet.table.tick(),
  ];
  const randomTerms = (path: string): ExportSpec => ({
    ...exported,
    path,
    access: one(['ReadOnly', 'ReadWrite']),
  });
  const found = (tree: Export, name: string): OpenFile => {
    const file = diskSet.lookup(diskSet.rootOf(tree) as OpenFile, bytes(name), SERVER_IDENTITY);
    if (typeof file === 'string') throw new Error(file);
    return file;
  };
  for (let step = 0; step < 20_000; step++) {
    one(steps)();
    for (const file of diskSet.table.found()) {
      if (diskSet.exports.of(volume, file.tree.id) !== file.tree) throw new Error(`step ${step}`);
    }
    while (held.length > 60) held.shift();
  }
  for (const file of pinned) diskSet.table.unpin(file);
});

test('closed, it opens nothing any more, whatever still asks', async () => {
  writeFileSync(join(path, 'file'), '');
  const file = lookup('file');
  await diskSet.close();
  expect(diskSet.attributes(file, stat)).not.toBe('ok');
});

test('while operations are settled with the rights of before, what lies above an export is known as ever', () => {
  const people = Array.from({ length: 300 }, (_, i) => ({
    ...exported,
    path: `/${i}`,
    directory: `people/${i}`,
  }));
  for (const { directory } of people) mkdirSync(join(path, directory), { recursive: true });
  writeFileSync(join(path, 'file'), '');
  const file = lookup('file');
  const dir = lookup('people');
  const top = root();
  expect(diskSet.table.pathFd(top)).toBeGreaterThan(0);
  diskSet.exported.replace(ExportSpecs.of([exported, ...people]));
  const isOnWay = (name: string, key: string) => diskSet.exported.isOnWay(top, bytes(name), key);
  diskSet.asRecorded(() => {
    // Of a file nobody asks for the directories of all exports.
    expect(isOnWay('file', file.key)).toBe(false);
    expect(diskSet.exported.lookForUnseen(0)).toBe(true);
    expect(isOnWay('people', dir.key)).toBe(true);
    expect(diskSet.exported.lookForUnseen(0)).toBe(false);
  });
  expect(diskSet.exports.made).toSatisfy((made: Iterable<Export>) =>
    [...made].every(({ rootKey }) => rootKey !== null),
  );
});
