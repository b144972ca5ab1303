/** NFS version 3 (RFC 1813 §2.5, §2.6): file handles, attributes and what surrounds every result. */

import type { XdrReader, XdrWriter } from '../xdr.ts';
import { XdrError, xdrFault } from '../xdr.ts';
import {
  enumWithin,
  offset,
  opaque,
  optional,
  size,
  struct,
  u32,
  type Value,
  type Xdr,
} from '../xdr-types.ts';
import type { ftype3 } from './constants.ts';
import {
  DONT_CHANGE,
  NF3FIFO,
  NF3REG,
  NFS3_FHSIZE,
  SET_TO_CLIENT_TIME,
  SET_TO_SERVER_TIME,
} from './constants.ts';

// Names, paths and handles are bytes: neither the protocol nor Unix promises an encoding.

export type nfs_fh3 = Uint8Array;
export const nfs_fh3: Xdr<Uint8Array> = opaque(NFS3_FHSIZE);

/** Only the record bounds a name here: too long a name is NFS3ERR_NAMETOOLONG, which is the server's to say. */
export const filename3 = opaque();

export type diropargs3 = Value<typeof diropargs3>;
export const diropargs3 = struct({ dir: nfs_fh3, name: filename3 });

export interface nfstime3 {
  seconds: number;
  nseconds: number;
}
/** Written out, like fattr3: a client decodes three of them for each entry of a listing. */
export const nfstime3: Xdr<nfstime3> = {
  encode: (w, { seconds, nseconds }) => {
    w.u32(seconds);
    w.u32(nseconds);
  },
  decode: (r) => {
    const seconds = r.u32();
    return { seconds, nseconds: r.u32() };
  },
};

export type specdata3 = Value<typeof specdata3>;
export const specdata3 = struct({ specdata1: u32, specdata2: u32 });

export const ftype3_xdr: Xdr<ftype3> = enumWithin<ftype3>('ftype3', NF3REG, NF3FIFO);

export interface fattr3 {
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
  fsid: bigint;
  fileid: bigint;
  atime: nfstime3;
  mtime: nfstime3;
  ctime: nfstime3;
}

/** Bytes of an encoded fattr3. */
export const FATTR3_SIZE = 84;
/** Bytes of an encoded post_op_attr that is present. */
export const POST_OP_ATTR_SIZE = 4 + FATTR3_SIZE;

export const fattr3: Xdr<fattr3> = {
  encode: (w, a) => {
    w.ensure(FATTR3_SIZE);
    w.u32(a.type);
    w.u32(a.mode);
    w.u32(a.nlink);
    w.u32(a.uid);
    w.u32(a.gid);
    w.u64(a.size);
    w.u64(a.used);
    specdata3.encode(w, a.rdev);
    w.u64(a.fsid);
    w.u64(a.fileid);
    nfstime3.encode(w, a.atime);
    nfstime3.encode(w, a.mtime);
    nfstime3.encode(w, a.ctime);
  },
  decode: (r) => {
    const type = ftype3_xdr.decode(r);
    const mode = r.u32();
    const nlink = r.u32();
    const uid = r.u32();
    const gid = r.u32();
    const size = r.u64Saturated();
    const used = r.u64Saturated();
    const specdata1 = r.u32();
    const rdev = { specdata1, specdata2: r.u32() };
    const fsid = r.u64();
    const fileid = r.u64();
    const atime = nfstime3.decode(r);
    const mtime = nfstime3.decode(r);
    const ctime = nfstime3.decode(r);
    return { type, mode, nlink, uid, gid, size, used, rdev, fsid, fileid, atime, mtime, ctime };
  },
};

export const post_op_attr = optional(fattr3);
export const post_op_fh3 = optional(nfs_fh3);

/** RFC 1813 §2.6: wcc_attr, the attributes by which a client recognises its own change. */
const wcc_attr = struct({ size, mtime: nfstime3, ctime: nfstime3 });
export type wcc_data = Value<typeof wcc_data>;
export const wcc_data = struct({ before: optional(wcc_attr), after: post_op_attr });

export type set_time =
  | { how: typeof DONT_CHANGE }
  | { how: typeof SET_TO_SERVER_TIME }
  | { how: typeof SET_TO_CLIENT_TIME; time: nfstime3 };
const set_time: Xdr<set_time> = { encode: encodeSetTime, decode: decodeSetTime };

function encodeSetTime(w: XdrWriter, set: set_time): void {
  w.u32(set.how);
  if (set.how === SET_TO_CLIENT_TIME) nfstime3.encode(w, set.time);
}

function decodeSetTime(r: XdrReader): set_time {
  const how = r.u32();
  if (how === DONT_CHANGE || how === SET_TO_SERVER_TIME) return { how };
  if (how === SET_TO_CLIENT_TIME) return { how, time: nfstime3.decode(r) };
  throw new XdrError(xdrFault.badEnum, `${how} is no time_how`);
}

/** RFC 1813 §2.6: sattr3. null: leave unchanged. */
export type sattr3 = Value<typeof sattr3>;
export const sattr3 = struct({
  mode: optional(u32),
  uid: optional(u32),
  gid: optional(u32),
  size: optional(offset),
  atime: set_time,
  mtime: set_time,
});

/** A sattr3 that changes nothing: what a create sends that leaves all to the server. */
export const SATTR3_NOTHING: Readonly<sattr3> = {
  mode: null,
  uid: null,
  gid: null,
  size: null,
  atime: { how: DONT_CHANGE },
  mtime: { how: DONT_CHANGE },
};
