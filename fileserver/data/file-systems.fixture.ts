/**
 * Real file systems to test on: the one that holds temporary files, and, where the test runs as root and the tools
 * are there, ext4, xfs and btrfs on loop devices and an overlay (which has no file handles).
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface MountedFileSystem {
  /** A directory on it. */
  readonly path: string;
  readonly unmount: () => void;
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

function loop(type: string, sizeMiB: number, options: readonly string[] = []): FileSystemKind {
  const tool = `mkfs.${type}`;
  const missing = !root ? 'needs root' : has(tool) ? null : `${tool} is not installed`;
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
        unmount: () => {
          execFileSync('umount', [path]);
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
    return { path, unmount: () => rmSync(path, { recursive: true, force: true }) };
  },
};

export const fileSystems: readonly FileSystemKind[] = [
  temporary,
  loop('ext4', 64, ['-q']),
  loop('xfs', 320, ['-q']),
  loop('btrfs', 128, ['-q']),
  overlay,
];
