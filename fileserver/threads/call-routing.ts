/**
 * Which calls a thread with connections executes itself, and which thread executes the others.
 *
 * Here: what needs no disk, or can tell beforehand that it does (then Outcome `elsewhere`, and ofVolume() says where).
 * A thread with connections never waits for a disk, whatever a client asks for: other clients, volumes and the other disk
 * set are in the same thread.
 *
 * Everything that changes a volume (WRITE and COMMIT with their flushes, and the nine operations that must be executed
 * exactly once) belongs to the one thread of that volume: there it meets the journal, the duplicate request cache, the
 * order of WRITE behind SETATTR and the list of files that are not flushed. Those are also the calls that a frozen or
 * stuck file system holds up. Listings and the targets of symbolic links go there too: of those the kernel does not tell
 * whether they are in memory.
 */
import { nfsproc3 } from '../../protocol/nfs3.ts';
import type { Forwarding, Route } from '../rpc/dispatcher.ts';
import { HANDLE_SIZE_MAX, isUuidAt, UUID_AT, UUID_SIZE } from '../storage/handles/file-handle.ts';
import type { VolumeRoute } from './call-forwarder.ts';

const ELSEWHERE: readonly number[] = [
  nfsproc3.READDIR,
  nfsproc3.READDIRPLUS,
  nfsproc3.READLINK,
  nfsproc3.SETATTR,
  nfsproc3.WRITE,
  nfsproc3.CREATE,
  nfsproc3.MKDIR,
  nfsproc3.SYMLINK,
  nfsproc3.MKNOD,
  nfsproc3.REMOVE,
  nfsproc3.RMDIR,
  nfsproc3.RENAME,
  nfsproc3.LINK,
  nfsproc3.COMMIT,
];
/** Calls that are answered without a look at a volume's disk, or that have no handle. */
const NEVER: readonly number[] = [nfsproc3.NULL];
const PROCEDURES = 22;

/** A volume, as far as the way to it matters. */
export interface RoutedVolume {
  readonly uuid: Uint8Array;
  readonly route: VolumeRoute;
  /** Reads go there too: only that thread can find the volume's files. */
  readonly readsElsewhere: boolean;
}

export class CallRouting implements Forwarding {
  readonly #volumes: readonly RoutedVolume[];
  readonly #elsewhere: readonly boolean[];
  readonly #anyReadsElsewhere: boolean;

  /** At least one volume. */
  constructor(volumes: readonly RoutedVolume[]) {
    this.#volumes = volumes;
    this.#elsewhere = Array.from({ length: PROCEDURES }, (_, procedure) => ELSEWHERE.includes(procedure));
    this.#anyReadsElsewhere = volumes.some(({ readsElsewhere }) => readsElsewhere);
  }

  routeOf(procedure: number, bytes: Uint8Array, at: number, end: number): Route | null {
    if (this.#elsewhere[procedure] !== true) {
      if (!this.#anyReadsElsewhere || NEVER.includes(procedure)) return null;
      const volume = this.#volumeAt(bytes, at, end);
      return volume?.readsElsewhere === true ? volume.route : null;
    }
    const volume = this.#volumeAt(bytes, at, end);
    // Whoever gets a handle that is nobody's answers BADHANDLE or STALE.
    if (volume === null) return this.#volumes[0]!.route;
    if (procedure === nfsproc3.RENAME || procedure === nfsproc3.LINK) {
      const other = this.#volumeAt(bytes, secondHandleAt(procedure, bytes, at, end), end);
      // null: answered here, with NFS3ERR_XDEV (connection-service.ts).
      if (other !== null && other.route.forwarder !== volume.route.forwarder) return null;
    }
    return volume.route;
  }

  ofVolume(bytes: Uint8Array, at: number, end: number): Route {
    return (this.#volumeAt(bytes, at, end) ?? this.#volumes[0]!).route;
  }

  /** Of the handle that begins with its length at bytes[at]. */
  #volumeAt(bytes: Uint8Array, at: number, end: number): RoutedVolume | null {
    if (at + 4 > end) return null;
    const size = lengthAt(bytes, at);
    if (size > HANDLE_SIZE_MAX || at + 4 + size > end) return null;
    if (size < UUID_AT + UUID_SIZE) return null;
    for (const volume of this.#volumes) if (isUuidAt(volume.uuid, bytes, at + 4 + UUID_AT)) return volume;
    return null;
  }
}

/** RENAME: handle, name, handle. LINK: handle, handle. */
function secondHandleAt(procedure: number, bytes: Uint8Array, at: number, end: number): number {
  let next = afterOpaque(bytes, at, end);
  if (procedure === nfsproc3.RENAME) next = afterOpaque(bytes, next, end);
  return next;
}

function afterOpaque(bytes: Uint8Array, at: number, end: number): number {
  if (at + 4 > end) return end;
  return Math.min(end, at + 4 + ((lengthAt(bytes, at) + 3) & ~3));
}

/** Anything longer than a message counts as that long. */
function lengthAt(bytes: Uint8Array, at: number): number {
  if (bytes[at] !== 0) return 0x7ffffff0;
  return (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}
