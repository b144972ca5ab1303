/**
 * File handles that have been verified, with open descriptors. Bounded in handles and in descriptors; the least recently used go
 * first.
 */
import { constants } from 'node:os';
import { ExportSpecs } from '../../exports/export-specs.ts';
import { close, O_PATH, O_RDONLY, O_RDWR, reopen } from '../../system/file-calls.ts';
import { StatBuffer } from '../../system/statx.ts';
import { asServer } from '../../system/thread-identity.ts';
import type { VolumeFailure } from '../failures/status.ts';
import {
  exportIdIn,
  HANDLE_SIZE_MAX,
  handleMemory,
  identityIn,
  identityTypeIn,
  isWellFormed,
  MAC_SIZE,
  sign,
  signerOf,
  uuidIn,
  writeUnsigned,
} from '../handles/file-handle.ts';
import { type FileIdentity, type IdentityReader, identityKey } from '../handles/file-identity.ts';
import type { Volume } from '../volume/volume.ts';
import type { Export } from './export.ts';
import { ExportTable } from './export-table.ts';
import { FileIndex, hashOf } from './file-index.ts';
import { OpenFile } from './open-file.ts';

// An open descriptor keeps the space of a removed file: so a REMOVE through this server drops the file from here
// (forget), and descriptors that nobody has used for IDLE_TICKS are closed.

export interface FileTableLimits {
  /** Handles kept, about 400 bytes each. */
  readonly filesMax: number;
  /** Descriptors kept open. */
  readonly descriptorsMax: number;
}

/** Ticks (about seconds) without use after which a file's descriptors are closed. */
export const IDLE_TICKS = 30;
/** Files looked at in one tick, so that a tick stays below a millisecond. */
const CLOSES_PER_TICK = 256;

const { EBADF, EINPROGRESS, EMFILE, ENFILE } = constants.errno;

export class FileTable {
  readonly #limits: FileTableLimits;
  /** Exports by which handles are resolved. Each file that can be found by its handle is bound to one of them. */
  #trees: ExportTable;
  /** May a call here wait for a disk? Where not, a file that is not open is -EINPROGRESS until openNow(). */
  readonly #mayWait: boolean;
  readonly #files: FileIndex;
  #descriptors: number;
  /** Grows when a directory may have been moved somewhere else: by us at once, by others once a second. */
  generation: number;
  #closed: boolean;
  readonly #scratch: Uint8Array;
  /** Told of each object that may have lost its last name: tables of other threads may have it open. */
  onForget: ((volume: Volume, identity: FileIdentity) => void) | null;

  constructor(limits: FileTableLimits, mayWait = true) {
    this.#limits = limits;
    this.#trees = new ExportTable(ExportSpecs.of([]), { make: () => null, locate: () => {} });
    this.#mayWait = mayWait;
    this.#files = new FileIndex();
    this.#descriptors = 0;
    this.generation = 0;
    this.#closed = false;
    this.#scratch = new Uint8Array(HANDLE_SIZE_MAX);
    this.onForget = null;
  }

  /** How many files may keep their descriptors until they are flushed. */
  get unflushedMax(): number {
    return Math.max(1, this.#limits.descriptorsMax >> 2);
  }

  get fileCount(): number {
    return this.#files.count;
  }
  get descriptorCount(): number {
    return this.#descriptors;
  }

  get exports(): ExportTable {
    return this.#trees;
  }

  /**
   * From now on handles are resolved by these. Each file stays, bound to the export that has its number now; a file of an
   * export that is gone leaves the table, and is stale to calls that still have it.
   */
  replaceExports(exports: ExportTable): void {
    this.#trees = exports;
    for (let file = this.#files.oldest; file !== null; ) {
      const { newer } = file;
      // A withdrawn file can't be found by its handle; openNow() binds it anew.
      if (file.tree.withdrawn || this.#present(file) === undefined) this.drop(file);
      this.#bind(file);
      file = newer;
    }
  }

  /** The same where no export that was there has changed: files stay as they are. */
  addExports(exports: ExportTable): void {
    this.#trees = exports;
  }

  #present({ tree, volume }: OpenFile): Export | undefined {
    const found = this.#trees.of(volume, tree.id);
    return found === 'unknown' ? undefined : found;
  }

  #bind(file: OpenFile): void {
    const { tree } = file;
    const now = this.#present(file) ?? (tree.withdrawn ? tree : tree.withdraw());
    if (now === tree) return;
    file.tree = now;
    file.insideAt = -1;
  }

  /** Files that can be found by their handles. */
  found(): Iterable<OpenFile> {
    return this.#files.found();
  }

  /** The file of a handle that lies at bytes[start .. start + size), or why there is none. Opens nothing yet. */
  resolve(
    volumes: ReadonlyMap<string, Volume>,
    bytes: Uint8Array,
    start: number,
    size: number,
  ): OpenFile | VolumeFailure {
    if (size <= MAC_SIZE || size > HANDLE_SIZE_MAX) return 'badHandle';
    const hash = hashOf(bytes, start, size - MAC_SIZE);
    const known = this.#files.withHandle(hash, bytes, start, size);
    if (known === null) return this.#admit(volumes, bytes.slice(start, start + size), hash);
    this.#files.touch(known);
    return known;
  }

  /** A handle not in the table: is it ours? */
  #admit(volumes: ReadonlyMap<string, Volume>, handle: Uint8Array, hash: number): OpenFile | VolumeFailure {
    if (!isWellFormed(handle)) return 'badHandle';
    const volume = volumes.get(Buffer.from(uuidIn(handle)).toString('hex'));
    if (volume === undefined) return 'stale';
    const signer = signerOf(volume.keys, handle);
    if (signer === null) return 'badHandle';
    const tree = this.#trees.of(volume, exportIdIn(handle));
    if (tree === undefined) return 'stale';
    if (tree === 'unknown') return 'wouldBlock';
    const known = this.#files.withIdentity(hash, handle, handle.length - MAC_SIZE);
    if (known !== null) {
      // Two files of one object would each have their own idea of what is not flushed.
      known.otherHandle = handleMemory.copy(handle, 0, handle.length);
      this.#files.touch(known);
      return known;
    }
    const identity = identityIn(handle);
    const key = identityKey(identityTypeIn(handle), identity, 0, identity.length);
    const kept = handleMemory.copy(handle, 0, handle.length);
    const [current] = volume.keys;
    if (signer === current) return this.#insert(new OpenFile(volume, tree, kept, key, hash));
    // A client that asks for it by its name gets a handle that counts for longer.
    const renewed = sign(current!, handle, handle.length - MAC_SIZE);
    const file = new OpenFile(volume, tree, renewed, key, hash);
    file.otherHandle = kept;
    return this.#insert(file);
  }

  /** The file with the identity that the reader has just read, under one of `exports`. Signs a handle if it is new here. */
  ofIdentity(tree: Export, identity: IdentityReader): OpenFile {
    const scratch = this.#scratch;
    const { volume } = tree;
    const size = writeUnsigned(
      scratch,
      tree.id,
      volume.uuid,
      identity.type,
      identity.bytes,
      identity.start,
      identity.size,
    );
    const hash = hashOf(scratch, 0, size);
    const found = this.#files.withIdentity(hash, scratch, size);
    if (found !== null) {
      this.#files.touch(found);
      return found;
    }
    const handle = sign(volume.keys[0]!, scratch, size);
    return this.#insert(new OpenFile(volume, tree, handle, identity.key(), hash));
  }

  /**
   * The O_PATH descriptor, opened if need be; or -errno. A file that was dropped while an operation still had it comes back
   * into the table, bound to the export that has its number now: else nobody would close what it opens. Without such an
   * export only what the server does on its own account, as a flush, still finds it (DiskSet.pathFd).
   */
  pathFd(file: OpenFile): number {
    if (file.pathFd >= 0) return file.pathFd;
    return this.#mayWait ? this.openNow(file) : -EINPROGRESS;
  }

  /** The same, whatever may be waited for: of a file that somebody else has just opened it is nothing. */
  openNow(file: OpenFile): number {
    if (file.pathFd >= 0) return file.pathFd;
    if (this.#closed) return -EBADF;
    if (file.dropped) {
      this.#bind(file);
      file.dropped = false;
      this.#insert(file);
    }
    const { volume } = file;
    let fd = volume.openFile(file.handle, file.key, O_PATH);
    if (this.makeRoom(fd)) fd = volume.openFile(file.handle, file.key, O_PATH);
    if (fd >= 0) this.keepPathFd(file, fd);
    return volume.noted('open_by_handle_at', fd);
  }

  /** Takes over a descriptor that was opened anyway. */
  keepPathFd(file: OpenFile, fd: number): void {
    if (file.pathFd >= 0) {
      close(fd);
      return;
    }
    file.pathFd = fd;
    this.#opened();
  }

  /** For reading a regular file or a directory (the caller knows that it is one), or for fsync; or -errno. */
  readFd(file: OpenFile): number {
    if (file.writeFd >= 0) return file.writeFd;
    if (file.readFd >= 0) return file.readFd;
    const fd = this.#reopen(file, O_RDONLY);
    if (fd >= 0) {
      file.readFd = fd;
      this.#opened();
    }
    return fd;
  }

  /** For another fsync beside one with readFd(), or -errno. The caller closes it, and has the file pinned. */
  ownFd(file: OpenFile): number {
    return this.#reopen(file, O_RDONLY);
  }

  /** For reading and writing a regular file; or -errno. */
  writeFd(file: OpenFile): number {
    if (file.writeFd >= 0) return file.writeFd;
    const fd = this.#reopen(file, O_RDWR);
    if (fd >= 0) this.#keepWriteFd(file, fd);
    return fd;
  }

  #keepWriteFd(file: OpenFile, fd: number): void {
    file.writeFd = fd;
    this.#opened();
  }

  /** Takes over a descriptor for reading and writing that was opened anyway: it does for everything. */
  keepOpened(file: OpenFile, fd: number): void {
    if (file.writeFd >= 0) {
      close(fd);
      return;
    }
    if (file.pathFd < 0) file.pathFd = fd;
    this.#keepWriteFd(file, fd);
  }

  #reopen(file: OpenFile, flags: number): number {
    const pathFd = this.pathFd(file);
    if (pathFd < 0) return pathFd;
    const fd = asServer(() => reopen(pathFd, flags));
    if (!this.makeRoom(fd)) return file.volume.noted('openat', fd);
    // Making room may have closed the file's own.
    const again = this.pathFd(file);
    return again < 0
      ? again
      : file.volume.noted(
          'openat',
          asServer(() => reopen(again, flags)),
        );
  }

  #opened(): void {
    this.#descriptors += 1;
    if (this.#descriptors > this.#limits.descriptorsMax) this.#closeOldest(this.#descriptors >> 3);
  }

  /** After a call that opens: no descriptor was left? Then gives some up that are not in use; true: a second try makes sense. */
  makeRoom(result: number): boolean {
    if (result !== -EMFILE && result !== -ENFILE) return false;
    return this.#closeOldest(Math.max(64, this.#descriptors >> 2)) > 0;
  }

  #closeOldest(wanted: number): number {
    let closed = 0;
    for (let file = this.#files.oldest; file !== null && closed < wanted; file = file.newer) {
      if (file !== this.#files.newest) closed += this.#closeDescriptors(file);
    }
    return closed;
  }

  #closeDescriptors(file: OpenFile): number {
    if (file.pins > 0) return 0;
    // The last close of an object without a name may wait for the disk (close-queue.ts), also when it was not this server that
    // removed it. Where nothing is open for looking, nothing is for reading or writing either.
    if (!file.removed && file.pathFd >= 0) file.removed = mayHaveLostItsName(file.pathFd);
    // A file without a name is not missed, and at the end of service the partner takes over.
    if (file.unflushed && !this.#closed && !mayHaveLostItsName(file.writeFd)) return 0;
    let closed = 0;
    if (file.pathFd >= 0) {
      if (file.pathFd !== file.writeFd) {
        closeOf(file, file.pathFd);
        closed += 1;
      }
      file.pathFd = -1;
    }
    if (file.readFd >= 0) {
      closeOf(file, file.readFd);
      file.readFd = -1;
      closed += 1;
    }
    if (file.writeFd >= 0) {
      closeOf(file, file.writeFd);
      file.writeFd = -1;
      closed += 1;
    }
    this.#descriptors -= closed;
    return closed;
  }

  /** Keeps the descriptors open until unpin(), also when the file is dropped meanwhile. Pins are counted. */
  pin(file: OpenFile): void {
    file.pins += 1;
  }

  unpin(file: OpenFile): void {
    file.pins -= 1;
    if (file.pins === 0 && file.dropped) this.#closeDescriptors(file);
  }

  /** An object as it is reached through each export, as far as it is in the table. */
  filesOf(volume: Volume, { type, bytes, start, size }: FileIdentity): OpenFile[] {
    let files: OpenFile[] = [];
    for (const tree of this.#trees.made) {
      if (tree.volume !== volume) continue;
      const unsigned = writeUnsigned(this.#scratch, tree.id, volume.uuid, type, bytes, start, size);
      const file = this.#files.withIdentity(hashOf(this.#scratch, 0, unsigned), this.#scratch, unsigned);
      if (file !== null) files = files.concat(file);
    }
    return files;
  }

  /**
   * An object may have been removed under one of its names: frees it, if no name is left (Volume.whenFreed). `files`: filesOf()
   * has found.
   */
  forget(volume: Volume, identity: FileIdentity, files: readonly OpenFile[]): void {
    this.onForget?.(volume, identity);
    for (const file of files) this.dropRemoved(file);
  }

  /** Drops an object that has no name any more, or may have none. */
  dropRemoved(file: OpenFile): void {
    file.removed = true;
    this.drop(file);
  }

  /** Takes a file out of the table. Its descriptors are closed, at once or with the last pin. */
  drop(file: OpenFile): void {
    if (file.dropped) return;
    this.#files.remove(file);
    file.dropped = true;
    this.#closeDescriptors(file);
  }

  /** For good: nothing is opened any more, whatever still asks. */
  close(): void {
    this.#closed = true;
    this.clear();
  }

  /** Closes everything that is not pinned, and what is pinned as soon as it no longer is. */
  clear(): void {
    for (let file = this.#files.oldest; file !== null; ) {
      const { newer } = file;
      this.drop(file);
      file = newer;
    }
  }

  /** Once a second. */
  tick(): void {
    this.#files.now += 1;
    this.generation += 1;
    let looked = 0;
    for (let file = this.#files.oldest; file !== null && looked < CLOSES_PER_TICK; file = file.newer) {
      if (this.#files.now - file.usedAt < IDLE_TICKS) return;
      if (!file.unflushed && this.#closeDescriptors(file) > 0) looked += 1;
    }
  }

  #insert(file: OpenFile): OpenFile {
    this.#files.insert(file);
    if (this.#files.count > this.#limits.filesMax) this.#dropOldest();
    return file;
  }

  #dropOldest(): void {
    for (let file = this.#files.oldest; file !== null; file = file.newer) {
      if (file.pins > 0 || file === this.#files.newest) continue;
      this.drop(file);
      return;
    }
  }
}

function closeOf({ removed, volume }: OpenFile, fd: number): void {
  if (removed) volume.asyncClose.close(fd);
  else close(fd);
}

const closingStat = new StatBuffer();

/** Asks only memory: what is open has its inode there. */
function mayHaveLostItsName(fd: number): boolean {
  return closingStat.ofFd(fd) < 0 || closingStat.nlink === 0;
}
