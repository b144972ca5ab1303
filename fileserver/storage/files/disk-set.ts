/**
 * All volumes of one home server, opened for service: the way from a file handle to a file, and from there to other
 * files. One per port.
 */
import { constants } from 'node:os';
import type { ExportSpecs } from '../../exports/export-specs.ts';
import { close, O_NOFOLLOW, O_PATH, openAt, openCachedAt } from '../../system/file-calls.ts';
import { foldsNames } from '../../system/name-folding.ts';
import type { StatBuffer } from '../../system/statx.ts';
import { asServer, asUser, type Identity } from '../../system/thread-identity.ts';
import { isUnfinished } from '../directories/new-directories.ts';
import { outcomeOf } from '../failures/errno-outcomes.ts';
import {
  failureOfResult,
  statusOfResult,
  type VolumeFailure,
  type VolumeStatus,
} from '../failures/status.ts';
import { isSigned, isUuidAt, isWellFormed, UUID_AT, UUID_SIZE } from '../handles/file-handle.ts';
import type { FileIdentity } from '../handles/file-identity.ts';
import { checkName, isDot, isDotDot, isPrivateName } from '../names/names.ts';
import type { Volume } from '../volume/volume.ts';
import { Containment } from './containment.ts';
import { DirectoryWalk } from './directory-walk.ts';
import type { Export } from './export.ts';
import type { ExportTable } from './export-table.ts';
import { FileTable, type FileTableLimits } from './file-table.ts';
import { INSIDE, OUTSIDE } from './inside-files.ts';
import type { OpenFile } from './open-file.ts';
import { RecordedExports } from './recorded-exports.ts';
import { ServedExports } from './served-exports.ts';

const DOT = new TextEncoder().encode('.');
const { ESTALE } = constants.errno;

export class DiskSet {
  readonly volumes: ReadonlyMap<string, Volume>;
  readonly table: FileTable;
  /** May a call here wait for a disk? If not, what would have to is `wouldBlock`. */
  readonly #mayWait: boolean;
  readonly #walk: DirectoryWalk;
  readonly exported: ServedExports;
  readonly #containment: Containment;

  /** `specs` belongs to the disk set from now on. */
  constructor(volumes: readonly Volume[], specs: ExportSpecs, limits: FileTableLimits, mayWait = true) {
    this.#mayWait = mayWait;
    this.volumes = new Map(volumes.map((volume) => [volume.uuidHex, volume]));
    this.table = new FileTable(limits, mayWait);
    this.#walk = new DirectoryWalk(this.table);
    this.exported = new ServedExports(volumes, this.table, this.#walk, mayWait);
    this.exported.replace(specs);
    this.#containment = new Containment(volumes, this.#walk, mayWait);
  }

  get exports(): ExportTable {
    return this.table.exports;
  }

  /**
   * Settles operations with the rights that they were recorded with, also where their exports are others by now, or gone.
   * Nothing of that stays.
   */
  asRecorded<T>(settle: () => T): T {
    const { exports } = this.table;
    this.table.replaceExports(new RecordedExports());
    try {
      return settle();
    } finally {
      this.table.replaceExports(exports);
    }
  }

  /** Volume of the handle in a buffer, whatever its signature and its export; null: it is not open here. */
  volumeOf(bytes: Uint8Array, start: number, size: number): Volume | null {
    if (size < UUID_AT + UUID_SIZE) return null;
    for (const volume of this.volumes.values())
      if (isUuidAt(volume.uuid, bytes, start + UUID_AT)) return volume;
    return null;
  }

  /** Is this the handle of a file, there or gone, on one of the volumes? Asks no disk. */
  holds(handle: Uint8Array): boolean {
    if (!isWellFormed(handle)) return false;
    const volume = this.volumeOf(handle, 0, handle.length);
    return volume !== null && isSigned(volume.keys, handle);
  }

  /** The file of a handle in a buffer. */
  resolve(bytes: Uint8Array, start: number, size: number): OpenFile | VolumeFailure {
    return this.table.resolve(this.volumes, bytes, start, size);
  }

  /** The file of a handle that fills its buffer. */
  resolveHandle(handle: Uint8Array): OpenFile | VolumeFailure {
    return this.table.resolve(this.volumes, handle, 0, handle.length);
  }

  /**
   * Attributes of a file into `into`. Also says `stale` for an object that has lost its last name: a descriptor
   * would still open it, but nobody who comes back tomorrow could (RFC 1813 §2.6 NFS3ERR_STALE).
   */
  attributes(file: OpenFile, into: StatBuffer): VolumeStatus {
    const fd = this.pathFd(file);
    if (fd < 0) return statusOfResult(fd);
    const result = into.ofFd(fd);
    if (result < 0) return file.volume.failure('statx', result);
    if (into.nlink === 0) {
      this.table.dropRemoved(file);
      return 'stale';
    }
    return 'ok';
  }

  /**
   * The O_PATH descriptor of a file or -errno. May switch the thread to the server's identity: get descriptors
   * first, then become the user.
   */
  pathFd(file: OpenFile): number {
    const open = file.pathFd >= 0;
    if (open && (!file.tree.canBeLeft || file.insideAt === this.table.generation)) return file.pathFd;
    const fd = this.table.pathFd(file);
    if (fd < 0 || !file.tree.canBeLeft) return fd;
    if (file.tree.withdrawn) return -ESTALE;
    const inside = this.#containment.check(file, fd, this.table.generation);
    if (inside < 0) return inside;
    if (inside === OUTSIDE) {
      this.table.drop(file);
      return -ESTALE;
    }
    file.insideAt = this.table.generation;
    return fd;
  }

  /** The exported directory itself. */
  rootOf(one: Export): OpenFile | VolumeFailure {
    return this.below(one, []);
  }

  /** A directory below an export's, as the server itself: for MOUNT. */
  below(one: Export, names: readonly Uint8Array[]): OpenFile | VolumeFailure {
    for (const name of names) {
      const status = checkName(name);
      if (status !== null) return status;
      if (isDot(name) || isDotDot(name)) return 'accessDenied';
    }
    if (one.rootKey === null && names.length > 0) {
      const root = this.rootOf(one);
      if (typeof root === 'string') return root;
    }
    const path = [...one.directory, ...names];
    if (path[0] !== undefined && isPrivateName(path[0])) return 'noEntry';
    const fd = this.#walk.openBelow(one.volume, path);
    if (fd < 0) return failureOfResult(fd);
    const { identity } = one.volume;
    const result = identity.ofFd(fd);
    if (result < 0) {
      close(fd);
      return one.volume.failure(identity.call, result);
    }
    if (one.rootKey === null && one.spec.create !== undefined && isUnfinished(fd)) {
      close(fd);
      return 'noEntry';
    }
    // The export's directory may have been made anew: what is there now is what clients get.
    if (names.length === 0) one.rootKey = identity.key();
    const file = this.table.ofIdentity(one, identity);
    this.table.keepPathFd(file, fd);
    return file;
  }

  /**
   * The object under a name in a directory, as a user. Symbolic links are objects here, never followed; `.` is the
   * directory, `..` the one above, but the export's own directory has none above it.
   */
  lookup(dir: OpenFile, name: Uint8Array, user: Identity): OpenFile | VolumeFailure {
    const checked = checkName(name);
    if (checked !== null) return checked;
    if (this.hides(dir, name)) return 'noEntry';
    const dirFd = this.pathFd(dir);
    if (dirFd < 0) return failureOfResult(dirFd);
    const atTop = dir.key === dir.tree.rootKey;
    const stay = isDot(name) || (isDotDot(name) && atTop);
    const { volume, tree } = dir;
    if (isDotDot(name) && !stay && tree.canBeLeft) {
      // At this moment: what was so a moment ago is no leave to go up.
      const inside = this.#containment.checkNow(dir, dirFd, this.table.generation);
      if (inside !== INSIDE) return inside === OUTSIDE ? 'stale' : failureOfResult(inside);
    }
    const entry = stay ? DOT : name;
    if (!this.#mayWait) return this.#lookupCached(dir, dirFd, entry, user);
    const { identity } = volume;
    const result = asUser(user, () => identity.ofName(dirFd, entry));
    if (result < 0) return volume.failure(identity.call, result);
    // Another file system is mounted there: it is not part of this volume.
    if (identity.mountId !== volume.rootMountId) return 'accessDenied';
    const file = this.table.ofIdentity(tree, identity);
    // It was there a moment ago, in a directory that lies inside.
    file.insideAt = this.table.generation;
    if (volume.pathIndex !== null && !stay && !isDotDot(name))
      volume.pathIndex.learn(file.key, dir.key, name);
    return file;
  }

  /** The regular file that was just made under a name, which `fd` has open; `fd` is the table's from now on. */
  made(dir: OpenFile, name: Uint8Array, fd: number): OpenFile | VolumeFailure {
    const { volume, tree } = dir;
    const { identity } = volume;
    const result = identity.ofFd(fd);
    if (result < 0) {
      close(fd);
      return volume.failure(identity.call, result);
    }
    const file = this.table.ofIdentity(tree, identity);
    this.table.keepOpened(file, fd);
    // No directory: it can't lie outside of its export.
    file.insideAt = this.table.generation;
    volume.pathIndex?.learn(file.key, dir.key, name);
    return file;
  }

  /** The same as far as the kernel has it in memory. Volumes without file handles are never looked at this way. */
  #lookupCached(dir: OpenFile, dirFd: number, name: Uint8Array, user: Identity): OpenFile | VolumeFailure {
    const { volume, tree } = dir;
    const fd = asUser(user, () => openCachedAt(dirFd, name));
    if (fd < 0) return isUnanswered(fd) ? 'wouldBlock' : volume.failure('openat2', fd);
    const { identity } = volume;
    const result = identity.ofFd(fd);
    if (result < 0 || identity.mountId !== volume.rootMountId) {
      close(fd);
      return result < 0 ? volume.failure(identity.call, result) : 'accessDenied';
    }
    const file = this.table.ofIdentity(tree, identity);
    file.insideAt = this.table.generation;
    this.table.keepPathFd(file, fd);
    return file;
  }

  /**
   * Makes a system call by which an object loses this name, perhaps its last. unlink(2) and rename(2) themselves give back the
   * space of an object that is not open. For a file of many pieces on a busy disk that takes seconds, and all other calls of the
   * volume would wait. So it is opened before, as the user who the thread already is, unless it is open here anyway, and closed
   * where nobody waits. What the call returned.
   */
  losingName(dir: OpenFile, name: Uint8Array, identity: FileIdentity, call: () => number): number {
    const { volume } = dir;
    const files = this.table.filesOf(volume, identity);
    const held = files.some(({ isOpen }) => isOpen) ? -1 : openAt(dir.pathFd, name, O_PATH | O_NOFOLLOW);
    const result = call();
    if (result >= 0) this.table.forget(volume, identity, files);
    if (held < 0) return result;
    if (result >= 0) volume.asyncClose.close(held);
    else close(held);
    return result;
  }

  /** Somebody else, another thread of this server, has removed an object under one of its names. */
  forget(volume: Volume, identity: FileIdentity): void {
    this.table.forget(volume, identity, this.table.filesOf(volume, identity));
  }

  /** After a reply of the thread that may wait: what it has just looked at is in memory now. */
  becameWarm(file: OpenFile): void {
    if (file.pathFd < 0 && !file.dropped) this.table.openNow(file);
  }

  /**
   * May two names in this directory be one? Looks at the directory once, and only where directories of a file system differ in
   * that. May switch the thread to the server's identity.
   */
  mayFoldNames(dir: OpenFile): boolean {
    const { nameFolding } = dir.volume;
    if (nameFolding !== 'byDirectory') return nameFolding === 'always';
    if (dir.foldsNames !== null) return dir.foldsNames;
    const fd = this.pathFd(dir);
    if (fd < 0) return true;
    dir.foldsNames = asServer(() => foldsNames(fd));
    return dir.foldsNames;
  }

  /** A name at the volume's root that belongs to FilerPair. */
  hides(dir: OpenFile, name: Uint8Array): boolean {
    return dir.key === dir.volume.rootKey && isPrivateName(name);
  }

  /**
   * null: a client may make, replace or remove this name. Otherwise why not. `.` and `..` are for the caller, who
   * has a different answer for each operation.
   */
  checkChangeableName(dir: OpenFile, name: Uint8Array): VolumeFailure | null {
    return checkName(name) ?? (this.hides(dir, name) ? 'accessDenied' : null);
  }

  /** Resolves when all descriptors are closed, however long the last of removed objects take. */
  async close(): Promise<void> {
    this.table.close();
    await Promise.all([...this.volumes.values()].map((volume) => volume.close()));
  }
}

/** The result of openat2 (-errno) says nothing about the name. */
function isUnanswered(result: number): boolean {
  const outcome = outcomeOf('openat2', -result);
  return outcome.kind === 'retry' && outcome.retry === 'inTheVolumeThread';
}
