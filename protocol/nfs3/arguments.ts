// NFS version 3 (RFC 1813 §3.3): the arguments of the 22 procedures. A client encodes them, a server decodes.
//
// Decoders return views of the record for handles, names and data: valid as long as the record's buffer.
// They read the arguments and no further; a server then calls XdrReader.expectEnd().

import type { XdrReader, XdrWriter } from '../xdr.ts';
import type { diropargs3, nfs_fh3, nfspath3, nfstime3, sattr3, specdata3 } from './attributes.ts';
import {
  decodeDiropargs3,
  decodeFh3,
  decodeFtype3,
  decodeName3,
  decodeNfstime3,
  decodeSattr3,
  encodeDiropargs3,
  encodeNfstime3,
  encodeSattr3,
} from './attributes.ts';
import type { ftype3, stable_how } from './constants.ts';
import {
  EXCLUSIVE,
  FILE_SYNC,
  type GUARDED,
  NF3BLK,
  NF3CHR,
  NF3FIFO,
  NF3SOCK,
  NFS3_COOKIEVERFSIZE,
  NFS3_CREATEVERFSIZE,
  NFS3_IO_SIZE_MAX,
  UNCHECKED,
  UNSTABLE,
} from './constants.ts';

export interface GETATTR3args {
  object: nfs_fh3;
}

export function decodeGETATTR3args(r: XdrReader): GETATTR3args {
  return { object: decodeFh3(r) };
}

export function encodeGETATTR3args(w: XdrWriter, args: GETATTR3args): void {
  w.opaque(args.object);
}

export interface SETATTR3args {
  object: nfs_fh3;
  new_attributes: sattr3;
  /** RFC 1813 §3.3.2: sattrguard3. null: no check. */
  guard: nfstime3 | null;
}

export function decodeSETATTR3args(r: XdrReader): SETATTR3args {
  const object = decodeFh3(r);
  const new_attributes = decodeSattr3(r);
  return { object, new_attributes, guard: r.bool() ? decodeNfstime3(r) : null };
}

export function encodeSETATTR3args(w: XdrWriter, args: SETATTR3args): void {
  w.opaque(args.object);
  encodeSattr3(w, args.new_attributes);
  w.bool(args.guard !== null);
  if (args.guard !== null) encodeNfstime3(w, args.guard);
}

export interface LOOKUP3args {
  what: diropargs3;
}

export function decodeLOOKUP3args(r: XdrReader): LOOKUP3args {
  return { what: decodeDiropargs3(r) };
}

export function encodeLOOKUP3args(w: XdrWriter, args: LOOKUP3args): void {
  encodeDiropargs3(w, args.what);
}

export interface ACCESS3args {
  object: nfs_fh3;
  /** ACCESS3_* bits. */
  access: number;
}

export function decodeACCESS3args(r: XdrReader): ACCESS3args {
  const object = decodeFh3(r);
  return { object, access: r.u32() };
}

export function encodeACCESS3args(w: XdrWriter, args: ACCESS3args): void {
  w.opaque(args.object);
  w.u32(args.access);
}

export interface READLINK3args {
  symlink: nfs_fh3;
}

export function decodeREADLINK3args(r: XdrReader): READLINK3args {
  return { symlink: decodeFh3(r) };
}

export function encodeREADLINK3args(w: XdrWriter, args: READLINK3args): void {
  w.opaque(args.symlink);
}

export interface READ3args {
  file: nfs_fh3;
  offset: number | bigint;
  /** Bytes. Not limited here: a server may return less than it was asked for. */
  count: number;
}

export function decodeREAD3args(r: XdrReader): READ3args {
  const file = decodeFh3(r);
  const offset = r.u64Exact();
  return { file, offset, count: r.u32() };
}

export function encodeREAD3args(w: XdrWriter, args: READ3args): void {
  w.opaque(args.file);
  w.u64(args.offset);
  w.u32(args.count);
}

export interface WRITE3argsBehindFile {
  offset: number | bigint;
  /** Should equal data.length (RFC 1813 §3.3.7); a server answers NFS3ERR_INVAL where it does not. */
  count: number;
  stable: stable_how;
  data: Uint8Array;
}

export interface WRITE3args extends WRITE3argsBehindFile {
  file: nfs_fh3;
}

export function decodeWRITE3args(r: XdrReader): WRITE3args {
  return { file: decodeFh3(r), ...decodeWRITE3argsBehindFile(r) };
}

/** For a server, which need not keep the handle: it has read that already. */
export function decodeWRITE3argsBehindFile(r: XdrReader): WRITE3argsBehindFile {
  const offset = r.u64Exact();
  const count = r.u32();
  const stable = r.enumWithin('stable_how', UNSTABLE, FILE_SYNC) as stable_how;
  return { offset, count, stable, data: r.opaque(NFS3_IO_SIZE_MAX) };
}

export function encodeWRITE3args(w: XdrWriter, args: WRITE3args): void {
  encodeWRITE3argsBeforeData(w, args);
  w.opaqueFixed(args.data);
}

/**
 * All of WRITE3args up to the data's first byte: for a client that sends the data from where it lies. Its
 * padding (paddedSize(length) - length zeros) has to follow, and both count as outside for endRecord().
 */
export function encodeWRITE3argsBeforeData(w: XdrWriter, args: WRITE3args): void {
  w.opaque(args.file);
  w.u64(args.offset);
  w.u32(args.count);
  w.u32(args.stable);
  w.u32(args.data.length);
}

/** RFC 1813 §3.3.8: createhow3. */
export type createhow3 =
  | { mode: typeof UNCHECKED | typeof GUARDED; obj_attributes: sattr3 }
  | { mode: typeof EXCLUSIVE; verf: Uint8Array };

export interface CREATE3args {
  where: diropargs3;
  how: createhow3;
}

export function decodeCREATE3args(r: XdrReader): CREATE3args {
  const where = decodeDiropargs3(r);
  const mode = r.enumWithin('createmode3', UNCHECKED, EXCLUSIVE);
  if (mode === EXCLUSIVE) return { where, how: { mode, verf: r.opaqueFixed(NFS3_CREATEVERFSIZE) } };
  const how = { mode: mode as typeof UNCHECKED | typeof GUARDED, obj_attributes: decodeSattr3(r) };
  return { where, how };
}

export function encodeCREATE3args(w: XdrWriter, args: CREATE3args): void {
  encodeDiropargs3(w, args.where);
  w.u32(args.how.mode);
  if (args.how.mode === EXCLUSIVE) w.opaqueFixed(args.how.verf);
  else encodeSattr3(w, args.how.obj_attributes);
}

export interface MKDIR3args {
  where: diropargs3;
  attributes: sattr3;
}

export function decodeMKDIR3args(r: XdrReader): MKDIR3args {
  const where = decodeDiropargs3(r);
  return { where, attributes: decodeSattr3(r) };
}

export function encodeMKDIR3args(w: XdrWriter, args: MKDIR3args): void {
  encodeDiropargs3(w, args.where);
  encodeSattr3(w, args.attributes);
}

export interface SYMLINK3args {
  where: diropargs3;
  /** RFC 1813 §3.3.10: symlinkdata3. */
  symlink: { symlink_attributes: sattr3; symlink_data: nfspath3 };
}

export function decodeSYMLINK3args(r: XdrReader): SYMLINK3args {
  const where = decodeDiropargs3(r);
  const symlink_attributes = decodeSattr3(r);
  return { where, symlink: { symlink_attributes, symlink_data: decodeName3(r) } };
}

export function encodeSYMLINK3args(w: XdrWriter, args: SYMLINK3args): void {
  encodeDiropargs3(w, args.where);
  encodeSattr3(w, args.symlink.symlink_attributes);
  w.opaque(args.symlink.symlink_data);
}

/** RFC 1813 §3.3.11: mknoddata3. The last variant is what a server answers with NFS3ERR_BADTYPE. */
export type mknoddata3 =
  | { type: typeof NF3CHR | typeof NF3BLK; dev_attributes: sattr3; spec: specdata3 }
  | { type: typeof NF3SOCK | typeof NF3FIFO; pipe_attributes: sattr3 }
  | { type: Exclude<ftype3, typeof NF3CHR | typeof NF3BLK | typeof NF3SOCK | typeof NF3FIFO> };

export interface MKNOD3args {
  where: diropargs3;
  what: mknoddata3;
}

export function decodeMKNOD3args(r: XdrReader): MKNOD3args {
  const where = decodeDiropargs3(r);
  return { where, what: decodeMknoddata3(r) };
}

function decodeMknoddata3(r: XdrReader): mknoddata3 {
  const type = decodeFtype3(r);
  switch (type) {
    case NF3CHR:
    case NF3BLK: {
      const dev_attributes = decodeSattr3(r);
      const specdata1 = r.u32();
      return { type, dev_attributes, spec: { specdata1, specdata2: r.u32() } };
    }
    case NF3SOCK:
    case NF3FIFO:
      return { type, pipe_attributes: decodeSattr3(r) };
    default:
      return { type };
  }
}

export function encodeMKNOD3args(w: XdrWriter, args: MKNOD3args): void {
  encodeDiropargs3(w, args.where);
  const { what } = args;
  w.u32(what.type);
  if (what.type === NF3CHR || what.type === NF3BLK) {
    encodeSattr3(w, what.dev_attributes);
    w.u32(what.spec.specdata1);
    w.u32(what.spec.specdata2);
  } else if (what.type === NF3SOCK || what.type === NF3FIFO) {
    encodeSattr3(w, what.pipe_attributes);
  }
}

export interface REMOVE3args {
  object: diropargs3;
}

export function decodeREMOVE3args(r: XdrReader): REMOVE3args {
  return { object: decodeDiropargs3(r) };
}

export function encodeREMOVE3args(w: XdrWriter, args: REMOVE3args): void {
  encodeDiropargs3(w, args.object);
}

export interface RMDIR3args {
  object: diropargs3;
}

export function decodeRMDIR3args(r: XdrReader): RMDIR3args {
  return { object: decodeDiropargs3(r) };
}

export function encodeRMDIR3args(w: XdrWriter, args: RMDIR3args): void {
  encodeDiropargs3(w, args.object);
}

export interface RENAME3args {
  from: diropargs3;
  to: diropargs3;
}

export function decodeRENAME3args(r: XdrReader): RENAME3args {
  const from = decodeDiropargs3(r);
  return { from, to: decodeDiropargs3(r) };
}

export function encodeRENAME3args(w: XdrWriter, args: RENAME3args): void {
  encodeDiropargs3(w, args.from);
  encodeDiropargs3(w, args.to);
}

export interface LINK3args {
  file: nfs_fh3;
  link: diropargs3;
}

export function decodeLINK3args(r: XdrReader): LINK3args {
  const file = decodeFh3(r);
  return { file, link: decodeDiropargs3(r) };
}

export function encodeLINK3args(w: XdrWriter, args: LINK3args): void {
  w.opaque(args.file);
  encodeDiropargs3(w, args.link);
}

export interface READDIR3args {
  dir: nfs_fh3;
  cookie: bigint;
  cookieverf: Uint8Array;
  /** Bytes of the largest READDIR3resok. */
  count: number;
}

export function decodeREADDIR3args(r: XdrReader): READDIR3args {
  const dir = decodeFh3(r);
  const cookie = r.u64();
  const cookieverf = r.opaqueFixed(NFS3_COOKIEVERFSIZE);
  return { dir, cookie, cookieverf, count: r.u32() };
}

export function encodeREADDIR3args(w: XdrWriter, args: READDIR3args): void {
  w.opaque(args.dir);
  w.u64(args.cookie);
  w.opaqueFixed(args.cookieverf);
  w.u32(args.count);
}

export interface READDIRPLUS3args {
  dir: nfs_fh3;
  cookie: bigint;
  cookieverf: Uint8Array;
  /** Bytes of the most names, fileids and cookies that are wanted. */
  dircount: number;
  /** Bytes of the largest READDIRPLUS3resok. */
  maxcount: number;
}

export function decodeREADDIRPLUS3args(r: XdrReader): READDIRPLUS3args {
  const dir = decodeFh3(r);
  const cookie = r.u64();
  const cookieverf = r.opaqueFixed(NFS3_COOKIEVERFSIZE);
  const dircount = r.u32();
  return { dir, cookie, cookieverf, dircount, maxcount: r.u32() };
}

export function encodeREADDIRPLUS3args(w: XdrWriter, args: READDIRPLUS3args): void {
  w.opaque(args.dir);
  w.u64(args.cookie);
  w.opaqueFixed(args.cookieverf);
  w.u32(args.dircount);
  w.u32(args.maxcount);
}

export interface FSSTAT3args {
  fsroot: nfs_fh3;
}

export function decodeFSSTAT3args(r: XdrReader): FSSTAT3args {
  return { fsroot: decodeFh3(r) };
}

export function encodeFSSTAT3args(w: XdrWriter, args: FSSTAT3args): void {
  w.opaque(args.fsroot);
}

export interface FSINFO3args {
  fsroot: nfs_fh3;
}

export function decodeFSINFO3args(r: XdrReader): FSINFO3args {
  return { fsroot: decodeFh3(r) };
}

export function encodeFSINFO3args(w: XdrWriter, args: FSINFO3args): void {
  w.opaque(args.fsroot);
}

export interface PATHCONF3args {
  object: nfs_fh3;
}

export function decodePATHCONF3args(r: XdrReader): PATHCONF3args {
  return { object: decodeFh3(r) };
}

export function encodePATHCONF3args(w: XdrWriter, args: PATHCONF3args): void {
  w.opaque(args.object);
}

export interface COMMIT3args {
  file: nfs_fh3;
  offset: number | bigint;
  /** Bytes; 0 means up to the end of the file. */
  count: number;
}

export function decodeCOMMIT3args(r: XdrReader): COMMIT3args {
  const file = decodeFh3(r);
  const offset = r.u64Exact();
  return { file, offset, count: r.u32() };
}

export function encodeCOMMIT3args(w: XdrWriter, args: COMMIT3args): void {
  w.opaque(args.file);
  w.u64(args.offset);
  w.u32(args.count);
}
