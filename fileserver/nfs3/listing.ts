/** READDIR and READDIRPLUS, RFC 1813 §3.3.16 and §3.3.17. */
import {
  encodeEntry3,
  endListing,
  entry3Size,
  entryDirectorySize,
  entryplus3Size,
  LISTING_END_SIZE,
  NFS3_COOKIEVERFSIZE,
  NFS3_IO_SIZE_MAX,
  NFS3_OK,
  nfs_fh3,
} from '../../protocol/nfs3.ts';
import type { Outcome, RpcCall } from '../rpc/rpc-program.ts';
import { failureOfResult, type VolumeFailure } from '../storage/failures/status.ts';
import type { OpenFile } from '../storage/files/open-file.ts';
import { isDot, isDotDot, isPrivateName } from '../storage/names/names.ts';
import type { Volume } from '../storage/volume/volume.ts';
import { S_IFDIR } from '../system/statx.ts';
import { accessOf, asUser, R_OK } from '../system/thread-identity.ts';
import { encodePostOp } from './attributes.ts';
import { failedWithAttributes } from './call.ts';
import type { NfsContext } from './nfs-context.ts';

// Cookies are the file system's own (d_off). They stay right while the directory changes, across restarts and
// failovers, so the cookie verifier never changes either: it is the volume's UUID, and only tells a cookie of
// another volume.

/** Time for one reply of READDIRPLUS. A client that wants more asks again, and others have their turn before that. ms */
const LISTING_MS_MAX = 5;
/** Entries between two looks at the clock. */
const ENTRIES_BETWEEN_LOOKS = 64;

/** Writes the listing's current entry; false if it does not fit into what may be written from `start` on. */
type AddEntry = (start: number) => boolean;

export function readdir(call: RpcCall, context: NfsContext): Outcome {
  const place = readPlace(call, context);
  const count = Math.min(call.r.u32(), NFS3_IO_SIZE_MAX);
  call.r.expectEnd();
  return list(call, context, place, (dir, dirInode) => (start) => {
    const { w } = call;
    const { listing } = context;
    if (w.position - start + entry3Size(listing.name.length) + LISTING_END_SIZE > count) return false;
    encodeEntry3(w, shownInode(context, dir, dirInode), listing.name, listing.cookieNext);
    return true;
  });
}

export function readdirplus(call: RpcCall, context: NfsContext): Outcome {
  const place = readPlace(call, context);
  const dircount = call.r.u32();
  const maxcount = Math.min(call.r.u32(), NFS3_IO_SIZE_MAX);
  call.r.expectEnd();
  return list(call, context, place, (dir, dirInode) => {
    const begunAt = performance.now();
    let namesSize = 0;
    let entries = 0;
    return (start) => {
      if (
        entries > 0 &&
        entries % ENTRIES_BETWEEN_LOOKS === 0 &&
        performance.now() - begunAt > LISTING_MS_MAX
      )
        return false;
      // dircount limits names, fileids and cookies; a client that says 0 means "no such limit".
      namesSize += entryDirectorySize(context.listing.name.length);
      if (dircount > 0 && entries > 0 && namesSize > dircount) return false;
      entries += 1;
      return addEntryPlus(call, context, dir, dirInode, start, maxcount);
    };
  });
}

interface Place {
  readonly dir: OpenFile | VolumeFailure;
  readonly cookie: bigint;
  readonly verifier: Uint8Array;
}

/** Reads the first three arguments, the same for both. */
function readPlace({ r, caller }: RpcCall, { diskSet }: NfsContext): Place {
  let dir = diskSet.resolveHandle(nfs_fh3.decode(r));
  if (typeof dir !== 'string' && !caller.allowed(dir.tree)) dir = 'accessDenied';
  const cookie = r.u64();
  return { dir, cookie, verifier: r.opaqueFixed(NFS3_COOKIEVERFSIZE) };
}

function cookieVerifier(volume: Volume): Uint8Array {
  return volume.uuid.subarray(0, NFS3_COOKIEVERFSIZE);
}

function list(
  call: RpcCall,
  context: NfsContext,
  place: Place,
  entries: (dir: OpenFile, dirInode: bigint) => AddEntry,
): Outcome {
  const { w } = call;
  const { listing } = context;
  const { dir } = place;
  if (typeof dir === 'string') return failedWithAttributes(call, context, dir, null);
  const refused = start(call, context, dir, place);
  if (refused !== null) return failedWithAttributes(call, context, refused, dir);
  const { volume } = dir;
  const { inode } = volume.stat;
  const add = entries(dir, inode);
  const begin = w.position;
  w.u32(NFS3_OK);
  const counted = w.position;
  encodePostOp(w, volume.stat, volume);
  w.opaqueFixed(cookieVerifier(volume));
  for (let isAny = false; ; ) {
    const result = listing.next();
    if (result < 0) {
      w.position = begin;
      return failedWithAttributes(call, context, volume.failure('getdents64', result, inode), dir);
    }
    if (result === 0) {
      endListing(w, true);
      return NFS3_OK;
    }
    // FilerPair's own directory is not the client's business.
    if (dir.key === volume.rootKey && isPrivateName(listing.name)) continue;
    if (add(counted)) {
      isAny = true;
      continue;
    }
    if (isAny) {
      endListing(w, false);
      return NFS3_OK;
    }
    // RFC 1813 §3.3.16: NFS3ERR_TOOSMALL when not even one entry fits.
    w.position = begin;
    return failedWithAttributes(call, context, 'tooSmall', dir);
  }
}

/** Positions the listing at the entry after the cookie. null: ready; volume.stat is the directory's. */
function start(
  call: RpcCall,
  { diskSet, listing }: NfsContext,
  dir: OpenFile,
  { cookie, verifier }: Place,
): VolumeFailure | null {
  const { volume } = dir;
  const status = diskSet.attributes(dir, volume.stat);
  if (status !== 'ok') return status;
  if (volume.stat.type !== S_IFDIR) return 'notDirectory';
  const fd = diskSet.table.readFd(dir);
  if (fd < 0) return failureOfResult(fd);
  if (cookie !== 0n && Buffer.compare(verifier, cookieVerifier(volume)) !== 0) return 'badCookie';
  const permitted = asUser(call.caller.identity(dir.tree), accessOf, dir.pathFd, R_OK);
  if (permitted < 0) return volume.failure('faccessat2', permitted);
  const started = listing.start(fd, cookie);
  if (started < 0) return volume.failure('lseek', started, volume.stat.inode);
  const after = diskSet.attributes(dir, volume.stat);
  return after === 'ok' ? null : after;
}

/**
 * The fileid to show for the current entry: the entry's own, but for `..` of an export's own directory that
 * directory's, as there is nothing above it for a client.
 */
function shownInode({ listing }: NfsContext, dir: OpenFile, dirInode: bigint): bigint {
  return dir.key === dir.tree.rootKey && isDotDot(listing.name) ? dirInode : listing.inode;
}

/** The current entry with attributes and handle, where they are to be had; false if it does not fit. */
function addEntryPlus(
  call: RpcCall,
  context: NfsContext,
  dir: OpenFile,
  dirInode: bigint,
  start: number,
  maxcount: number,
): boolean {
  const { w, caller } = call;
  const { diskSet, stat, listing } = context;
  const { name } = listing;
  const user = caller.identity(dir.tree);
  // A failure without permission to search, or if the entry has just gone: the client will ask for it if it needs it.
  const file = diskSet.lookup(dir, name, user);
  // A file that is not open yet is looked up by name: that is cheaper than to open it, and no client may ever ask for it.
  const byName = (): boolean => stat.ofName(dir.pathFd, name) === 0 && stat.nlink > 0;
  const known =
    typeof file !== 'string' &&
    (file.pathFd >= 0 || isDot(name) || isDotDot(name)
      ? diskSet.attributes(file, stat) === 'ok'
      : asUser(user, byName));
  const handle = known ? file.handle : null;
  const size = entryplus3Size(name.length, known, handle === null ? null : handle.length);
  if (w.position - start + size + LISTING_END_SIZE > maxcount) return false;
  encodeEntry3(w, shownInode(context, dir, dirInode), name, listing.cookieNext);
  encodePostOp(w, known ? stat : null, dir.volume);
  w.u32(handle === null ? 0 : 1);
  if (handle !== null) w.opaque(handle);
  return true;
}
