/** READDIRPLUS, RFC 1813 §3.3.17. */
import {
  encodeEntry3,
  endListing,
  entryDirectorySize,
  entryplus3Size,
  LISTING_END_SIZE,
  NFS3_IO_SIZE_MAX,
  NFS3_OK,
} from '../../protocol/nfs3.ts';
import type { OpenFile } from '../storage/files/open-file.ts';
import { isDot, isDotDot } from '../storage/names/names.ts';
import { StatBuffer } from '../system/statx.ts';
import { encodePostOp } from './attributes.ts';
import type { NfsCall, Outcome } from './call.ts';
import { failedWithAttributes } from './failure.ts';
import { cookieVerifier, isHidden, reader, readPlace, shownInode, startListing } from './listing.ts';

/** Of one reply. A client that wants more asks again, and others have their turn before that. ms */
const LISTING_MS_MAX = 5;
/** Entries between two looks at the clock. */
const ENTRIES_BETWEEN_LOOKS = 64;

const entryStat = new StatBuffer();

export function readdirplus(call: NfsCall): Outcome {
  const { r } = call;
  const place = readPlace(call);
  const dircount = r.u32();
  const maxcount = Math.min(r.u32(), NFS3_IO_SIZE_MAX);
  r.expectEnd();
  const { dir } = place;
  if (typeof dir === 'string') return failedWithAttributes(call, dir, null);
  const refused = startListing(call, dir, place);
  if (refused !== null) return failedWithAttributes(call, refused, dir);
  return list(call, dir, dircount, maxcount);
}

function list(call: NfsCall, dir: OpenFile, dircount: number, maxcount: number): Outcome {
  const { w } = call;
  const { volume } = dir;
  const begin = w.position;
  w.u32(NFS3_OK);
  const start = w.position;
  encodePostOp(w, volume.stat, volume);
  w.opaqueFixed(cookieVerifier(volume));
  const dirInode = volume.stat.inode;
  const begunAt = performance.now();
  let namesSize = 0;
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
    // dircount limits names, fileids and cookies; a client that says 0 means "no such limit".
    namesSize += entryDirectorySize(reader.name.length);
    if (dircount > 0 && entries > 0 && namesSize > dircount) break;
    if (!addEntry(call, dir, dirInode, start, maxcount)) break;
    entries += 1;
    if (entries % ENTRIES_BETWEEN_LOOKS === 0 && performance.now() - begunAt > LISTING_MS_MAX) break;
  }
  if (entries === 0) {
    w.position = begin;
    return failedWithAttributes(call, 'tooSmall', dir);
  }
  endListing(w, false);
  return 'answered';
}

/** The reader's current entry with attributes and handle, where they are to be had; false if it does not fit. */
function addEntry(call: NfsCall, dir: OpenFile, dirInode: bigint, start: number, maxcount: number): boolean {
  const { w, service } = call;
  const { diskSet } = service;
  const { volume } = dir;
  const { name } = reader;
  // Null without permission to search, or if the entry has just gone: the client will ask for it if it needs it.
  const file = diskSet.lookup(dir, name, call.caller.identity(dir.tree));
  const known = typeof file !== 'string' && attributesOfEntry(call, dir, file);
  const handle = known ? file.handle : null;
  const size = entryplus3Size(name.length, known, handle === null ? null : handle.length);
  if (w.position - start + size + LISTING_END_SIZE > maxcount) return false;
  encodeEntry3(w, shownInode(dir, dirInode), name, reader.cookieNext);
  encodePostOp(w, known ? entryStat : null, volume);
  w.u32(handle === null ? 0 : 1);
  if (handle !== null) w.opaque(handle);
  return true;
}

/** By name where the file is not open yet: cheaper than to open it, and nobody may ever ask for it. */
function attributesOfEntry(call: NfsCall, dir: OpenFile, file: OpenFile): boolean {
  const { name } = reader;
  if (file.pathFd >= 0 || isDot(name) || isDotDot(name)) {
    return call.service.diskSet.attributes(file, entryStat) === 'ok';
  }
  return entryStat.ofName(dir.pathFd, name) === 0 && entryStat.nlink > 0;
}
