// READDIR (RFC 1813 §3.3.16) and READDIRPLUS (§3.3.17): results.
//
// A server cannot know how many entries fit before it has seen them, so it writes a listing entry by entry,
// straight into the reply, looking before each whether it still fits:
//
//   const start = beginListing(w, dirAttributes, cookieverf);
//   while (... && w.position - start + entry3Size(name.length) + LISTING_END_SIZE <= count) encodeEntry3(w, ...);
//   endListing(w, eof);
//
// The entries of a listing are a linked list in XDR: each is preceded by "one more follows".

import type { XdrReader, XdrWriter } from '../xdr.ts';
import { paddedSize } from '../xdr.ts';
import type { fattr3, filename3, post_op_attr_source, post_op_fh3 } from './attributes.ts';
import {
  decodePostOpAttr,
  decodePostOpFh3,
  encodePostOpAttr,
  encodePostOpFh3,
  POST_OP_ATTR_SIZE,
} from './attributes.ts';
import type { nfsstat3_error } from './constants.ts';
import { NFS3_COOKIEVERFSIZE, NFS3_OK } from './constants.ts';

export interface entry3<W = bigint> {
  fileid: W;
  name: filename3;
  cookie: W;
}

export interface entryplus3<W = bigint> extends entry3<W> {
  name_attributes: fattr3<W> | null;
  name_handle: post_op_fh3;
}

export type READDIR3res<W = bigint> =
  | {
      status: typeof NFS3_OK;
      dir_attributes: fattr3<W> | null;
      cookieverf: Uint8Array;
      entries: entry3<W>[];
      eof: boolean;
    }
  | { status: nfsstat3_error; dir_attributes: fattr3<W> | null };

export type READDIRPLUS3res<W = bigint> =
  | {
      status: typeof NFS3_OK;
      dir_attributes: fattr3<W> | null;
      cookieverf: Uint8Array;
      entries: entryplus3<W>[];
      eof: boolean;
    }
  | { status: nfsstat3_error; dir_attributes: fattr3<W> | null };

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

/** Status, attributes and verifier of READDIR3resok and READDIRPLUS3resok. Returns where resok began (after status). */
export function beginListing(
  w: XdrWriter,
  dir_attributes: post_op_attr_source,
  cookieverf: Uint8Array,
): number {
  w.u32(NFS3_OK);
  const start = w.position;
  encodePostOpAttr(w, dir_attributes);
  w.opaqueFixed(cookieverf);
  return start;
}

export function encodeEntry3(
  w: XdrWriter,
  fileid: bigint | number,
  name: Uint8Array,
  cookie: bigint | number,
): void {
  w.u32(1);
  w.u64(fileid);
  w.opaque(name);
  w.u64(cookie);
}

export function encodeEntryplus3(
  w: XdrWriter,
  fileid: bigint | number,
  name: Uint8Array,
  cookie: bigint | number,
  attributes: post_op_attr_source,
  handle: post_op_fh3,
): void {
  encodeEntry3(w, fileid, name, cookie);
  encodePostOpAttr(w, attributes);
  encodePostOpFh3(w, handle);
}

export function endListing(w: XdrWriter, eof: boolean): void {
  w.u32(0);
  w.bool(eof);
}

function decodeEntry3(r: XdrReader): entry3 {
  const fileid = r.u64();
  const name = r.opaque(r.remaining);
  return { fileid, name, cookie: r.u64() };
}

export function decodeREADDIR3res(r: XdrReader): READDIR3res {
  const status = r.u32() as typeof NFS3_OK | nfsstat3_error;
  const dir_attributes = decodePostOpAttr(r);
  if (status !== NFS3_OK) return { status, dir_attributes };
  const cookieverf = r.opaqueFixed(NFS3_COOKIEVERFSIZE);
  const entries: entry3[] = [];
  while (r.bool()) entries.push(decodeEntry3(r));
  return { status, dir_attributes, cookieverf, entries, eof: r.bool() };
}

export function encodeREADDIR3res(w: XdrWriter, res: READDIR3res<bigint | number>): void {
  if (res.status !== NFS3_OK) {
    w.u32(res.status);
    encodePostOpAttr(w, res.dir_attributes);
    return;
  }
  beginListing(w, res.dir_attributes, res.cookieverf);
  for (const entry of res.entries) encodeEntry3(w, entry.fileid, entry.name, entry.cookie);
  endListing(w, res.eof);
}

export function decodeREADDIRPLUS3res(r: XdrReader): READDIRPLUS3res {
  const status = r.u32() as typeof NFS3_OK | nfsstat3_error;
  const dir_attributes = decodePostOpAttr(r);
  if (status !== NFS3_OK) return { status, dir_attributes };
  const cookieverf = r.opaqueFixed(NFS3_COOKIEVERFSIZE);
  const entries: entryplus3[] = [];
  while (r.bool()) {
    const { fileid, name, cookie } = decodeEntry3(r);
    const name_attributes = decodePostOpAttr(r);
    entries.push({ fileid, name, cookie, name_attributes, name_handle: decodePostOpFh3(r) });
  }
  return { status, dir_attributes, cookieverf, entries, eof: r.bool() };
}

export function encodeREADDIRPLUS3res(w: XdrWriter, res: READDIRPLUS3res<bigint | number>): void {
  if (res.status !== NFS3_OK) {
    w.u32(res.status);
    encodePostOpAttr(w, res.dir_attributes);
    return;
  }
  beginListing(w, res.dir_attributes, res.cookieverf);
  for (const e of res.entries) {
    encodeEntryplus3(w, e.fileid, e.name, e.cookie, e.name_attributes, e.name_handle);
  }
  endListing(w, res.eof);
}
