/** NFS version 3 (RFC 1813 §3.3): arguments and results of the 22 procedures, each described once for client and server. */

import type { XdrReader, XdrWriter } from '../xdr.ts';
import {
  bool,
  enumWithin,
  list,
  offset,
  opaque,
  opaqueFixed,
  optional,
  result as resultOf,
  size,
  struct,
  u32,
  u64,
  type Value,
  type Xdr,
} from '../xdr-types.ts';
import {
  diropargs3,
  fattr3,
  filename3,
  ftype3_xdr,
  nfs_fh3,
  nfstime3,
  post_op_attr,
  post_op_fh3,
  sattr3,
  specdata3,
  wcc_data,
} from './attributes.ts';
import {
  EXCLUSIVE,
  FILE_SYNC,
  type ftype3,
  type GUARDED,
  NF3BLK,
  NF3CHR,
  NF3FIFO,
  NF3SOCK,
  NFS3_COOKIEVERFSIZE,
  NFS3_CREATEVERFSIZE,
  NFS3_IO_SIZE_MAX,
  NFS3_PATH_SIZE_MAX,
  NFS3_WRITEVERFSIZE,
  type nfsproc3,
  type nfsstat3,
  nfsproc3 as numbers,
  type stable_how,
  UNCHECKED,
  UNSTABLE,
} from './constants.ts';

// A server reads the arguments of what makes up most of the traffic (a handle, an offset) without an object, and writes results
// straight from the kernel's structures (fileserver/nfs3); a client uses what is here.

const stable = enumWithin<stable_how>('stable_how', UNSTABLE, FILE_SYNC);
const data = opaque(NFS3_IO_SIZE_MAX);
const cookieverf = opaqueFixed(NFS3_COOKIEVERFSIZE);
const writeverf = opaqueFixed(NFS3_WRITEVERFSIZE);

/** RFC 1813 §3.3.7: WRITE3args without the handle. */
export interface WRITE3argsBehindFile {
  offset: number | bigint;
  /** Should equal data.length; a server answers NFS3ERR_INVAL where it does not. */
  count: number;
  stable: stable_how;
  data: Uint8Array;
}

export interface WRITE3args extends WRITE3argsBehindFile {
  file: nfs_fh3;
}

/** For a server, which need not keep the handle: it has read that already. */
export function decodeWRITE3argsBehindFile(r: XdrReader): WRITE3argsBehindFile {
  const at = r.u64Exact();
  const count = r.u32();
  const how = stable.decode(r);
  return { offset: at, count, stable: how, data: data.decode(r) };
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

const WRITE3args: Xdr<WRITE3args> = {
  encode: (w, args) => {
    encodeWRITE3argsBeforeData(w, args);
    w.opaqueFixed(args.data);
  },
  decode: (r) => ({ file: nfs_fh3.decode(r), ...decodeWRITE3argsBehindFile(r) }),
};

/** RFC 1813 §3.3.8: createhow3. */
export type createhow3 =
  | { mode: typeof UNCHECKED | typeof GUARDED; obj_attributes: sattr3 }
  | { mode: typeof EXCLUSIVE; verf: Uint8Array };
const createhow3: Xdr<createhow3> = {
  encode: (w, how) => {
    w.u32(how.mode);
    if (how.mode === EXCLUSIVE) w.opaqueFixed(how.verf);
    else sattr3.encode(w, how.obj_attributes);
  },
  decode: (r) => {
    const mode = r.enumWithin('createmode3', UNCHECKED, EXCLUSIVE);
    if (mode === EXCLUSIVE) return { mode, verf: r.opaqueFixed(NFS3_CREATEVERFSIZE) };
    return { mode: mode as typeof UNCHECKED | typeof GUARDED, obj_attributes: sattr3.decode(r) };
  },
};

/** RFC 1813 §3.3.11: mknoddata3. The last variant is what a server answers with NFS3ERR_BADTYPE. */
export type mknoddata3 =
  | { type: typeof NF3CHR | typeof NF3BLK; dev_attributes: sattr3; spec: specdata3 }
  | { type: typeof NF3SOCK | typeof NF3FIFO; pipe_attributes: sattr3 }
  | { type: Exclude<ftype3, typeof NF3CHR | typeof NF3BLK | typeof NF3SOCK | typeof NF3FIFO> };
const mknoddata3: Xdr<mknoddata3> = {
  encode: (w, what) => {
    w.u32(what.type);
    if (what.type === NF3CHR || what.type === NF3BLK) {
      sattr3.encode(w, what.dev_attributes);
      specdata3.encode(w, what.spec);
    } else if (what.type === NF3SOCK || what.type === NF3FIFO) sattr3.encode(w, what.pipe_attributes);
  },
  decode: (r) => {
    const type = ftype3_xdr.decode(r);
    switch (type) {
      case NF3CHR:
      case NF3BLK: {
        const dev_attributes = sattr3.decode(r);
        return { type, dev_attributes, spec: specdata3.decode(r) };
      }
      case NF3SOCK:
      case NF3FIFO:
        return { type, pipe_attributes: sattr3.decode(r) };
      default:
        return { type };
    }
  },
};

const entry3 = struct({ fileid: u64, name: filename3, cookie: u64 });
export type entry3 = Value<typeof entry3>;
const entryplus3 = struct({
  fileid: u64,
  name: filename3,
  cookie: u64,
  name_attributes: post_op_attr,
  name_handle: post_op_fh3,
});
export type entryplus3 = Value<typeof entryplus3>;

// biome-ignore lint/suspicious/noExplicitAny: as in xdr-types.ts.
type Fields = Readonly<Record<string, Xdr<any>>>;
const result = <Ok extends Fields, Failed extends Fields>(ok: Ok, failed: Failed) =>
  resultOf<nfsstat3, Ok, Failed>(ok, failed);

function procedure<Args, Res>(proc: nfsproc3, args: Xdr<Args>, res: Xdr<Res>) {
  return { proc, args, res };
}

/** Success and failure have the same fields. */
const same = <F extends Fields>(fields: F) => struct({ status: u32 as Xdr<nfsstat3>, ...fields });

const objectOnly = struct({ object: nfs_fh3 });
const entryOnly = struct({ object: diropargs3 });
const fsrootOnly = struct({ fsroot: nfs_fh3 });
const dir_wcc = { dir_wcc: wcc_data };
const obj_attributes = { obj_attributes: post_op_attr };
const dir_attributes = { dir_attributes: post_op_attr };
const removed = same(dir_wcc);
const created = result({ obj: post_op_fh3, ...obj_attributes, ...dir_wcc }, dir_wcc);
const renamed = same({ fromdir_wcc: wcc_data, todir_wcc: wcc_data });
const linked = same({ file_attributes: post_op_attr, linkdir_wcc: wcc_data });

/** All but NULL, which has neither arguments nor results. */
const procedures = {
  GETATTR: procedure(numbers.GETATTR, objectOnly, result({ obj_attributes: fattr3 }, {})),
  SETATTR: procedure(
    numbers.SETATTR,
    // sattrguard3; null: no check.
    struct({ object: nfs_fh3, new_attributes: sattr3, guard: optional(nfstime3) }),
    same({ obj_wcc: wcc_data }),
  ),
  LOOKUP: procedure(
    numbers.LOOKUP,
    struct({ what: diropargs3 }),
    result({ object: nfs_fh3, ...obj_attributes, ...dir_attributes }, dir_attributes),
  ),
  ACCESS: procedure(
    numbers.ACCESS,
    struct({ object: nfs_fh3, access: u32 }),
    result({ ...obj_attributes, access: u32 }, obj_attributes),
  ),
  READLINK: procedure(
    numbers.READLINK,
    struct({ symlink: nfs_fh3 }),
    result(
      { symlink_attributes: post_op_attr, data: opaque(NFS3_PATH_SIZE_MAX) },
      { symlink_attributes: post_op_attr },
    ),
  ),
  READ: procedure(
    numbers.READ,
    // count is not limited here: a server may return less than it was asked for.
    struct({ file: nfs_fh3, offset, count: u32 }),
    result({ file_attributes: post_op_attr, count: u32, eof: bool, data }, { file_attributes: post_op_attr }),
  ),
  WRITE: procedure(
    numbers.WRITE,
    WRITE3args,
    result({ file_wcc: wcc_data, count: u32, committed: stable, verf: writeverf }, { file_wcc: wcc_data }),
  ),
  CREATE: procedure(numbers.CREATE, struct({ where: diropargs3, how: createhow3 }), created),
  MKDIR: procedure(numbers.MKDIR, struct({ where: diropargs3, attributes: sattr3 }), created),
  SYMLINK: procedure(
    numbers.SYMLINK,
    struct({
      where: diropargs3,
      symlink: struct({ symlink_attributes: sattr3, symlink_data: opaque() }),
    }),
    created,
  ),
  MKNOD: procedure(numbers.MKNOD, struct({ where: diropargs3, what: mknoddata3 }), created),
  REMOVE: procedure(numbers.REMOVE, entryOnly, removed),
  RMDIR: procedure(numbers.RMDIR, entryOnly, removed),
  RENAME: procedure(numbers.RENAME, struct({ from: diropargs3, to: diropargs3 }), renamed),
  LINK: procedure(numbers.LINK, struct({ file: nfs_fh3, link: diropargs3 }), linked),
  READDIR: procedure(
    numbers.READDIR,
    // count: bytes of the largest READDIR3resok.
    struct({ dir: nfs_fh3, cookie: u64, cookieverf, count: u32 }),
    result({ ...dir_attributes, cookieverf, entries: list(entry3), eof: bool }, dir_attributes),
  ),
  READDIRPLUS: procedure(
    numbers.READDIRPLUS,
    // dircount: bytes of the most names, fileids and cookies that are wanted. maxcount: of the largest READDIRPLUS3resok.
    struct({ dir: nfs_fh3, cookie: u64, cookieverf, dircount: u32, maxcount: u32 }),
    result({ ...dir_attributes, cookieverf, entries: list(entryplus3), eof: bool }, dir_attributes),
  ),
  FSSTAT: procedure(
    numbers.FSSTAT,
    fsrootOnly,
    result(
      {
        ...obj_attributes,
        // Bytes: in all, free, free for this user. Files likewise.
        tbytes: size,
        fbytes: size,
        abytes: size,
        tfiles: size,
        ffiles: size,
        afiles: size,
        // Seconds for which this is not expected to change.
        invarsec: u32,
      },
      obj_attributes,
    ),
  ),
  FSINFO: procedure(
    numbers.FSINFO,
    fsrootOnly,
    result(
      {
        ...obj_attributes,
        // Bytes: largest, preferred, and unit of READ; likewise WRITE; preferred READDIR; largest file.
        rtmax: u32,
        rtpref: u32,
        rtmult: u32,
        wtmax: u32,
        wtpref: u32,
        wtmult: u32,
        dtpref: u32,
        maxfilesize: size,
        time_delta: nfstime3,
        // FSF3_* bits.
        properties: u32,
      },
      obj_attributes,
    ),
  ),
  PATHCONF: procedure(
    numbers.PATHCONF,
    objectOnly,
    result(
      {
        ...obj_attributes,
        linkmax: u32,
        // Bytes of the longest name.
        name_max: u32,
        no_trunc: bool,
        chown_restricted: bool,
        case_insensitive: bool,
        case_preserving: bool,
      },
      obj_attributes,
    ),
  ),
  COMMIT: procedure(
    numbers.COMMIT,
    // count: bytes; 0 means up to the end of the file.
    struct({ file: nfs_fh3, offset, count: u32 }),
    result({ file_wcc: wcc_data, verf: writeverf }, { file_wcc: wcc_data }),
  ),
} as const;

export type Nfs3Name = keyof typeof procedures;
export type Nfs3Calls = {
  [Name in Nfs3Name]: {
    args: Value<(typeof procedures)[Name]['args']>;
    res: Value<(typeof procedures)[Name]['res']>;
  };
};

/** For code that treats all procedures alike, too: `Name` may be a type parameter there. */
export const nfs3Procedures: {
  readonly [Name in Nfs3Name]: {
    readonly proc: nfsproc3;
    readonly args: Xdr<Nfs3Calls[Name]['args']>;
    readonly res: Xdr<Nfs3Calls[Name]['res']>;
  };
} = procedures;
