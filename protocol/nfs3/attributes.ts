// NFS version 3 (RFC 1813 §2.5, §2.6): file handles, attributes and what surrounds every result.
//
// Names, paths and handles are bytes: no encoding is promised by the protocol or by Unix.
// Sizes in results are numbers (saturated at 2^53 - 1, see XdrReader.u64Saturated); sizes and offsets that a client asks
// for are exact (u64Exact); identifiers that use all 64 bits (fileid, fsid, cookies) are bigint when decoded. Encoders take numbers too, so that a server whose
// system call delivers safe integers need not convert them.
// Absent is null.

import type { XdrReader, XdrWriter } from '../xdr.ts';
import { XdrError, xdrFault } from '../xdr.ts';
import type { ftype3 } from './constants.ts';
import {
  DONT_CHANGE,
  NF3FIFO,
  NF3REG,
  NFS3_FHSIZE,
  SET_TO_CLIENT_TIME,
  SET_TO_SERVER_TIME,
} from './constants.ts';

export type nfs_fh3 = Uint8Array;
export type filename3 = Uint8Array;
export type nfspath3 = Uint8Array;

/** Longest opaque whose limit is left to the server: the record's end bounds it. */
const UNLIMITED = 0xffff_ffff;

export interface nfstime3 {
  seconds: number;
  nseconds: number;
}

export interface specdata3 {
  specdata1: number;
  specdata2: number;
}

/** RFC 1813 §2.6: fattr3. `Wide` is the type of 64-bit identifiers. */
export interface fattr3<Wide = bigint> {
  type: ftype3;
  /** Permission bits only, 07777. */
  mode: number;
  nlink: number;
  uid: number;
  gid: number;
  /** Bytes. */
  size: number;
  /** Bytes of disk space. */
  used: number;
  rdev: specdata3;
  fsid: Wide;
  fileid: Wide;
  atime: nfstime3;
  mtime: nfstime3;
  ctime: nfstime3;
}

export type post_op_attr = fattr3 | null;
/** What an encoder accepts where the RFC has post_op_attr. */
export type post_op_attr_source = fattr3<bigint | number> | null;
export type post_op_fh3 = nfs_fh3 | null;

/** RFC 1813 §2.6: wcc_attr, the attributes by which a client recognises its own change. */
export interface wcc_attr {
  size: number;
  mtime: nfstime3;
  ctime: nfstime3;
}

export interface wcc_data<Wide = bigint> {
  before: wcc_attr | null;
  after: fattr3<Wide> | null;
}
export type wcc_data_source = wcc_data<bigint | number>;

export type set_time =
  | { how: typeof DONT_CHANGE }
  | { how: typeof SET_TO_SERVER_TIME }
  | { how: typeof SET_TO_CLIENT_TIME; time: nfstime3 };

/** RFC 1813 §2.6: sattr3. null: leave unchanged. */
export interface sattr3 {
  mode: number | null;
  uid: number | null;
  gid: number | null;
  size: number | bigint | null;
  atime: set_time;
  mtime: set_time;
}

/** A sattr3 that changes nothing: what a create sends that leaves all to the server. */
export const SATTR3_NOTHING: Readonly<sattr3> = {
  mode: null,
  uid: null,
  gid: null,
  size: null,
  atime: { how: DONT_CHANGE },
  mtime: { how: DONT_CHANGE },
};

/** RFC 1813 §2.6: diropargs3. */
export interface diropargs3 {
  dir: nfs_fh3;
  name: filename3;
}

/** Bytes of an encoded fattr3. */
export const FATTR3_SIZE = 84;
/** Bytes of an encoded post_op_attr that is present. */
export const POST_OP_ATTR_SIZE = 4 + FATTR3_SIZE;

export function decodeFh3(r: XdrReader): nfs_fh3 {
  return r.opaque(NFS3_FHSIZE);
}

export function encodeFh3(w: XdrWriter, fh: nfs_fh3): void {
  w.opaque(fh);
}

/** Only the record bounds a name here: too long a name is NFS3ERR_NAMETOOLONG, which is the server's to say. */
export function decodeName3(r: XdrReader): Uint8Array {
  return r.opaque(UNLIMITED);
}

export function decodeDiropargs3(r: XdrReader): diropargs3 {
  const dir = decodeFh3(r);
  return { dir, name: decodeName3(r) };
}

export function encodeDiropargs3(w: XdrWriter, args: diropargs3): void {
  w.opaque(args.dir);
  w.opaque(args.name);
}

export function decodeNfstime3(r: XdrReader): nfstime3 {
  const seconds = r.u32();
  return { seconds, nseconds: r.u32() };
}

export function encodeNfstime3(w: XdrWriter, time: nfstime3): void {
  w.u32(time.seconds);
  w.u32(time.nseconds);
}

export function decodeFtype3(r: XdrReader): ftype3 {
  return r.enumWithin('ftype3', NF3REG, NF3FIFO) as ftype3;
}

export function decodeFattr3(r: XdrReader): fattr3 {
  const type = decodeFtype3(r);
  const mode = r.u32();
  const nlink = r.u32();
  const uid = r.u32();
  const gid = r.u32();
  const size = r.u64Saturated();
  const used = r.u64Saturated();
  const specdata1 = r.u32();
  const specdata2 = r.u32();
  const fsid = r.u64();
  const fileid = r.u64();
  const atime = decodeNfstime3(r);
  const mtime = decodeNfstime3(r);
  const ctime = decodeNfstime3(r);
  const rdev = { specdata1, specdata2 };
  return { type, mode, nlink, uid, gid, size, used, rdev, fsid, fileid, atime, mtime, ctime };
}

export function encodeFattr3(w: XdrWriter, a: fattr3<bigint | number>): void {
  w.ensure(FATTR3_SIZE);
  w.u32(a.type);
  w.u32(a.mode);
  w.u32(a.nlink);
  w.u32(a.uid);
  w.u32(a.gid);
  w.u64(a.size);
  w.u64(a.used);
  w.u32(a.rdev.specdata1);
  w.u32(a.rdev.specdata2);
  w.u64(a.fsid);
  w.u64(a.fileid);
  encodeNfstime3(w, a.atime);
  encodeNfstime3(w, a.mtime);
  encodeNfstime3(w, a.ctime);
}

export function decodePostOpAttr(r: XdrReader): post_op_attr {
  return r.bool() ? decodeFattr3(r) : null;
}

export function encodePostOpAttr(w: XdrWriter, attributes: post_op_attr_source): void {
  if (attributes === null) {
    w.u32(0);
    return;
  }
  w.u32(1);
  encodeFattr3(w, attributes);
}

export function decodePostOpFh3(r: XdrReader): post_op_fh3 {
  return r.bool() ? decodeFh3(r) : null;
}

export function encodePostOpFh3(w: XdrWriter, fh: post_op_fh3): void {
  if (fh === null) {
    w.u32(0);
    return;
  }
  w.u32(1);
  w.opaque(fh);
}

function decodeWccAttr(r: XdrReader): wcc_attr {
  const size = r.u64Saturated();
  const mtime = decodeNfstime3(r);
  return { size, mtime, ctime: decodeNfstime3(r) };
}

export function decodeWccData(r: XdrReader): wcc_data {
  const before = r.bool() ? decodeWccAttr(r) : null;
  return { before, after: decodePostOpAttr(r) };
}

export function encodeWccData(w: XdrWriter, wcc: wcc_data_source): void {
  encodeWcc(w, wcc.before, wcc.after);
}

/** wcc_data from its two parts, without an object around them. */
export function encodeWcc(w: XdrWriter, before: wcc_attr | null, after: post_op_attr_source): void {
  if (before === null) {
    w.u32(0);
  } else {
    w.u32(1);
    w.u64(before.size);
    encodeNfstime3(w, before.mtime);
    encodeNfstime3(w, before.ctime);
  }
  encodePostOpAttr(w, after);
}

function decodeSetTime(r: XdrReader): set_time {
  const how = r.u32();
  if (how === DONT_CHANGE || how === SET_TO_SERVER_TIME) return { how };
  if (how === SET_TO_CLIENT_TIME) return { how, time: decodeNfstime3(r) };
  throw new XdrError(xdrFault.badEnum, `${how} is no time_how`);
}

function encodeSetTime(w: XdrWriter, set: set_time): void {
  w.u32(set.how);
  if (set.how === SET_TO_CLIENT_TIME) encodeNfstime3(w, set.time);
}

export function decodeSattr3(r: XdrReader): sattr3 {
  const mode = r.bool() ? r.u32() : null;
  const uid = r.bool() ? r.u32() : null;
  const gid = r.bool() ? r.u32() : null;
  const size = r.bool() ? r.u64Exact() : null;
  const atime = decodeSetTime(r);
  return { mode, uid, gid, size, atime, mtime: decodeSetTime(r) };
}

export function encodeSattr3(w: XdrWriter, a: Readonly<sattr3>): void {
  encodeOptionalU32(w, a.mode);
  encodeOptionalU32(w, a.uid);
  encodeOptionalU32(w, a.gid);
  w.bool(a.size !== null);
  if (a.size !== null) w.u64(a.size);
  encodeSetTime(w, a.atime);
  encodeSetTime(w, a.mtime);
}

function encodeOptionalU32(w: XdrWriter, value: number | null): void {
  w.bool(value !== null);
  if (value !== null) w.u32(value);
}
