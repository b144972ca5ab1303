/** What an attachment pod does on its node, with real mounts and mount namespaces. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { assertEventually } from '../../testing/assert-eventually.ts';
import { isMountedVolume } from '../storage/volume/mounted-volume.ts';
import * as mountCalls from '../system/mount-calls.ts';
import { MountedPlaces, mayMount } from '../system/mounts.fixture.ts';
import { type AttachedVolume, appear, disappear, leftBelow } from './attachment.ts';

let places: MountedPlaces;
let volume: AttachedVolume;
let said: string[];
const tell = (message: string) => said.push(message);
const children: ChildProcess[] = [];

beforeEach(() => {
  places = new MountedPlaces();
  volume = {
    name: 'data',
    from: places.fileSystem('claims/data'),
    to: join(places.directory('servers'), 'data'),
  };
  writeFileSync(join(volume.from, 'file'), 'content');
  said = [];
});
afterEach(async () => {
  vi.restoreAllMocks();
  for (const child of children.splice(0)) {
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  }
  places.remove();
});

const mountsAt = (path: string, pid: number | 'self' = 'self'): number =>
  readFileSync(`/proc/${pid}/mountinfo`, 'utf8')
    .split('\n')
    .filter((line) => line.split(' ')[4] === path).length;

describe.skipIf(!mayMount)('an attachment', () => {
  test('lets a volume appear, and takes it and its mount point away', async () => {
    await appear(volume, tell);
    expect(isMountedVolume(volume.to)).toBe(true);
    expect(readdirSync(volume.to)).toEqual(['file']);
    await disappear(volume, tell);
    expect(existsSync(dirname(volume.to))).toBe(false);
    expect(readdirSync(volume.from)).toEqual(['file']);
  });

  test('keeps what an earlier run left, if it is the same volume', async () => {
    await appear(volume, tell);
    // It is not taken away for a moment: then this would wait forever.
    const fd = openSync(join(volume.to, 'file'), 'r');
    await appear(volume, tell);
    closeSync(fd);
    expect(said.at(-1)).toBe(`data is at ${volume.to} already`);
    expect(mountsAt(volume.to)).toBe(1);
    await disappear(volume, tell);
    expect(existsSync(volume.to)).toBe(false);
  });

  test('replaces what an earlier run left of another volume', async () => {
    await appear({ ...volume, from: places.fileSystem('claims/old') }, tell);
    await appear(volume, tell);
    expect(mountsAt(volume.to)).toBe(1);
    expect(readdirSync(volume.to)).toEqual(['file']);
    await disappear(volume, tell);
  });

  test('takes away several mounts that lie upon each other', async () => {
    await appear(volume, tell);
    places.bind(volume.from, volume.to);
    await disappear(volume, tell);
    expect(existsSync(volume.to)).toBe(false);
  });

  test('waits while a file is open, says so, and goes on when it is closed', async () => {
    await appear(volume, tell);
    const fd = openSync(join(volume.to, 'file'), 'r');
    let gone = false;
    const going = disappear(volume, tell).then(() => {
      gone = true;
    });
    await assertEventually(() => expect(said.join()).toContain('is in use'));
    expect(gone).toBe(false);
    expect(isMountedVolume(volume.to)).toBe(true);
    closeSync(fd);
    await going;
    expect(existsSync(volume.to)).toBe(false);
  });

  test('says once in a while that it waits, however often it tries', async () => {
    const { unmount } = mountCalls;
    let tries = 0;
    vi.spyOn(mountCalls, 'unmount').mockImplementation((path) => {
      if (++tries <= 3) throw Object.assign(new Error('busy'), { code: 'EBUSY' });
      unmount(path);
    });
    await appear(volume, tell);
    expect(tries).toBe(4);
    expect(said.filter((line) => line.includes('is in use'))).toHaveLength(1);
    await disappear(volume, tell);
  });

  test('does not go on where it cannot unmount or remove for another reason', async () => {
    vi.spyOn(mountCalls, 'unmount').mockImplementationOnce(() => {
      throw Object.assign(new Error('not permitted'), { code: 'EPERM' });
    });
    await expect(disappear(volume, tell)).rejects.toThrow('not permitted');
    writeFileSync(volume.to, 'a file');
    await expect(disappear(volume, tell)).rejects.toMatchObject({ code: 'ENOTDIR' });
  });

  test('leaves what is not its own, and has nothing to do where nothing is', async () => {
    await disappear(volume, tell);
    await appear(volume, tell);
    const other = join(dirname(volume.to), 'letter');
    writeFileSync(other, 'of somebody else');
    await disappear(volume, tell);
    expect(readdirSync(dirname(other))).toEqual(['letter']);
  });

  test('finds what has appeared below a directory, and no files', () => {
    const root = places.directory('left');
    for (const path of ['one/data', 'other/logs']) mkdirSync(join(root, path), { recursive: true });
    writeFileSync(join(root, 'file'), '');
    writeFileSync(join(root, 'one/file'), '');
    expect(leftBelow(root).sort((a, b) => a.to.localeCompare(b.to))).toEqual([
      { name: 'data', to: join(root, 'one/data') },
      { name: 'logs', to: join(root, 'other/logs') },
    ]);
  });

  test('ends private copies of the mount: removing its place is what reaches them', async () => {
    await appear(volume, tell);
    // As a container with the directory and without mount propagation that starts now.
    const other = spawn(
      'unshare',
      ['--mount', '--propagation', 'private', 'sh', '-c', 'echo here; exec sleep 600'],
      {
        stdio: ['ignore', 'pipe', 'ignore'],
      },
    );
    children.push(other);
    await once(other.stdout!, 'data');
    expect(mountsAt(volume.to, other.pid!)).toBe(1);
    places.unmount(volume.to);
    expect(mountsAt(volume.to, other.pid!), 'umount alone does not').toBe(1);
    await disappear(volume, tell);
    expect(mountsAt(volume.to, other.pid!)).toBe(0);
  });

  test('as a process: the volume is there once it is ready, and away when it has been told to end', async () => {
    const ready = join(places.root, 'ready');
    const to = places.directory('servers');
    // An ended pod has left its mount of the same volume.
    await appear({ ...volume, to: join(to, 'earlier', 'data') }, tell);
    const args = [
      '--from',
      places.directory('claims'),
      '--to',
      to,
      '--as',
      'uid-1',
      '--ready',
      ready,
      'data',
    ];
    const child = spawn(process.execPath, [join(import.meta.dirname, 'main.ts'), ...args]);
    children.push(child);
    await assertEventually(() => expect(existsSync(ready)).toBe(true));
    expect(isMountedVolume(join(to, 'uid-1', 'data'))).toBe(true);
    expect(isMountedVolume(join(to, 'earlier', 'data')), 'a server may still be using it').toBe(true);
    child.kill('SIGTERM');
    const [code] = await once(child, 'exit');
    expect(code).toBe(0);
    expect(readdirSync(to)).toEqual([]);
  });
});
