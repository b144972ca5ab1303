/**
 * READDIR (RFC 1813 §3.3.16) and READDIRPLUS (§3.3.17): a server cannot know how many entries fit before it has seen them. So it
 * writes a listing entry by entry, straight into the reply, and checks before each whether it still fits.
 */

import type { XdrWriter } from '../xdr.ts';
import { paddedSize } from '../xdr.ts';
import { POST_OP_ATTR_SIZE } from './attributes.ts';

/** Bytes that an entry adds to READDIR's `count`. */
export function entry3Size(nameSize: number): number {
  return 4 + 8 + 4 + paddedSize(nameSize) + 8;
}

/** Bytes that an entry adds to READDIRPLUS' `maxcount`. handleSize: null without a handle. */
export function entryplus3Size(nameSize: number, attributes: boolean, handleSize: number | null): number {
  const attributesSize = attributes ? POST_OP_ATTR_SIZE : 4;
  const postOpFhSize = handleSize === null ? 4 : 8 + paddedSize(handleSize);
  return entry3Size(nameSize) + attributesSize + postOpFhSize;
}

/** Bytes that an entry adds to READDIRPLUS' `dircount`: fileid, name and cookie. */
export function entryDirectorySize(nameSize: number): number {
  return 8 + 4 + paddedSize(nameSize) + 8;
}

/** Bytes after the last entry: "no more follow" and eof. */
export const LISTING_END_SIZE = 8;

/** `entry3` of READDIR (RFC 1813 §3.3.16), behind the word that says that an entry follows. */
export function encodeEntry3(w: XdrWriter, fileid: bigint, name: Uint8Array, cookie: bigint): void {
  w.u32(1);
  w.u64(fileid);
  w.opaque(name);
  w.u64(cookie);
}

/** Ends the list of a READDIR or READDIRPLUS. `eof`: the directory has no further entries. */
export function endListing(w: XdrWriter, eof: boolean): void {
  w.u32(0);
  w.bool(eof);
}
