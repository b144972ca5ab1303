/**
 * Real file systems to test on: the one that holds temporary files. Where the test runs as root and the tools are there, also
 * ext4, xfs and btrfs on loop devices and an overlay (which has no file handles).
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface MountedFileSystem {
  /** A directory on it. */
  readonly path: string;
  /** The file that a loop device makes a disk of; null: there is none. */
  readonly image: string | null;
  readonly unmount: () => void;
}

/** A file system in an image, which is mounted, unmounted, copied and set back. As root only: see loopTypes. */
export class DiskImage {
  readonly type: string;
  readonly path: string;
  readonly #directory: string;
  readonly #image: string;
  #mounted: boolean;

  /** Empty; or a copy, block by block, of another one that is not mounted. */
  constructor(type: string, sizeMiB: number, from?: DiskImage) {
    this.type = type;
    this.#directory = work();
    this.#image = join(this.#directory, 'image');
    this.path = join(this.#directory, 'mounted');
    this.#mounted = false;
    mkdirSync(this.path);
    if (from !== undefined) {
      this.copyFrom(from);
      return;
    }
    execFileSync('truncate', ['-s', `${sizeMiB}M`, this.#image]);
    execFileSync(`mkfs.${type}`, ['-q', this.#image], { stdio: 'ignore' });
  }

  copyFrom(from: DiskImage): void {
    execFileSync('cp', ['--sparse=always', from.#image, this.#image]);
  }

  mount(): string {
    execFileSync('mount', ['-o', 'loop', this.#image, this.path]);
    this.#mounted = true;
    return this.path;
  }

  unmount(): void {
    execFileSync('umount', [this.path]);
    this.#mounted = false;
  }

  remove(): void {
    if (this.#mounted) this.unmount();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

export interface FileSystemKind {
  readonly name: string;
  /** null: it can be tested here. Otherwise why not. */
  readonly missing: string | null;
  readonly mount: () => MountedFileSystem;
}

const root = process.geteuid!() === 0;

function has(tool: string): boolean {
  try {
    execFileSync('sh', ['-c', `command -v ${tool}`], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

function work(): string {
  return mkdtempSync(join(tmpdir(), 'filerpair-fs-'));
}

function missingFor(type: string): string | null {
  if (!root) return 'needs root';
  return has(`mkfs.${type}`) ? null : `mkfs.${type} is not installed`;
}

/** MiB that an image of each type needs, volume and journal included. */
const LOOP_MIB: Readonly<Record<string, number>> = { ext4: 64, xfs: 320, btrfs: 160 };

/** A DiskImage of each of these types can be made here. */
export const loopTypes: readonly string[] = Object.keys(LOOP_MIB).filter((type) => missingFor(type) === null);

export function diskImage(type: string, sizeMiB = LOOP_MIB[type]!): DiskImage {
  return new DiskImage(type, sizeMiB);
}

function loop(type: string, sizeMiB: number, options: readonly string[] = []): FileSystemKind {
  const tool = `mkfs.${type}`;
  const missing = missingFor(type);
  return {
    name: `${type} on a loop device`,
    missing,
    mount: () => {
      const directory = work();
      const image = join(directory, 'image');
      const path = join(directory, 'mounted');
      execFileSync('truncate', ['-s', `${sizeMiB}M`, image]);
      execFileSync(tool, [...options, image], { stdio: 'ignore' });
      mkdirSync(path);
      execFileSync('mount', ['-o', 'loop', image, path]);
      return {
        path,
        image,
        unmount: () => {
          unmounted(path);
          rmSync(directory, { recursive: true, force: true });
        },
      };
    },
  };
}

const overlay: FileSystemKind = {
  name: 'overlay, without file handles',
  missing: root ? null : 'needs root',
  mount: () => {
    const directory = work();
    const part = (name: string): string => {
      mkdirSync(join(directory, name));
      return join(directory, name);
    };
    // A tmpfs below it, so that this works too where the temporary directory is on an overlay itself.
    const base = part('base');
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=128m', 'tmpfs', base]);
    for (const name of ['lower', 'upper', 'work']) mkdirSync(join(base, name));
    const path = part('mounted');
    const options = `lowerdir=${base}/lower,upperdir=${base}/upper,workdir=${base}/work`;
    execFileSync('mount', ['-t', 'overlay', '-o', options, 'overlay', path]);
    return {
      path,
      image: null,
      unmount: () => {
        execFileSync('umount', [path]);
        execFileSync('umount', [base]);
        rmSync(directory, { recursive: true, force: true });
      },
    };
  },
};

const temporary: FileSystemKind = {
  name: 'the temporary directory',
  missing: null,
  mount: () => {
    const path = work();
    return { path, image: null, unmount: () => rmSync(path, { recursive: true, force: true }) };
  },
};

export const fileSystems: readonly FileSystemKind[] = [
  temporary,
  loop('ext4', 64, ['-q']),
  loop('xfs', 320, ['-q']),
  loop('btrfs', 128, ['-q']),
  overlay,
];

/** 40 % of its blocks are root's. */
export const ext4WithReservedBlocks: FileSystemKind = loop('ext4', 96, ['-q', '-m', '40']);

/** Threads that have ended may leave calls to others, which hold their files for a moment longer. */
function unmounted(path: string): void {
  const until = performance.now() + 20_000;
  for (;;) {
    try {
      execFileSync('umount', [path], { stdio: 'pipe' });
      return;
    } catch (error) {
      if (!String(error).includes('busy') || performance.now() > until) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
    }
  }
}
