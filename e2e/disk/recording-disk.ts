/**
 * A disk of a test's own: a loop device whose writes and flushes pass through a process of ours, which records them, and can be
 * told to flush slowly, to fail, or to hang. Root only; see why() for what else it needs.
 */

import { type ChildProcess, execFileSync, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Superblock } from './crash-states.ts';
import { type DiskEvent, decodeEvents } from './disk-log.ts';

export interface DiskBehaviour {
  /** How long a flush takes at least, ms. */
  readonly flushMs: number;
  /** EIO. */
  readonly failWrites: boolean;
  /** EIO for writes that hold DOOMED: data of files that a test has chosen, and nothing of the file system's own. */
  readonly failDoomed: boolean;
  readonly failFlushes: boolean;
  /** Flushes wait until it is no longer so. */
  readonly stalled: boolean;
}

export const GOOD_DISK: DiskBehaviour = {
  flushMs: 0,
  failWrites: false,
  failDoomed: false,
  failFlushes: false,
  stalled: false,
};

/** See DiskBehaviour.failDoomed. */
export const DOOMED = 'This block is not to reach the disk.';

export type FileSystemType = 'ext4' | 'xfs' | 'btrfs';

interface FileSystem {
  readonly sizeMiB: number;
  readonly mkfs: readonly string[];
  /** Always mounted with. */
  readonly mountOptions: readonly string[];
  /** With half of it from before and half from after a write it would not mount; null: it is one sector. */
  readonly superblock: Superblock | null;
}

/** As small as each can be: an image is copied for each crash. No discards: the disk does not know them. */
export const fileSystemTypes: Readonly<Record<FileSystemType, FileSystem>> = {
  ext4: {
    sizeMiB: 64,
    mkfs: ['mkfs.ext4', '-q', '-E', 'nodiscard,lazy_itable_init=0', '-J', 'size=8'],
    mountOptions: [],
    // It has a checksum, and is read before the journal.
    superblock: { offset: 1024, size: 1024 },
  },
  // Somebody who has just copied our mounts (a container that starts) may hold the image before a little longer.
  xfs: {
    sizeMiB: 320,
    mkfs: ['mkfs.xfs', '-q', '-K'],
    mountOptions: ['nouuid'],
    superblock: null,
  },
  btrfs: {
    sizeMiB: 160,
    mkfs: ['mkfs.btrfs', '-q', '-K'],
    mountOptions: [],
    superblock: { offset: 64 * 1024, size: 4096 },
  },
};

/** Why there can be no recording disk on this machine, or null. */
export function missingForDisks(type: FileSystemType): string | null {
  if (process.geteuid!() !== 0) return 'needs root';
  for (const path of ['/dev/fuse', '/dev/loop-control']) if (!existsSync(path)) return `there is no ${path}`;
  const tool = fileSystemTypes[type].mkfs[0]!;
  try {
    execFileSync('sh', ['-c', `command -v ${tool}`], { stdio: 'ignore' });
    return null;
  } catch {
    return `${tool} is not installed`;
  }
}

/** Where images lie: in memory, so that what is measured is not the machine's own disk. */
export function workDirectory(): string {
  return mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'filerpair-disk-'));
}

export function makeImage(path: string, type: FileSystemType, sizeMiB = fileSystemTypes[type].sizeMiB): void {
  execFileSync('truncate', ['-s', `${sizeMiB}M`, path]);
  const [tool, ...args] = fileSystemTypes[type].mkfs;
  execFileSync(tool!, [...args, path], { stdio: ['ignore', 'ignore', 'pipe'] });
}

const UNMOUNT_MS_MAX = 5_000;

/** A mounted file system on a loop device. */
export class LoopMount {
  readonly device: string;
  readonly path: string;

  constructor(type: FileSystemType, image: string, path: string, options: readonly string[] = []) {
    mkdirSync(path, { recursive: true });
    this.path = path;
    // The device goes with the mount: nobody has to detach it, and so nobody detaches what is another's by then.
    const all = ['loop', ...fileSystemTypes[type].mountOptions, ...options];
    execFileSync('mount', ['-o', all.join(','), image, path], { stdio: ['ignore', 'ignore', 'pipe'] });
    this.device = execFileSync('findmnt', ['-n', '-o', 'SOURCE', path], { encoding: 'utf8' }).trim();
  }

  remount(options: string): void {
    execFileSync('mount', ['-o', `remount,${options}`, this.path]);
  }

  /**
   * A flush that a stopped server has under way may hold it a little longer. A thread that was ended in the middle of one
   * leaves its descriptor open until this process ends: then the mount goes with that.
   */
  async unmount(): Promise<void> {
    await unmountWhenFree(this.path);
  }
}

/** false: another process still has something on it open, and it goes when that ends. */
async function unmountWhenFree(path: string): Promise<boolean> {
  const until = performance.now() + UNMOUNT_MS_MAX;
  for (;;) {
    try {
      execFileSync('umount', [path], { stdio: ['ignore', 'ignore', 'pipe'] });
      return true;
    } catch {
      if (performance.now() > until) {
        execFileSync('umount', ['--lazy', path]);
        return false;
      }
      await delay(50);
    }
  }
}

export class RecordingDisk {
  readonly directory: string;
  /** What is on the disk now, volatile cache included. */
  readonly image: string;
  /** What it was when the disk was made: the state to which the recorded events apply. */
  readonly initialImage: string;
  readonly #type: FileSystemType;
  readonly #target: string;
  readonly #log: string | null;
  readonly #child: ChildProcess;
  /** Lets it go on by and by. */
  #later: ChildProcess | null = null;

  private constructor(type: FileSystemType, directory: string, child: ChildProcess, log: string | null) {
    this.#type = type;
    this.directory = directory;
    this.image = join(directory, 'image');
    this.initialImage = join(directory, 'initial-image');
    this.#target = join(directory, 'disk');
    this.#log = log;
    this.#child = child;
  }

  /** With an empty file system, or with a copy of the image. */
  static async make(
    type: FileSystemType,
    options: { record: boolean; sizeMiB?: number; copyOf?: string },
  ): Promise<RecordingDisk> {
    const directory = workDirectory();
    const [image, target, log] = ['image', 'disk', 'log'].map((name) => join(directory, name)) as [
      string,
      string,
      string,
    ];
    if (options.copyOf === undefined) makeImage(image, type, options.sizeMiB);
    else execFileSync('cp', ['--sparse=always', options.copyOf, image]);
    if (options.record) execFileSync('cp', ['--sparse=always', image, join(directory, 'initial-image')]);
    writeFileSync(target, '');
    const args = [image, target, ...(options.record ? [log] : [])];
    const child = fork(join(import.meta.dirname, 'recording-disk-main.ts'), args, { stdio: 'inherit' });
    await once(child, 'message');
    return new RecordingDisk(type, directory, child, options.record ? log : null);
  }

  mount(options: readonly string[] = []): LoopMount {
    return new LoopMount(this.#type, this.#target, join(this.directory, 'mounted'), options);
  }

  async behave(behaviour: Partial<DiskBehaviour>): Promise<void> {
    this.#child.send({ ...GOOD_DISK, ...behaviour });
    await once(this.#child, 'message');
  }

  /** The kernel has nothing of it in memory any more. While it is not mounted. */
  forget(): void {
    execFileSync('dd', [`if=${this.#target}`, 'iflag=nocache', 'count=0'], { stdio: 'ignore' });
  }

  /** From now on nothing that is asked of it is answered, reads neither: until goOn(). */
  hang(): void {
    this.#child.kill('SIGSTOP');
    // It stops when it gets a processor, and answers until then.
    while (!this.hangs);
  }

  goOn(): void {
    this.#later?.kill();
    this.#later = null;
    this.#child.kill('SIGCONT');
  }

  get hangs(): boolean {
    // proc_pid_stat(5): the state stands behind the name.
    return /\) T /.test(readFileSync(`/proc/${this.#child.pid}/stat`, 'utf8'));
  }

  /** From outside of this process, which may be waiting for it by then. */
  goOnAfter(seconds: number): void {
    this.#later = spawn('sh', ['-c', 'sleep "$0"; kill -CONT "$1"', `${seconds}`, `${this.#child.pid}`], {
      stdio: 'ignore',
    });
  }

  /** Everything since it was made. */
  events(): DiskEvent[] {
    return this.#log === null ? [] : decodeEvents(readFileSync(this.#log));
  }

  /** After its file system was unmounted. */
  async discard(): Promise<void> {
    const ended = once(this.#child, 'exit');
    // The loop device lets go of it a moment after its own file system is unmounted.
    const free = await unmountWhenFree(this.#target);
    // A descriptor that outlived its server would keep disk and process until this process ends: it gets errors instead.
    if (!free) this.#child.kill('SIGKILL');
    await ended;
    rmSync(this.directory, { recursive: true, force: true });
  }
}
