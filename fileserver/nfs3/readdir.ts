/** READDIR, RFC 1813 §3.3.16. */
import {
  encodeEntry3,
  endListing,
  entry3Size,
  LISTING_END_SIZE,
  NFS3_IO_SIZE_MAX,
  NFS3_OK,
} from '../../protocol/nfs3.ts';
import type { OpenFile } from '../storage/files/open-file.ts';
import { encodePostOp } from './attributes.ts';
import type { NfsCall, Outcome } from './call.ts';
import { failedWithAttributes } from './failure.ts';
import { cookieVerifier, isHidden, reader, readPlace, shownInode, startListing } from './listing.ts';

export function readdir(call: NfsCall): Outcome {
  const place = readPlace(call);
  const count = Math.min(call.r.u32(), NFS3_IO_SIZE_MAX);
  call.r.expectEnd();
  const { dir } = place;
  if (typeof dir === 'string') return failedWithAttributes(call, dir, null);
  const refused = startListing(call, dir, place);
  if (refused !== null) return failedWithAttributes(call, refused, dir);
  return list(call, dir, count);
}

function list(call: NfsCall, dir: OpenFile, count: number): Outcome {
  const { w } = call;
  const { volume } = dir;
  const begin = w.position;
  w.u32(NFS3_OK);
  const start = w.position;
  encodePostOp(w, volume.stat, volume);
  w.opaqueFixed(cookieVerifier(volume));
  let entries = 0;
  for (;;) {
    const result = reader.next();
    if (result < 0) {
      w.position = begin;
      return failedWithAttributes(call, volume.failure('getdents64', result, volume.stat.inode), dir);
    }
    if (result === 0) {
      endListing(w, true);
      return 'answered';
    }
    if (isHidden(dir)) continue;
    if (w.position - start + entry3Size(reader.name.length) + LISTING_END_SIZE > count) break;
    encodeEntry3(w, shownInode(dir, volume.stat.inode), reader.name, reader.cookieNext);
    entries += 1;
  }
  if (entries === 0) {
    // RFC 1813 §3.3.16: NFS3ERR_TOOSMALL when not even one entry fits.
    w.position = begin;
    return failedWithAttributes(call, 'tooSmall', dir);
  }
  endListing(w, false);
  return 'answered';
}
