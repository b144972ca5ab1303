/** A file handle that has been seen, and the descriptors that go with it. Made and owned by FileTable. */

import type { KnownAccess } from '../handles/known-access.ts';
import type { Volume } from '../volume/volume.ts';
import type { Export } from './export.ts';

//   pathFd   O_PATH: stands for the object whatever it is; attributes, permissions, names in it if a directory
//   readFd   a real open of a regular file or a directory, for reading, listing and fsync
//   writeFd  of a regular file, for reading and writing; of one that was made here it is pathFd too
//
// The server itself opens the last two: permissions are checked at each request, not at the open (NFS has no open).

export class OpenFile {
  readonly volume: Volume;
  /** The export with the number that the handle has, as it is now; FileTable keeps it so. */
  tree: Export;
  /** The complete handle, in memory of its own. */
  readonly handle: Uint8Array;
  /** The same, signed with another key of the volume; null: no client has used it so. */
  otherHandle: Uint8Array | null;
  /** Key of the object in its volume, the same for all exports; see identityKey(). */
  readonly key: string;
  pathFd: number;
  readFd: number;
  writeFd: number;
  /** FileTable.generation at which the object was last seen to be inside its export. */
  insideAt: number;
  /** Its change time when it was last found below the root of its volume (inside-files.ts), ms; NaN: it was not looked for. */
  provenAtMs: number;
  /** Access that its last user has to it; null: it was not asked, or can't be remembered. */
  access: KnownAccess | null;
  /** It is a directory that takes several names for one; null: it was not asked (DiskSet.mayFoldNames()). */
  foldsNames: boolean | null;
  /** Asynchronous work under way with the descriptors: while not 0 they stay open. */
  pins: number;
  /**
   * It was written to, and no flush has begun since. Its descriptors stay open: that something could not be written the kernel
   * tells only descriptors that were open by then, and keeps nothing of it when the file leaves its memory.
   */
  unflushed: boolean;
  /** Out of the table: close when the last pin goes. */
  dropped: boolean;
  /** It may have lost its last name: closing it may be what gives back its space, and that may take a while. */
  removed: boolean;
  /** Tick of the table's clock at which it was last used. */
  usedAt: number;
  // FileTable's own: place in its hash chain and in its order of use.
  hash: number;
  chain: OpenFile | null;
  newer: OpenFile | null;
  older: OpenFile | null;

  constructor(volume: Volume, tree: Export, handle: Uint8Array, key: string, hash: number) {
    this.volume = volume;
    this.tree = tree;
    this.handle = handle;
    this.otherHandle = null;
    this.key = key;
    this.pathFd = -1;
    this.readFd = -1;
    this.writeFd = -1;
    this.insideAt = -1;
    this.provenAtMs = Number.NaN;
    this.access = null;
    this.foldsNames = null;
    this.pins = 0;
    this.unflushed = false;
    this.dropped = false;
    this.removed = false;
    this.usedAt = 0;
    this.hash = hash;
    this.chain = null;
    this.newer = null;
    this.older = null;
  }

  get isOpen(): boolean {
    return this.pathFd >= 0 || this.readFd >= 0 || this.writeFd >= 0;
  }
}
