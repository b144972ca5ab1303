/** Property: attributes copied straight from the kernel's bytes equal those that protocol/ encodes from an object. */
import { mkdtempSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DONT_CHANGE, fattr3, ftype3 } from '../../protocol/nfs3.ts';
import { XdrWriter } from '../../protocol/xdr.ts';
import { NO_CHANGES } from '../storage/files/set-attributes.ts';
import type { Volume } from '../storage/volume/volume.ts';
import { AT_FDCWD } from '../system/file-calls.ts';
import { S_IFCHR, S_IFDIR, S_IFMT, S_IFREG, StatBuffer } from '../system/statx.ts';
import { encodeAttributes } from './attributes.ts';
import { changesOfSattr } from './sattr.ts';

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'filerpair-attributes-'));
  writeFileSync(join(directory, 'file'), 'x'.repeat(100_000));
  utimesSync(join(directory, 'file'), 2 ** 31 + 5, 1e9 + 0.25);
  symlinkSync('target', join(directory, 'link'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const types = new Map<number, ftype3>([
  [S_IFREG, ftype3.NF3REG],
  [S_IFDIR, ftype3.NF3DIR],
  [S_IFCHR, ftype3.NF3CHR],
]);

test.each(['file', '.', 'link', '/dev/null'])('%s', (name) => {
  const path = name.startsWith('/') ? name : join(directory, name);
  const stat = statSync(path, { bigint: true, throwIfNoEntry: false });
  const buffer = new StatBuffer();
  expect(buffer.ofName(AT_FDCWD, new TextEncoder().encode(path))).toBe(0);
  const fast = new XdrWriter();
  encodeAttributes(fast, buffer, { fsidHigh: 0x01020304, fsidLow: 0xfffefdfc } as Volume);
  if (name === 'link' || stat === undefined) {
    // statSync() follows the link; its type is what matters here.
    expect(fast.bytes[3]).toBe(ftype3.NF3LNK);
    return;
  }
  const split = (ns: bigint) => ({
    seconds: Number(ns / 1_000_000_000n),
    nseconds: Number(ns % 1_000_000_000n),
  });
  const rdev = Number(stat.rdev);
  const expected: fattr3 = {
    type: types.get(Number(stat.mode) & S_IFMT)!,
    mode: Number(stat.mode) & 0o7777,
    nlink: Number(stat.nlink),
    uid: Number(stat.uid),
    gid: Number(stat.gid),
    size: Number(stat.size),
    used: Number(stat.blocks) * 512,
    rdev: { specdata1: rdev >> 8, specdata2: rdev & 0xff },
    fsid: 0x01020304_fffefdfcn,
    fileid: stat.ino,
    atime: split(stat.atimeNs),
    mtime: split(stat.mtimeNs),
    ctime: split(stat.ctimeNs),
  };
  const slow = new XdrWriter();
  fattr3.encode(slow, expected);
  expect([...fast.written()]).toEqual([...slow.written()]);
});

test('an id of -1 leaves owner and group as they are', () => {
  const none = { how: DONT_CHANGE } as const;
  const attributes = { mode: null, size: null, atime: none, mtime: none };
  expect(changesOfSattr({ ...attributes, uid: 0xffffffff, gid: 0xffffffff })).toEqual(NO_CHANGES);
  expect(changesOfSattr({ ...attributes, uid: 0xfffffffe, gid: 0 })).toEqual({
    ...NO_CHANGES,
    uid: 0xfffffffe,
    gid: 0,
  });
});
