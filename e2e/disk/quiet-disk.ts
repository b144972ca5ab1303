/**
 * What a disk is asked to do after `held` and after `clean`, compared with what the file system shows. Only the file system's
 * own may come then (its log, its tables), and nothing of a file.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  closeSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { applyAll, durableBefore } from './crash-states.ts';
import type { DiskEvent } from './disk-log.ts';
import { type FileSystemType, LoopMount, type RecordingDisk, workDirectory } from './recording-disk.ts';

/** By path below the directory: what a reader finds there, without times. */
export type Tree = ReadonlyMap<string, string>;

function* pathsBelow(directory: string, path = ''): Iterable<string> {
  for (const name of readdirSync(join(directory, path)).sort()) {
    const below = join(path, name);
    yield below;
    if (lstatSync(join(directory, below)).isDirectory()) yield* pathsBelow(directory, below);
  }
}

export function treeOf(directory: string): Tree {
  const tree = new Map<string, string>();
  for (const path of pathsBelow(directory)) {
    const at = join(directory, path);
    const stat = lstatSync(at);
    const content = stat.isFile()
      ? createHash('sha256').update(readFileSync(at)).digest('hex')
      : stat.isSymbolicLink()
        ? readlinkSync(at)
        : '';
    tree.set(path, `${stat.mode.toString(8)} ${stat.isFile() ? stat.size : ''} ${content}`);
  }
  return tree;
}

/** Change times: any write to an object and any change of its attributes or of a directory's names moves one on. */
export function changeTimesOf(directory: string): Tree {
  const times = new Map<string, string>();
  for (const path of pathsBelow(directory))
    times.set(path, String(lstatSync(join(directory, path), { bigint: true }).ctimeNs));
  return times;
}

/** The tree that a crash after `count` events leaves, if of what no flush has covered nothing was kept. */
export async function treeAfterCrash(
  disk: RecordingDisk,
  type: FileSystemType,
  events: readonly DiskEvent[],
  count: number,
  directory: string,
): Promise<Tree> {
  const place = workDirectory();
  const image = join(place, 'image');
  try {
    execFileSync('cp', ['--sparse=always', disk.initialImage, image]);
    const fd = openSync(image, 'r+');
    applyAll(events, 0, durableBefore(events, count), (offset, data) =>
      writeSync(fd, data, 0, data.length, offset),
    );
    closeSync(fd);
    const mounted = new LoopMount(type, image, join(place, 'mounted'));
    try {
      return treeOf(join(mounted.path, directory));
    } finally {
      await mounted.unmount();
    }
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}

interface Extent {
  readonly path: string;
  /** Bytes on the disk. */
  readonly from: number;
  readonly to: number;
}

const SECTOR_SIZE = 512;

/** Where the contents of the directory's files lie. After a sync: until then some may lie nowhere. */
function extentsOf(directory: string): Extent[] {
  const files = [...pathsBelow(directory)].filter((path) => lstatSync(join(directory, path)).isFile());
  return files.flatMap((path) => {
    const said = execFileSync('filefrag', ['-v', `-b${SECTOR_SIZE}`, join(directory, path)], {
      encoding: 'utf8',
    });
    return [...said.matchAll(/^\s*\d+:\s*\d+\.\.\s*\d+:\s*(\d+)\.\.\s*(\d+):/gm)].map(([, first, last]) => ({
      path,
      from: Number(first) * SECTOR_SIZE,
      to: (Number(last) + 1) * SECTOR_SIZE,
    }));
  });
}

/**
 * Has the kernel write everything that it has, and returns the files of the directory of which contents were written from event
 * `from` on.
 */
export function filesWrittenSince(disk: RecordingDisk, from: number, directory: string): string[] {
  execFileSync('sync', ['-f', directory]);
  const extents = extentsOf(directory);
  const written = new Set<string>();
  for (const event of disk.events().slice(from)) {
    if (event.kind !== 'write') continue;
    for (const { path, from: start, to } of extents)
      if (event.offset < to && event.offset + event.data.length > start) written.add(path);
  }
  return [...written];
}
