/** Which calls a thread with connections executes itself, and which thread executes the others. */
import type { Forwarding, Route } from '../rpc/dispatcher.ts';
import type { Handles, RpcProcedure } from '../rpc/rpc-program.ts';
import type { DiskSet } from '../storage/files/disk-set.ts';
import { HANDLE_SIZE_MAX, isUuidAt, UUID_AT, UUID_SIZE } from '../storage/handles/file-handle.ts';
import type { VolumeRoute } from './call-forwarder.ts';

// Here: what needs no disk, or can tell beforehand that it does (then the outcome is WOULD_BLOCK, and ofVolume() says where).
// A thread with connections never waits for a disk, whatever a client asks for: other clients, volumes and the other disk
// set are in the same thread.
//
// Everything that changes a volume (WRITE and COMMIT with their flushes, and the nine operations that must be executed exactly
// once) belongs to the one thread of that volume. There it meets the journal, the duplicate request cache, the order of WRITE
// behind SETATTR and the list of files that are not flushed. Those are also the calls that a frozen or stuck file system holds
// up. Listings and the targets of symbolic links go there too: of those the kernel does not tell whether they are in memory.

/** A volume, as far as the way to it matters. */
export interface RoutedVolume {
  readonly uuid: Uint8Array;
  readonly route: VolumeRoute;
  /** Reads go there too: only that thread can find the volume's files. */
  readonly readsForwarded: boolean;
}

export class CallRouting implements Forwarding {
  readonly #volumes: readonly RoutedVolume[];
  readonly #diskSet: DiskSet;
  readonly #anyReadsForwarded: boolean;

  /** At least one volume. */
  constructor(volumes: readonly RoutedVolume[], diskSet: DiskSet) {
    this.#volumes = volumes;
    this.#diskSet = diskSet;
    this.#anyReadsForwarded = volumes.some(({ readsForwarded }) => readsForwarded);
  }

  routeOf({ runsIn, handles }: RpcProcedure, bytes: Uint8Array, at: number, end: number): Route | null {
    if (runsIn === 'connection') return null;
    if (runsIn === 'either') {
      if (!this.#anyReadsForwarded) return null;
      const volume = this.#volumeAt(bytes, at, end);
      return volume?.readsForwarded === true ? volume.route : null;
    }
    const volume = this.#volumeAt(bytes, at, end);
    // A thread that gets a handle of no volume answers BADHANDLE or STALE.
    if (volume === null) return this.#volumes[0]!.route;
    if (handles === 'two' || handles === 'twoAroundName') {
      const other = this.#volumeAt(bytes, secondHandleAt(handles, bytes, at, end), end);
      // null: answered here, with NFS3ERR_XDEV.
      if (other !== null && other.route.forwarder !== volume.route.forwarder) return null;
    }
    return volume.route;
  }

  ofVolume(bytes: Uint8Array, at: number, end: number): Route {
    return (this.#volumeAt(bytes, at, end) ?? this.#volumes[0]!).route;
  }

  whenUnblocked(bytes: Uint8Array, at: number, _end: number): (() => void) | null {
    const file = this.#diskSet.resolve(bytes, at + 4, lengthAt(bytes, at));
    return typeof file === 'string' ? null : () => this.#diskSet.becameWarm(file);
  }

  /** Volume of the handle that begins with its length at bytes[at]. */
  #volumeAt(bytes: Uint8Array, at: number, end: number): RoutedVolume | null {
    if (at + 4 > end) return null;
    const size = lengthAt(bytes, at);
    if (size > HANDLE_SIZE_MAX || at + 4 + size > end) return null;
    if (size < UUID_AT + UUID_SIZE) return null;
    for (const volume of this.#volumes) if (isUuidAt(volume.uuid, bytes, at + 4 + UUID_AT)) return volume;
    return null;
  }
}

function secondHandleAt(handles: Handles, bytes: Uint8Array, at: number, end: number): number {
  let next = afterOpaque(bytes, at, end);
  if (handles === 'twoAroundName') next = afterOpaque(bytes, next, end);
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
