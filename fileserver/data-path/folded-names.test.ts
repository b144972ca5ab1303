/**
 * Names that the file system takes for one: two operations on them never stand in one group, so that after a kill what the one
 * has made is not taken for the other's. Where this kernel has no file system that folds names, a hard link plays the second
 * name.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, linkSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import * as nfs from '../../protocol/nfs3.ts';
import { XdrWriter } from '../../protocol/xdr.ts';
import type { Request } from '../nfs3/journaled-procedure.ts';
import { type Answer, ServedVolume, statusOf } from '../nfs3/served-volume.fixture.ts';
import { AT_FDCWD, close, O_DIRECTORY, O_PATH, openAt } from '../system/file-calls.ts';
import { foldsNames, type NameFolding, nameFoldingOf } from '../system/name-folding.ts';
import { startIoPool } from '../system/thread-identity.ts';
import { temporaryDirectory } from './data-thread.fixture.ts';
import { fileSystems, type MountedFileSystem } from './file-systems.fixture.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const user = { uid: process.geteuid!(), gid: process.getegid!(), groups: [] };

let served: ServedVolume | null = null;
let place: { readonly path: string; readonly remove: () => void } | null = null;

beforeAll(startIoPool);
afterEach(async () => {
  await served?.close();
  served = null;
  place?.remove();
  place = null;
});

function guarded(of: ServedVolume, name: string): Request {
  const { diskSet } = of;
  const dir = diskSet.rootOf(diskSet.exports.all[0]!);
  if (typeof dir === 'string') throw new Error(dir);
  const w = new XdrWriter();
  nfs.nfs3Procedures.CREATE.args.encode(w, {
    where: { dir: dir.handle, name: bytes(name) },
    how: { mode: nfs.GUARDED, obj_attributes: { ...nfs.SATTR3_NOTHING, mode: 0o640 } },
  });
  return of.make(nfs.nfsproc3.CREATE, w.written().slice(), name.padStart(16, 'k'), user);
}

/** In every epoch, as the file system of the volume would say it. */
async function open(path: string, epoch: number, folding: NameFolding | null): Promise<ServedVolume> {
  const opened = await ServedVolume.open(path, epoch);
  if (folding !== null) Object.defineProperty(opened.volume, 'nameFolding', { value: folding });
  return opened;
}

/** CREATEs of both names at once, a kill when `step` is reached first, and both sent again to the partner. */
async function killed(
  path: string,
  step: 'duringExecution' | 'afterFlush',
  folding: NameFolding | null,
): Promise<(number | null)[]> {
  served = await open(path, 1, folding);
  const { promise: dead, resolve } = Promise.withResolvers<void>();
  const first = served;
  first.onStep = (_operation, at) => {
    if (at !== step || first.isKilled) return;
    // Folded, the second name stands for what the first has made, and the second CREATE makes nothing.
    if (folding !== null && !existsSync(join(path, 'name'))) linkSync(join(path, 'Name'), join(path, 'name'));
    first.kill();
    resolve();
    if (step === 'duringExecution') throw new Error('killed between two system calls');
  };
  for (const name of ['Name', 'name']) void first.submit(guarded(first, name));
  await dead;
  await first.close();
  served = await open(path, 2, folding);
  const second = served;
  const answers: Promise<Answer>[] = ['Name', 'name'].map((name) => second.submit(guarded(second, name)));
  return (await Promise.all(answers)).map(statusOf);
}

test.each(['duringExecution', 'afterFlush'] as const)(
  'two guarded CREATEs of one folded name, killed %s: one OK and one EXIST',
  async (step) => {
    place = temporaryDirectory();
    const statuses = await killed(place.path, step, 'always');
    expect(statuses).toEqual([nfs.NFS3_OK, nfs.NFS3ERR_EXIST]);
  },
);

test('the conflict key of a name: its own on an exact volume, the directory alone where names fold', async () => {
  place = temporaryDirectory();
  const keysOn = async (epoch: number, folding: NameFolding): Promise<string[]> => {
    await served?.close();
    served = await open(place!.path, epoch, folding);
    return ['Name', 'name'].map((name) => guarded(served!, name).check().lockKeys[0]!);
  };
  const exact = await keysOn(1, 'never');
  expect(exact[0]).not.toBe(exact[1]);
  // Its directories were not made to fold names.
  expect(await keysOn(2, 'byDirectory')).toEqual(exact);
  const folded = await keysOn(3, 'always');
  expect(folded[0]).toBe(folded[1]);
});

test('by the type of the file system: exact only what is known to be', () => {
  const kernel = (features: readonly string[]) => (path: string) =>
    path === '/sys/fs' || features.some((type) => path === `/sys/fs/${type}/features/casefold`);
  const [ext4, tmpfs, f2fs, overlay, xfs, btrfs, vfat, fuse, cifs] = [
    0xef53, 0x01021994, 0xf2f52010, 0x794c7630, 0x58465342, 0x9123683e, 0x4d44, 0x65735546, 0xff534d42,
  ];
  for (const magic of [ext4!, tmpfs!, f2fs!]) {
    expect(nameFoldingOf(magic, kernel([]))).toBe('never');
    expect(nameFoldingOf(magic, kernel(['ext4', 'tmpfs', 'f2fs']))).toBe('byDirectory');
    // Without /sys nothing is known of the kernel.
    expect(nameFoldingOf(magic, () => false)).toBe('byDirectory');
  }
  expect(nameFoldingOf(tmpfs!, kernel(['ext4']))).toBe('never');
  expect(nameFoldingOf(overlay!)).toBe('byDirectory');
  for (const magic of [xfs!, btrfs!]) expect(nameFoldingOf(magic)).toBe('never');
  for (const magic of [vfat!, fuse!, cifs!, 1, null]) expect(nameFoldingOf(magic)).toBe('always');
});

/** The kernel's answer, not ours. */
function takesOneForTheOther(path: string): boolean {
  mkdirSync(join(path, 'Folded'));
  return existsSync(join(path, 'fOLDED'));
}

describe.each(fileSystems)('$name', ({ missing, mount }) => {
  test.skipIf(missing !== null)('a volume on it has the conflict keys that its names need', async () => {
    const mounted: MountedFileSystem = mount();
    place = { path: mounted.path, remove: mounted.unmount };
    served = await ServedVolume.open(mounted.path, 1);
    const [one, other] = ['Name', 'name'].map((name) => guarded(served!, name).check().lockKeys[0]);
    expect(one === other).toBe(takesOneForTheOther(mounted.path));
    const fd = openAt(AT_FDCWD, bytes(mounted.path), O_PATH | O_DIRECTORY);
    expect(foldsNames(fd)).toBe(false);
    close(fd);
  });
});

/** An xfs made so that names fold; null: this machine can't make or mount one. */
function mountFoldingXfs(): MountedFileSystem | null {
  const { path: directory, remove } = temporaryDirectory();
  const [image, path] = [join(directory, 'image'), join(directory, 'mounted')];
  mkdirSync(path);
  try {
    execFileSync('truncate', ['-s', '320M', image], { stdio: 'ignore' });
    execFileSync('mkfs.xfs', ['-q', '-n', 'version=ci', image], { stdio: 'ignore' });
    execFileSync('mount', ['-o', 'loop', image, path], { stdio: 'ignore' });
  } catch {
    remove();
    return null;
  }
  const unmount = (): void => {
    execFileSync('umount', [path]);
    remove();
  };
  return { path, image, unmount };
}

test('an xfs that folds names, two guarded CREATEs killed after the flush: one OK and one EXIST', async ({
  skip,
}) => {
  const mounted = mountFoldingXfs();
  if (mounted === null) return skip('this machine mounts no xfs with version=ci');
  place = { path: mounted.path, remove: mounted.unmount };
  expect(takesOneForTheOther(mounted.path)).toBe(true);
  expect(await killed(mounted.path, 'afterFlush', null)).toEqual([nfs.NFS3_OK, nfs.NFS3ERR_EXIST]);
});
