/** NFS version 3 (RFC 1813): numbers and limits, spelled as in the RFC so that a search leads there. */

/** RFC 1813 §2.2 and the IANA registry. */
export const NFS_PROGRAM = 100003;
export const NFS_V3 = 3;

/** RFC 1813 §2.4: bytes of the longest file handle. */
export const NFS3_FHSIZE = 64;
/** Bytes of the directory cookie verifier, the exclusive-create verifier and the write verifier. */
export const NFS3_COOKIEVERFSIZE = 8;
export const NFS3_CREATEVERFSIZE = 8;
export const NFS3_WRITEVERFSIZE = 8;

/** Bytes of the longest READ or WRITE we take part in (rtmax, wtmax of FSINFO). */
export const NFS3_IO_SIZE_MAX = 1024 * 1024;
/** Bytes of the longest symbolic link's text. The RFC has no limit; this is Linux' PATH_MAX. */
export const NFS3_PATH_SIZE_MAX = 4096;
/**
 * Bytes of the longest RPC record. A WRITE of NFS3_IO_SIZE_MAX with both authentication bodies at their limit, or two names or a
 * path far beyond any file system's limit, fit. So these get NFS3ERR_NAMETOOLONG and not a closed connection.
 */
export const NFS3_RECORD_SIZE_MAX = NFS3_IO_SIZE_MAX + 16 * 1024;

/** RFC 1813 §3: procedure numbers. */
export const nfsproc3 = {
  NULL: 0,
  GETATTR: 1,
  SETATTR: 2,
  LOOKUP: 3,
  ACCESS: 4,
  READLINK: 5,
  READ: 6,
  WRITE: 7,
  CREATE: 8,
  MKDIR: 9,
  SYMLINK: 10,
  MKNOD: 11,
  REMOVE: 12,
  RMDIR: 13,
  RENAME: 14,
  LINK: 15,
  READDIR: 16,
  READDIRPLUS: 17,
  FSSTAT: 18,
  FSINFO: 19,
  PATHCONF: 20,
  COMMIT: 21,
} as const;
export type nfsproc3 = (typeof nfsproc3)[keyof typeof nfsproc3];
export type nfsproc3Name = keyof typeof nfsproc3;

export const {
  NULL: NFSPROC3_NULL,
  GETATTR: NFSPROC3_GETATTR,
  SETATTR: NFSPROC3_SETATTR,
  LOOKUP: NFSPROC3_LOOKUP,
  ACCESS: NFSPROC3_ACCESS,
  READLINK: NFSPROC3_READLINK,
  READ: NFSPROC3_READ,
  WRITE: NFSPROC3_WRITE,
  CREATE: NFSPROC3_CREATE,
  MKDIR: NFSPROC3_MKDIR,
  SYMLINK: NFSPROC3_SYMLINK,
  MKNOD: NFSPROC3_MKNOD,
  REMOVE: NFSPROC3_REMOVE,
  RMDIR: NFSPROC3_RMDIR,
  RENAME: NFSPROC3_RENAME,
  LINK: NFSPROC3_LINK,
  READDIR: NFSPROC3_READDIR,
  READDIRPLUS: NFSPROC3_READDIRPLUS,
  FSSTAT: NFSPROC3_FSSTAT,
  FSINFO: NFSPROC3_FSINFO,
  PATHCONF: NFSPROC3_PATHCONF,
  COMMIT: NFSPROC3_COMMIT,
} = nfsproc3;

/** RFC 1813 §2.6: error numbers. */
export const nfsstat3 = {
  NFS3_OK: 0,
  NFS3ERR_PERM: 1,
  NFS3ERR_NOENT: 2,
  NFS3ERR_IO: 5,
  NFS3ERR_NXIO: 6,
  NFS3ERR_ACCES: 13,
  NFS3ERR_EXIST: 17,
  NFS3ERR_XDEV: 18,
  NFS3ERR_NODEV: 19,
  NFS3ERR_NOTDIR: 20,
  NFS3ERR_ISDIR: 21,
  NFS3ERR_INVAL: 22,
  NFS3ERR_FBIG: 27,
  NFS3ERR_NOSPC: 28,
  NFS3ERR_ROFS: 30,
  NFS3ERR_MLINK: 31,
  NFS3ERR_NAMETOOLONG: 63,
  NFS3ERR_NOTEMPTY: 66,
  NFS3ERR_DQUOT: 69,
  NFS3ERR_STALE: 70,
  NFS3ERR_REMOTE: 71,
  NFS3ERR_BADHANDLE: 10001,
  NFS3ERR_NOT_SYNC: 10002,
  NFS3ERR_BAD_COOKIE: 10003,
  NFS3ERR_NOTSUPP: 10004,
  NFS3ERR_TOOSMALL: 10005,
  NFS3ERR_SERVERFAULT: 10006,
  NFS3ERR_BADTYPE: 10007,
  NFS3ERR_JUKEBOX: 10008,
} as const;
export type nfsstat3 = (typeof nfsstat3)[keyof typeof nfsstat3];
/** Every status but NFS3_OK. A decoder may also deliver a number that the RFC does not list. */
export type nfsstat3_error = Exclude<nfsstat3, 0>;

export const {
  NFS3_OK,
  NFS3ERR_PERM,
  NFS3ERR_NOENT,
  NFS3ERR_IO,
  NFS3ERR_NXIO,
  NFS3ERR_ACCES,
  NFS3ERR_EXIST,
  NFS3ERR_XDEV,
  NFS3ERR_NODEV,
  NFS3ERR_NOTDIR,
  NFS3ERR_ISDIR,
  NFS3ERR_INVAL,
  NFS3ERR_FBIG,
  NFS3ERR_NOSPC,
  NFS3ERR_ROFS,
  NFS3ERR_MLINK,
  NFS3ERR_NAMETOOLONG,
  NFS3ERR_NOTEMPTY,
  NFS3ERR_DQUOT,
  NFS3ERR_STALE,
  NFS3ERR_REMOTE,
  NFS3ERR_BADHANDLE,
  NFS3ERR_NOT_SYNC,
  NFS3ERR_BAD_COOKIE,
  NFS3ERR_NOTSUPP,
  NFS3ERR_TOOSMALL,
  NFS3ERR_SERVERFAULT,
  NFS3ERR_BADTYPE,
  NFS3ERR_JUKEBOX,
} = nfsstat3;

const statusNames = new Map<number, string>(Object.entries(nfsstat3).map(([name, value]) => [value, name]));
const procedureNames = new Map<number, string>(
  Object.entries(nfsproc3).map(([name, value]) => [value, name]),
);

/** For logs and error texts: `NFS3ERR_STALE`, or `nfsstat3 4711` for a number that the RFC does not list. */
export function nfsstat3Name(status: number): string {
  return statusNames.get(status) ?? `nfsstat3 ${status}`;
}

/** For logs and metrics: `GETATTR`, or `procedure 4711`. */
export function nfsproc3Name(procedure: number): string {
  return procedureNames.get(procedure) ?? `procedure ${procedure}`;
}

/** RFC 1813 §2.6: ftype3. */
export const ftype3 = {
  NF3REG: 1,
  NF3DIR: 2,
  NF3BLK: 3,
  NF3CHR: 4,
  NF3LNK: 5,
  NF3SOCK: 6,
  NF3FIFO: 7,
} as const;
export type ftype3 = (typeof ftype3)[keyof typeof ftype3];
export const { NF3REG, NF3DIR, NF3BLK, NF3CHR, NF3LNK, NF3SOCK, NF3FIFO } = ftype3;

/** RFC 1813 §2.6: time_how. */
export const DONT_CHANGE = 0;
export const SET_TO_SERVER_TIME = 1;
export const SET_TO_CLIENT_TIME = 2;

/** RFC 1813 §3.3.4: bits of ACCESS. */
export const ACCESS3_READ = 0x0001;
export const ACCESS3_LOOKUP = 0x0002;
export const ACCESS3_MODIFY = 0x0004;
export const ACCESS3_EXTEND = 0x0008;
export const ACCESS3_DELETE = 0x0010;
export const ACCESS3_EXECUTE = 0x0020;

/** RFC 1813 §3.3.7: stable_how. */
export const stable_how = { UNSTABLE: 0, DATA_SYNC: 1, FILE_SYNC: 2 } as const;
export type stable_how = (typeof stable_how)[keyof typeof stable_how];
export const { UNSTABLE, DATA_SYNC, FILE_SYNC } = stable_how;

/** RFC 1813 §3.3.8: createmode3. */
export const createmode3 = { UNCHECKED: 0, GUARDED: 1, EXCLUSIVE: 2 } as const;
export type createmode3 = (typeof createmode3)[keyof typeof createmode3];
export const { UNCHECKED, GUARDED, EXCLUSIVE } = createmode3;

/** RFC 1813 §3.3.19: properties of FSINFO. */
export const FSF3_LINK = 0x0001;
export const FSF3_SYMLINK = 0x0002;
export const FSF3_HOMOGENEOUS = 0x0008;
export const FSF3_CANSETTIME = 0x0010;
