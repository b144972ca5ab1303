/**
 * What READDIR and READDIRPLUS share: the directory, the permission, where to go on.
 *
 * Cookies are the file system's own (d_off). They stay right while the directory changes, across restarts and
 * failovers, so the cookie verifier never changes either: it is the volume's UUID, and only tells a cookie of
 * another volume.
 */
import { NFS3_COOKIEVERFSIZE, nfs_fh3 } from '../../protocol/nfs3.ts';
import { failureOfResult, type VolumeFailure } from '../storage/failures/status.ts';
import type { OpenFile } from '../storage/files/open-file.ts';
import { isDotDot, isPrivateName } from '../storage/names/names.ts';
import type { Volume } from '../storage/volume/volume.ts';
import { DirectoryReader } from '../system/directory-entries.ts';
import { S_IFDIR } from '../system/statx.ts';
import { accessOf, become, R_OK } from '../system/thread-identity.ts';
import type { NfsCall } from './call.ts';

/** One listing at a time. */
export const reader = new DirectoryReader();

export function cookieVerifier(volume: Volume): Uint8Array {
  return volume.uuid.subarray(0, NFS3_COOKIEVERFSIZE);
}

export interface ListingPlace {
  readonly dir: OpenFile | VolumeFailure;
  readonly cookie: bigint;
  readonly verifier: Uint8Array;
}

/** Reads the first three arguments, the same for both. */
export function readPlace(call: NfsCall): ListingPlace {
  const { r, service, caller } = call;
  let dir = service.diskSet.resolveHandle(nfs_fh3.decode(r));
  if (typeof dir !== 'string' && !caller.allowed(dir.tree)) dir = 'accessDenied';
  const cookie = r.u64();
  return { dir, cookie, verifier: r.opaqueFixed(NFS3_COOKIEVERFSIZE) };
}

/** Positions `reader` at the entry after the cookie. null: ready; the thread is the user, volume.stat the directory's. */
export function startListing(call: NfsCall, dir: OpenFile, place: ListingPlace): VolumeFailure | null {
  const { diskSet } = call.service;
  const { volume } = dir;
  const fd = openDirectory(call, dir);
  if (typeof fd === 'string') return fd;
  if (place.cookie !== 0n && !sameBytes(place.verifier, cookieVerifier(volume))) return 'badCookie';
  become(call.caller.identity(dir.tree));
  const permitted = accessOf(dir.pathFd, R_OK);
  if (permitted < 0) return volume.failure('faccessat2', permitted);
  const started = reader.start(fd, place.cookie);
  if (started < 0) return volume.failure('lseek', started, volume.stat.inode);
  const status = diskSet.attributes(dir, volume.stat);
  return status === 'ok' ? null : status;
}

function openDirectory(call: NfsCall, dir: OpenFile): number | VolumeFailure {
  const { diskSet } = call.service;
  const status = diskSet.attributes(dir, dir.volume.stat);
  if (status !== 'ok') return status;
  if (dir.volume.stat.type !== S_IFDIR) return 'notDirectory';
  const fd = diskSet.table.readFd(dir);
  return fd < 0 ? failureOfResult(fd) : fd;
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return a.length === b.length;
}

/** FilerPair's own directory is not the client's business. */
export function isHidden(dir: OpenFile): boolean {
  return dir.key === dir.volume.rootKey && isPrivateName(reader.name);
}

/**
 * The fileid to show for the reader's entry: the entry's own, but for `..` of an export's own directory that
 * directory's, as there is nothing above it for a client.
 */
export function shownInode(dir: OpenFile, dirInode: bigint): bigint {
  return dir.key === dir.tree.rootKey && isDotDot(reader.name) ? dirInode : reader.inode;
}
