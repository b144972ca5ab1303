/**
 * Makes volumes that are mounted for this pod appear in a directory of the node, from where they spread into the servers'
 * containers, and takes them away again: what an attachment pod does (docs/safety-moving-disks.md).
 */
import { mkdirSync, readdirSync, rmdirSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { bindMount, unmount } from '../system/mount-calls.ts';

//   appear     mkdir, bind          a mount that an earlier run left is kept if it is the same volume, else taken away
//   disappear  umount, rmdir        busy: tried again, as long as it takes. Never forced, never lazy
//
// rmdir is not tidiness: a container that started while the mount stood may have got a private copy of it, which umount
// does not reach. Removing the mount point ends the mount in every namespace.

export interface AttachedVolume {
  readonly name: string;
  /** Where this pod has it. */
  readonly from: string;
  /** Where the servers look for it. */
  readonly to: string;
}

/** Between two tries to unmount. ms */
const AGAIN_MS = 50;
/** A mount that waits says so this often. ms */
const TELL_MS = 5_000;

export type Tell = (message: string) => void;

export async function appear(volume: AttachedVolume, tell: Tell): Promise<void> {
  const { name, from, to } = volume;
  mkdirSync(to, { recursive: true, mode: 0o700 });
  if (sameDirectory(from, to)) {
    tell(`${name} is at ${to} already`);
    return;
  }
  await unmounted(volume, tell);
  bindMount(from, to);
  tell(`${name} is at ${to}`);
}

/** Everything that has appeared below a directory, in one of its directories: this pod's, and what ended ones have left. */
export function leftBelow(directory: string): Omit<AttachedVolume, 'from'>[] {
  const inside = (path: string): string[] =>
    readdirSync(path, { withFileTypes: true }).flatMap((one) =>
      one.isDirectory() ? [join(path, one.name)] : [],
    );
  return inside(directory)
    .flatMap(inside)
    .map((to) => ({ name: basename(to), to }));
}

export async function disappear(volume: Omit<AttachedVolume, 'from'>, tell: Tell): Promise<void> {
  await unmounted(volume, tell);
  removeMountPoint(volume.to);
  removeMountPoint(dirname(volume.to));
  tell(`${volume.name} is gone from ${volume.to}`);
}

/** Resolves when nothing is mounted there any more: there may be several, one upon the other. */
async function unmounted({ name, to }: Omit<AttachedVolume, 'from'>, tell: Tell): Promise<void> {
  let told = Number.NEGATIVE_INFINITY;
  for (;;) {
    try {
      unmount(to);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EINVAL' || code === 'ENOENT') return;
      if (code !== 'EBUSY') throw error;
      if (performance.now() - told >= TELL_MS) {
        told = performance.now();
        tell(`${name} is in use at ${to}; waiting until it is not`);
      }
      await delay(AGAIN_MS);
    }
  }
}

function removeMountPoint(path: string): void {
  try {
    rmdirSync(path);
  } catch (error) {
    // ENOTEMPTY: somebody has put something into the node's own directory. It is not a volume, and not ours.
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOENT' && code !== 'ENOTEMPTY') throw error;
  }
}

function sameDirectory(a: string, b: string): boolean {
  const one = statSync(a, { bigint: true });
  const other = statSync(b, { bigint: true });
  return one.dev === other.dev && one.ino === other.ino;
}
