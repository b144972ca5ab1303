/**
 * Makes directories that are to be exported, with those above them. A crash leaves no directory that is served with attributes
 * that nobody asked for. Until it has its own, a directory has a mode that nobody else gives (UNFINISHED). It is finished when it is
 * found so. Symbolic links are not followed, and other mounts not entered.
 */
import { constants } from 'node:os';
import type { NewDirectory } from '../../settings/export-spec.ts';
import {
  changeMode,
  changeOwner,
  close,
  makeDirectoryAt,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_RDONLY,
  openAt,
  openBeneath,
} from '../../system/file-calls.ts';
import { fsync } from '../../system/pool-calls.ts';
import { StatBuffer } from '../../system/statx.ts';
import { asServer, identityCanChange } from '../../system/thread-identity.ts';
import type { Volume } from '../volume/volume.ts';

const { EEXIST, EIO, ENOENT } = constants.errno;
const DOT = new TextEncoder().encode('.');
const FLAGS = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
/** The sticky bit alone: not even its owner may enter it. */
const UNFINISHED = 0o1000;
const PERMISSIONS = 0o7777;
/** Attributes of the directories above the wanted one. */
const ABOVE: NewDirectory = { mode: 0o755, uid: 0, gid: 0 };
const stat = new StatBuffer();

export interface WantedDirectory {
  /** Names from the root of the volume. */
  readonly names: readonly Uint8Array[];
  readonly attributes: NewDirectory;
}

/**
 * Returns for each, in their order: 0, when it is on the disk; or -errno, or REFUSED. Changes are made at once, and only flushes are waited
 * for. Each directory takes a descriptor until then.
 */
export async function makeDirectories(volume: Volume, wanted: readonly WantedDirectory[]): Promise<number[]> {
  const unflushed = new Map<string, number>();
  const results = asServer(() => wanted.map((one) => makeDirectory(volume, one, unflushed)));
  const flushed = await Promise.all([...unflushed.values()].map(flushAndClose));
  const failed = flushed.find((result) => result < 0) ?? 0;
  return results.map((result) => (result < 0 ? result : failed));
}

function flushAndClose(fd: number): Promise<number> {
  return new Promise((resolve) => {
    fsync(fd, (error) => {
      close(fd);
      resolve(error === null ? 0 : (error.errno ?? -EIO));
    });
  });
}

/** `unflushed`: gets a descriptor, by place, of each directory that has changed. */
function makeDirectory(volume: Volume, wanted: WantedDirectory, unflushed: Map<string, number>): number {
  const { names, attributes } = wanted;
  let above = volume.noted('openat', openAt(volume.rootFd, DOT, FLAGS));
  let placeAbove = '';
  for (const [index, name] of names.entries()) {
    if (above < 0) return above;
    const place = `${placeAbove}/${Buffer.from(name).toString('latin1')}`;
    const entered = enter(volume, above, name, index === names.length - 1 ? attributes : ABOVE);
    if (entered.changed) {
      keep(unflushed, placeAbove, above);
      keep(unflushed, place, entered.result);
    }
    close(above);
    above = entered.result;
    placeAbove = place;
  }
  if (above < 0) return above;
  close(above);
  return 0;
}

interface Entered {
  /** A descriptor, or -errno. */
  readonly result: number;
  readonly changed: boolean;
}

function enter(volume: Volume, above: number, name: Uint8Array, attributes: NewDirectory): Entered {
  let fd = openBeneath(above, name, FLAGS);
  let changed = false;
  if (fd === -ENOENT) {
    // Without root it could not be entered.
    const mode = identityCanChange ? UNFINISHED : attributes.mode;
    const made = makeDirectoryAt(volume.gate, above, name, mode);
    if (made < 0 && made !== -EEXIST) return { result: volume.noted('mkdirat', made), changed };
    changed = true;
    fd = openBeneath(above, name, FLAGS);
  }
  if (fd < 0) return { result: volume.noted('openat', fd), changed };
  let result = 0;
  if (isUnfinished(fd)) {
    changed = true;
    result = finish(volume, fd, attributes);
  }
  if (result >= 0) return { result: fd, changed };
  close(fd);
  return { result, changed };
}

/** Is it a directory whose maker has died before it had its attributes? */
export function isUnfinished(fd: number): boolean {
  return stat.ofFd(fd) >= 0 && (stat.mode & PERMISSIONS) === UNFINISHED;
}

/** The mode last: it says that the rest is done. */
function finish(volume: Volume, fd: number, { mode, uid, gid }: NewDirectory): number {
  const owned = changeOwner(volume.gate, fd, uid, gid);
  return owned < 0 ? owned : changeMode(volume.gate, fd, mode);
}

function keep(unflushed: Map<string, number>, place: string, fd: number): void {
  if (fd < 0 || unflushed.has(place)) return;
  const kept = openAt(fd, DOT, O_RDONLY | O_DIRECTORY);
  if (kept >= 0) unflushed.set(place, kept);
}
