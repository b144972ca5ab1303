// NFS version 3 (RFC 1813 §3.3): the results of the 22 procedures. A server encodes them, a client decodes.
//
// A result is a union over its status. The procedures that make up most of the traffic also have encoders that
// take the parts instead of an object (encode...3resok), and READ's data can be read by the system call straight
// into the writer (reserveREAD3data). Directory listings, which have a size to keep to, are written entry by
// entry with the writers of listings.ts.
//
// A status that the RFC does not list decodes like any other failure: the union's default arm covers it.

import type { XdrReader, XdrWriter } from '../xdr.ts';
import type {
  fattr3,
  nfs_fh3,
  nfspath3,
  nfstime3,
  post_op_attr_source,
  post_op_fh3,
  wcc_attr,
  wcc_data,
  wcc_data_source,
} from './attributes.ts';
import {
  decodeFattr3,
  decodeFh3,
  decodeNfstime3,
  decodePostOpAttr,
  decodePostOpFh3,
  decodeWccData,
  encodeFattr3,
  encodeNfstime3,
  encodePostOpAttr,
  encodePostOpFh3,
  encodeWcc,
  encodeWccData,
  POST_OP_ATTR_SIZE,
} from './attributes.ts';
import type { nfsstat3_error, stable_how } from './constants.ts';
import {
  FILE_SYNC,
  NFS3_IO_SIZE_MAX,
  NFS3_OK,
  NFS3_PATH_SIZE_MAX,
  NFS3_WRITEVERFSIZE,
  UNSTABLE,
} from './constants.ts';

type Failed<Fields = unknown> = { status: nfsstat3_error } & Fields;

function decodeStatus(r: XdrReader): typeof NFS3_OK | nfsstat3_error {
  return r.u32() as typeof NFS3_OK | nfsstat3_error;
}

// The three shapes of failure, for servers that fail before they have a result to speak of.

/** GETATTR: nothing but the status. */
export function encodeFailure(w: XdrWriter, status: nfsstat3_error): void {
  w.u32(status);
}

/** LOOKUP, ACCESS, READLINK, READ, READDIR, READDIRPLUS, FSSTAT, FSINFO, PATHCONF. */
export function encodeFailureAttr(
  w: XdrWriter,
  status: nfsstat3_error,
  attributes: post_op_attr_source,
): void {
  w.u32(status);
  encodePostOpAttr(w, attributes);
}

/** SETATTR, WRITE, CREATE, MKDIR, SYMLINK, MKNOD, REMOVE, RMDIR, COMMIT. */
export function encodeFailureWcc(
  w: XdrWriter,
  status: nfsstat3_error,
  before: wcc_attr | null,
  after: post_op_attr_source,
): void {
  w.u32(status);
  encodeWcc(w, before, after);
}

/** RENAME. */
export function encodeFailureWcc2(
  w: XdrWriter,
  status: nfsstat3_error,
  fromdir: wcc_data_source,
  todir: wcc_data_source,
): void {
  w.u32(status);
  encodeWccData(w, fromdir);
  encodeWccData(w, todir);
}

/** LINK. */
export function encodeFailureAttrWcc(
  w: XdrWriter,
  status: nfsstat3_error,
  attributes: post_op_attr_source,
  linkdir: wcc_data_source,
): void {
  w.u32(status);
  encodePostOpAttr(w, attributes);
  encodeWccData(w, linkdir);
}

// GETATTR, RFC 1813 §3.3.1

export type GETATTR3res<W = bigint> = { status: typeof NFS3_OK; obj_attributes: fattr3<W> } | Failed;

export function decodeGETATTR3res(r: XdrReader): GETATTR3res {
  const status = decodeStatus(r);
  if (status !== NFS3_OK) return { status };
  return { status, obj_attributes: decodeFattr3(r) };
}

export function encodeGETATTR3res(w: XdrWriter, res: GETATTR3res<bigint | number>): void {
  if (res.status === NFS3_OK) encodeGETATTR3resok(w, res.obj_attributes);
  else encodeFailure(w, res.status);
}

export function encodeGETATTR3resok(w: XdrWriter, obj_attributes: fattr3<bigint | number>): void {
  w.u32(NFS3_OK);
  encodeFattr3(w, obj_attributes);
}

// SETATTR §3.3.2, REMOVE §3.3.12, RMDIR §3.3.13: the same wcc_data in success and failure.

export interface SETATTR3res<W = bigint> {
  status: typeof NFS3_OK | nfsstat3_error;
  obj_wcc: wcc_data<W>;
}

export function decodeSETATTR3res(r: XdrReader): SETATTR3res {
  const status = decodeStatus(r);
  return { status, obj_wcc: decodeWccData(r) };
}

export function encodeSETATTR3res(w: XdrWriter, res: SETATTR3res<bigint | number>): void {
  w.u32(res.status);
  encodeWccData(w, res.obj_wcc);
}

export interface REMOVE3res<W = bigint> {
  status: typeof NFS3_OK | nfsstat3_error;
  dir_wcc: wcc_data<W>;
}

export function decodeREMOVE3res(r: XdrReader): REMOVE3res {
  const status = decodeStatus(r);
  return { status, dir_wcc: decodeWccData(r) };
}

export function encodeREMOVE3res(w: XdrWriter, res: REMOVE3res<bigint | number>): void {
  w.u32(res.status);
  encodeWccData(w, res.dir_wcc);
}

export type RMDIR3res<W = bigint> = REMOVE3res<W>;
export const decodeRMDIR3res = decodeREMOVE3res;
export const encodeRMDIR3res = encodeREMOVE3res;

// LOOKUP, RFC 1813 §3.3.3

export type LOOKUP3res<W = bigint> =
  | {
      status: typeof NFS3_OK;
      object: nfs_fh3;
      obj_attributes: fattr3<W> | null;
      dir_attributes: fattr3<W> | null;
    }
  | Failed<{ dir_attributes: fattr3<W> | null }>;

export function decodeLOOKUP3res(r: XdrReader): LOOKUP3res {
  const status = decodeStatus(r);
  if (status !== NFS3_OK) return { status, dir_attributes: decodePostOpAttr(r) };
  const object = decodeFh3(r);
  const obj_attributes = decodePostOpAttr(r);
  return { status, object, obj_attributes, dir_attributes: decodePostOpAttr(r) };
}

export function encodeLOOKUP3res(w: XdrWriter, res: LOOKUP3res<bigint | number>): void {
  if (res.status === NFS3_OK) encodeLOOKUP3resok(w, res.object, res.obj_attributes, res.dir_attributes);
  else encodeFailureAttr(w, res.status, res.dir_attributes);
}

export function encodeLOOKUP3resok(
  w: XdrWriter,
  object: nfs_fh3,
  obj_attributes: post_op_attr_source,
  dir_attributes: post_op_attr_source,
): void {
  w.u32(NFS3_OK);
  w.opaque(object);
  encodePostOpAttr(w, obj_attributes);
  encodePostOpAttr(w, dir_attributes);
}

// ACCESS, RFC 1813 §3.3.4

export type ACCESS3res<W = bigint> =
  | { status: typeof NFS3_OK; obj_attributes: fattr3<W> | null; access: number }
  | Failed<{ obj_attributes: fattr3<W> | null }>;

export function decodeACCESS3res(r: XdrReader): ACCESS3res {
  const status = decodeStatus(r);
  const obj_attributes = decodePostOpAttr(r);
  if (status !== NFS3_OK) return { status, obj_attributes };
  return { status, obj_attributes, access: r.u32() };
}

export function encodeACCESS3res(w: XdrWriter, res: ACCESS3res<bigint | number>): void {
  if (res.status === NFS3_OK) encodeACCESS3resok(w, res.obj_attributes, res.access);
  else encodeFailureAttr(w, res.status, res.obj_attributes);
}

export function encodeACCESS3resok(w: XdrWriter, obj_attributes: post_op_attr_source, access: number): void {
  w.u32(NFS3_OK);
  encodePostOpAttr(w, obj_attributes);
  w.u32(access);
}

// READLINK, RFC 1813 §3.3.5

export type READLINK3res<W = bigint> =
  | { status: typeof NFS3_OK; symlink_attributes: fattr3<W> | null; data: nfspath3 }
  | Failed<{ symlink_attributes: fattr3<W> | null }>;

export function decodeREADLINK3res(r: XdrReader): READLINK3res {
  const status = decodeStatus(r);
  const symlink_attributes = decodePostOpAttr(r);
  if (status !== NFS3_OK) return { status, symlink_attributes };
  return { status, symlink_attributes, data: r.opaque(NFS3_PATH_SIZE_MAX) };
}

export function encodeREADLINK3res(w: XdrWriter, res: READLINK3res<bigint | number>): void {
  w.u32(res.status);
  encodePostOpAttr(w, res.symlink_attributes);
  if (res.status === NFS3_OK) w.opaque(res.data);
}

// READ, RFC 1813 §3.3.6

export type READ3res<W = bigint> =
  | {
      status: typeof NFS3_OK;
      file_attributes: fattr3<W> | null;
      count: number;
      eof: boolean;
      data: Uint8Array;
    }
  | Failed<{ file_attributes: fattr3<W> | null }>;

export function decodeREAD3res(r: XdrReader): READ3res {
  const status = decodeStatus(r);
  const file_attributes = decodePostOpAttr(r);
  if (status !== NFS3_OK) return { status, file_attributes };
  const count = r.u32();
  const eof = r.bool();
  return { status, file_attributes, count, eof, data: r.opaque(NFS3_IO_SIZE_MAX) };
}

export function encodeREAD3res(w: XdrWriter, res: READ3res<bigint | number>): void {
  if (res.status !== NFS3_OK) {
    encodeFailureAttr(w, res.status, res.file_attributes);
    return;
  }
  w.u32(NFS3_OK);
  encodePostOpAttr(w, res.file_attributes);
  w.u32(res.count);
  w.bool(res.eof);
  w.opaque(res.data);
}

/** Bytes of READ3resok in front of the data when attributes are present: status, attributes, count, eof, length. */
const READ3_DATA_OFFSET = 4 + POST_OP_ATTR_SIZE + 12;

/**
 * READ without a copy: makes room for a READ3resok of up to `count` bytes of data and returns the index into
 * `w.bytes` at which to read them. Take `w.bytes` after this call, which may move it; write nothing to the
 * writer until completeREAD3resok(), or undo by resetting `w.position` to what it was before.
 */
export function reserveREAD3data(w: XdrWriter, count: number): number {
  w.ensure(READ3_DATA_OFFSET + count + 3);
  return w.position + READ3_DATA_OFFSET;
}

/** Completes the READ3resok around the `count` bytes that reserveREAD3data() gave a place to. */
export function completeREAD3resok(
  w: XdrWriter,
  file_attributes: post_op_attr_source,
  count: number,
  eof: boolean,
): void {
  const dataAt = w.position + READ3_DATA_OFFSET;
  w.u32(NFS3_OK);
  encodePostOpAttr(w, file_attributes);
  w.u32(count);
  w.bool(eof);
  w.u32(count);
  if (w.position !== dataAt) w.bytes.copyWithin(w.position, dataAt, dataAt + count);
  w.position += count;
  w.pad(count);
}

// WRITE, RFC 1813 §3.3.7

export type WRITE3res<W = bigint> =
  | {
      status: typeof NFS3_OK;
      file_wcc: wcc_data<W>;
      count: number;
      committed: stable_how;
      verf: Uint8Array;
    }
  | Failed<{ file_wcc: wcc_data<W> }>;

export function decodeWRITE3res(r: XdrReader): WRITE3res {
  const status = decodeStatus(r);
  const file_wcc = decodeWccData(r);
  if (status !== NFS3_OK) return { status, file_wcc };
  const count = r.u32();
  const committed = r.enumWithin('stable_how', UNSTABLE, FILE_SYNC) as stable_how;
  return { status, file_wcc, count, committed, verf: r.opaqueFixed(NFS3_WRITEVERFSIZE) };
}

export function encodeWRITE3res(w: XdrWriter, res: WRITE3res<bigint | number>): void {
  const { before, after } = res.file_wcc;
  if (res.status === NFS3_OK) encodeWRITE3resok(w, before, after, res.count, res.committed, res.verf);
  else encodeFailureWcc(w, res.status, before, after);
}

export function encodeWRITE3resok(
  w: XdrWriter,
  before: wcc_attr | null,
  after: post_op_attr_source,
  count: number,
  committed: stable_how,
  verf: Uint8Array,
): void {
  w.u32(NFS3_OK);
  encodeWcc(w, before, after);
  w.u32(count);
  w.u32(committed);
  w.opaqueFixed(verf);
}

// CREATE §3.3.8, MKDIR §3.3.9, SYMLINK §3.3.10, MKNOD §3.3.11: one shape.

export type CREATE3res<W = bigint> =
  | {
      status: typeof NFS3_OK;
      obj: post_op_fh3;
      obj_attributes: fattr3<W> | null;
      dir_wcc: wcc_data<W>;
    }
  | Failed<{ dir_wcc: wcc_data<W> }>;

export function decodeCREATE3res(r: XdrReader): CREATE3res {
  const status = decodeStatus(r);
  if (status !== NFS3_OK) return { status, dir_wcc: decodeWccData(r) };
  const obj = decodePostOpFh3(r);
  const obj_attributes = decodePostOpAttr(r);
  return { status, obj, obj_attributes, dir_wcc: decodeWccData(r) };
}

export function encodeCREATE3res(w: XdrWriter, res: CREATE3res<bigint | number>): void {
  w.u32(res.status);
  if (res.status === NFS3_OK) {
    encodePostOpFh3(w, res.obj);
    encodePostOpAttr(w, res.obj_attributes);
  }
  encodeWccData(w, res.dir_wcc);
}

export type MKDIR3res<W = bigint> = CREATE3res<W>;
export const decodeMKDIR3res = decodeCREATE3res;
export const encodeMKDIR3res = encodeCREATE3res;
export type SYMLINK3res<W = bigint> = CREATE3res<W>;
export const decodeSYMLINK3res = decodeCREATE3res;
export const encodeSYMLINK3res = encodeCREATE3res;
export type MKNOD3res<W = bigint> = CREATE3res<W>;
export const decodeMKNOD3res = decodeCREATE3res;
export const encodeMKNOD3res = encodeCREATE3res;

// RENAME, RFC 1813 §3.3.14

export interface RENAME3res<W = bigint> {
  status: typeof NFS3_OK | nfsstat3_error;
  fromdir_wcc: wcc_data<W>;
  todir_wcc: wcc_data<W>;
}

export function decodeRENAME3res(r: XdrReader): RENAME3res {
  const status = decodeStatus(r);
  const fromdir_wcc = decodeWccData(r);
  return { status, fromdir_wcc, todir_wcc: decodeWccData(r) };
}

export function encodeRENAME3res(w: XdrWriter, res: RENAME3res<bigint | number>): void {
  w.u32(res.status);
  encodeWccData(w, res.fromdir_wcc);
  encodeWccData(w, res.todir_wcc);
}

// LINK, RFC 1813 §3.3.15

export interface LINK3res<W = bigint> {
  status: typeof NFS3_OK | nfsstat3_error;
  file_attributes: fattr3<W> | null;
  linkdir_wcc: wcc_data<W>;
}

export function decodeLINK3res(r: XdrReader): LINK3res {
  const status = decodeStatus(r);
  const file_attributes = decodePostOpAttr(r);
  return { status, file_attributes, linkdir_wcc: decodeWccData(r) };
}

export function encodeLINK3res(w: XdrWriter, res: LINK3res<bigint | number>): void {
  w.u32(res.status);
  encodePostOpAttr(w, res.file_attributes);
  encodeWccData(w, res.linkdir_wcc);
}

// FSSTAT, RFC 1813 §3.3.18

export interface FSSTAT3resok<W = bigint> {
  status: typeof NFS3_OK;
  obj_attributes: fattr3<W> | null;
  /** Bytes: in all, free, free for this user. Files likewise. */
  tbytes: number;
  fbytes: number;
  abytes: number;
  tfiles: number;
  ffiles: number;
  afiles: number;
  /** Seconds for which this is not expected to change. */
  invarsec: number;
}

export type FSSTAT3res<W = bigint> = FSSTAT3resok<W> | Failed<{ obj_attributes: fattr3<W> | null }>;

export function decodeFSSTAT3res(r: XdrReader): FSSTAT3res {
  const status = decodeStatus(r);
  const obj_attributes = decodePostOpAttr(r);
  if (status !== NFS3_OK) return { status, obj_attributes };
  const tbytes = r.u64Saturated();
  const fbytes = r.u64Saturated();
  const abytes = r.u64Saturated();
  const tfiles = r.u64Saturated();
  const ffiles = r.u64Saturated();
  const afiles = r.u64Saturated();
  const invarsec = r.u32();
  return { status, obj_attributes, tbytes, fbytes, abytes, tfiles, ffiles, afiles, invarsec };
}

export function encodeFSSTAT3res(w: XdrWriter, res: FSSTAT3res<bigint | number>): void {
  encodeStatusAttr(w, res.status, res.obj_attributes);
  if (res.status !== NFS3_OK) return;
  w.u64(res.tbytes);
  w.u64(res.fbytes);
  w.u64(res.abytes);
  w.u64(res.tfiles);
  w.u64(res.ffiles);
  w.u64(res.afiles);
  w.u32(res.invarsec);
}

function encodeStatusAttr(
  w: XdrWriter,
  status: typeof NFS3_OK | nfsstat3_error,
  attributes: post_op_attr_source,
): void {
  w.u32(status);
  encodePostOpAttr(w, attributes);
}

// FSINFO, RFC 1813 §3.3.19

export interface FSINFO3resok<W = bigint> {
  status: typeof NFS3_OK;
  obj_attributes: fattr3<W> | null;
  /** Bytes: largest, preferred, and unit of READ; likewise WRITE; preferred READDIR; largest file. */
  rtmax: number;
  rtpref: number;
  rtmult: number;
  wtmax: number;
  wtpref: number;
  wtmult: number;
  dtpref: number;
  maxfilesize: number;
  time_delta: nfstime3;
  /** FSF3_* bits. */
  properties: number;
}

export type FSINFO3res<W = bigint> = FSINFO3resok<W> | Failed<{ obj_attributes: fattr3<W> | null }>;

export function decodeFSINFO3res(r: XdrReader): FSINFO3res {
  const status = decodeStatus(r);
  const obj_attributes = decodePostOpAttr(r);
  if (status !== NFS3_OK) return { status, obj_attributes };
  const rtmax = r.u32();
  const rtpref = r.u32();
  const rtmult = r.u32();
  const wtmax = r.u32();
  const wtpref = r.u32();
  const wtmult = r.u32();
  const dtpref = r.u32();
  const maxfilesize = r.u64Saturated();
  const time_delta = decodeNfstime3(r);
  const properties = r.u32();
  const read = { rtmax, rtpref, rtmult };
  const write = { wtmax, wtpref, wtmult };
  return { status, obj_attributes, ...read, ...write, dtpref, maxfilesize, time_delta, properties };
}

export function encodeFSINFO3res(w: XdrWriter, res: FSINFO3res<bigint | number>): void {
  encodeStatusAttr(w, res.status, res.obj_attributes);
  if (res.status !== NFS3_OK) return;
  w.u32(res.rtmax);
  w.u32(res.rtpref);
  w.u32(res.rtmult);
  w.u32(res.wtmax);
  w.u32(res.wtpref);
  w.u32(res.wtmult);
  w.u32(res.dtpref);
  w.u64(res.maxfilesize);
  encodeNfstime3(w, res.time_delta);
  w.u32(res.properties);
}

// PATHCONF, RFC 1813 §3.3.20

export interface PATHCONF3resok<W = bigint> {
  status: typeof NFS3_OK;
  obj_attributes: fattr3<W> | null;
  linkmax: number;
  /** Bytes of the longest name. */
  name_max: number;
  no_trunc: boolean;
  chown_restricted: boolean;
  case_insensitive: boolean;
  case_preserving: boolean;
}

export type PATHCONF3res<W = bigint> = PATHCONF3resok<W> | Failed<{ obj_attributes: fattr3<W> | null }>;

export function decodePATHCONF3res(r: XdrReader): PATHCONF3res {
  const status = decodeStatus(r);
  const obj_attributes = decodePostOpAttr(r);
  if (status !== NFS3_OK) return { status, obj_attributes };
  const linkmax = r.u32();
  const name_max = r.u32();
  const no_trunc = r.bool();
  const chown_restricted = r.bool();
  const case_insensitive = r.bool();
  const case_preserving = r.bool();
  const names = { no_trunc, chown_restricted, case_insensitive, case_preserving };
  return { status, obj_attributes, linkmax, name_max, ...names };
}

export function encodePATHCONF3res(w: XdrWriter, res: PATHCONF3res<bigint | number>): void {
  encodeStatusAttr(w, res.status, res.obj_attributes);
  if (res.status !== NFS3_OK) return;
  w.u32(res.linkmax);
  w.u32(res.name_max);
  w.bool(res.no_trunc);
  w.bool(res.chown_restricted);
  w.bool(res.case_insensitive);
  w.bool(res.case_preserving);
}

// COMMIT, RFC 1813 §3.3.21

export type COMMIT3res<W = bigint> =
  | { status: typeof NFS3_OK; file_wcc: wcc_data<W>; verf: Uint8Array }
  | Failed<{ file_wcc: wcc_data<W> }>;

export function decodeCOMMIT3res(r: XdrReader): COMMIT3res {
  const status = decodeStatus(r);
  const file_wcc = decodeWccData(r);
  if (status !== NFS3_OK) return { status, file_wcc };
  return { status, file_wcc, verf: r.opaqueFixed(NFS3_WRITEVERFSIZE) };
}

export function encodeCOMMIT3res(w: XdrWriter, res: COMMIT3res<bigint | number>): void {
  w.u32(res.status);
  encodeWccData(w, res.file_wcc);
  if (res.status === NFS3_OK) w.opaqueFixed(res.verf);
}
