/** The empty directory where a volume would appear must never be taken for it. */

import { once } from 'node:events';
import { mkdirSync, readdirSync, readlinkSync, symlinkSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { CallFaults } from '../../system/call-faults.ts';
import { FAILPOINT_ARGUMENTS, withFailpoints } from '../../system/failpoints.fixture.ts';
import * as fileCalls from '../../system/file-calls.ts';
import { MountedPlaces, mayMount } from '../../system/mounts.fixture.ts';
import { OPEN } from '../../system/open-gate.fixture.ts';
import { startIoPool } from '../../system/thread-identity.ts';
import { isMountedVolume, pinMountedVolume } from './mounted-volume.ts';
import { openVolume } from './open-volume.ts';

let places: MountedPlaces;
beforeEach(async () => {
  await startIoPool();
  places = new MountedPlaces();
});
afterEach(() => places.remove());

describe.skipIf(!mayMount)('a volume that moves', () => {
  test('is not there while its place is a plain directory, or nothing at all', () => {
    expect(isMountedVolume(places.directory('home/data'))).toBe(false);
    expect(isMountedVolume(join(places.root, 'home/absent'))).toBe(false);
  });

  test('is not there when a directory of the node itself is bound to its place', () => {
    const place = places.directory('home/data');
    places.bind(places.directory('elsewhere'), place);
    expect(isMountedVolume(place)).toBe(false);
  });

  test('is not there when its place is a symbolic link to a mounted file system', () => {
    const link = join(places.directory('home'), 'data');
    symlinkSync(places.fileSystem('other'), link);
    expect(isMountedVolume(link)).toBe(false);
  });

  test('is there when a file system is mounted at its place, also by a bind', () => {
    expect(isMountedVolume(places.fileSystem('home/data'))).toBe(true);
    const place = places.directory('home/logs');
    places.bind(places.fileSystem('claims/logs'), place);
    expect(isMountedVolume(place)).toBe(true);
  });

  test('stays as long as it is pinned: unmounting says busy', () => {
    const place = places.fileSystem('home/data');
    const pin = pinMountedVolume(place)!;
    expect(() => places.unmount(place)).toThrow(/busy/);
    fileCalls.close(pin);
    places.unmount(place);
    expect(isMountedVolume(place)).toBe(false);
  });
});

describe.skipIf(!mayMount)('opening a volume that moves', () => {
  const owner = { home: 'filer-a', server: 'filer-a', incarnation: 'filer-a/here/1', epoch: 1 };
  const open = async (path: string, more: object = {}) => {
    const volume = await openVolume({ name: 'data', path, reattached: true, ...more }, owner, OPEN, () => {});
    await volume.recorded;
    return volume;
  };

  test('writes nothing into the empty directory', async () => {
    const place = places.directory('home/data');
    await expect(open(place)).rejects.toMatchObject({ reason: 'NotAttached' });
    expect(readdirSync(place)).toEqual([]);
  });

  test('makes a fresh disk a volume, with the lost+found that a new file system has', async () => {
    const place = places.fileSystem('home/data');
    mkdirSync(join(place, 'lost+found'));
    const volume = await open(place);
    expect(() => places.unmount(place)).toThrow(/busy/);
    await volume.close();
    places.unmount(place);
    expect(readdirSync(place), 'all of it was on the disk').toEqual([]);
  });

  test('leaves a disk alone that has files and is no volume, unless it is to be adopted', async () => {
    const place = places.fileSystem('home/data');
    writeFileSync(join(place, 'letter'), 'not ours');
    await expect(open(place)).rejects.toMatchObject({
      reason: 'NotAVolume',
      message: expect.stringContaining('it holds "letter"'),
    });
    expect(readdirSync(place)).toEqual(['letter']);
    await (await open(place, { adopts: true })).close();
    places.unmount(place);
  });

  test('is refused to the partner while it is no volume', async () => {
    const place = places.fileSystem('home/data');
    const partner = { ...owner, server: 'filer-b', epoch: 2 };
    const opening = openVolume({ name: 'data', path: place, reattached: true }, partner, OPEN, () => {});
    await expect(opening).rejects.toMatchObject({ reason: 'NotAVolume' });
    expect(readdirSync(place)).toEqual([]);
  });
});

test('a place that cannot be opened is not taken for an empty one, nor one whose parent cannot', () => {
  expect(() => pinMountedVolume(`/${'a'.repeat(300)}`)).toThrow(
    `cannot be opened (errno ${constants.errno.ENAMETOOLONG})`,
  );
  const { openAt } = fileCalls;
  let calls = 0;
  vi.spyOn(fileCalls, 'openAt').mockImplementation((...call) =>
    ++calls === 2 ? -constants.errno.EIO : openAt(...call),
  );
  expect(() => pinMountedVolume('/proc')).toThrow('the directory above /proc cannot be opened');
  vi.restoreAllMocks();
  // A descriptor of the parent that stays open would keep another volume from being unmounted.
  const held = (): number =>
    readdirSync('/proc/self/fd').filter((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`) === '/';
      } catch {
        return false;
      }
    }).length;
  const before = held();
  expect(isMountedVolume('/proc')).toBe(true);
  expect(held()).toBe(before);
});

test('what can be opened and not looked at is not held: nobody could unmount it', async () => {
  const callFaults = new CallFaults();
  const program = `
      const { parentPort, workerData } = require('node:worker_threads');
      const { readdirSync, readlinkSync } = require('node:fs');
      const held = () => readdirSync('/proc/self/fd').filter((fd) => {
        try { return readlinkSync('/proc/self/fd/' + fd) === '/proc'; } catch { return false; }
      }).length;
      import(workerData.preload).then(() => import(workerData.file)).then(({ pinMountedVolume }) => {
        const before = held();
        let says = null;
        try { pinMountedVolume('/proc'); } catch (error) { says = error.message; }
        parentPort.postMessage({ says, held: held() - before });
      });
    `;
  const preload = FAILPOINT_ARGUMENTS[1];
  const workerData = { preload, file: new URL('./mounted-volume.ts', import.meta.url).href };
  const worker = withFailpoints(
    { callFaults: callFaults.buffer },
    () => new Worker(program, { eval: true, workerData }),
  );
  callFaults.arm('statx', constants.errno.EIO);
  const [answer] = await once(worker, 'message');
  await worker.terminate();
  expect(callFaults.failed('statx')).toBe(1);
  expect(answer).toEqual({ says: '/proc cannot be looked at', held: 0 });
});
