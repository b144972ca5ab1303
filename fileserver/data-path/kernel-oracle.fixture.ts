/** What system calls of a user do and find, in the terms of NFSv3: the oracle of differential.fixture.ts. */
import { readSync, writeSync } from 'node:fs';
import { constants } from 'node:os';
import * as nfs from '../../protocol/nfs3.ts';
import { truncate } from '../system/data-calls.ts';
import { DirectoryReader } from '../system/directory-entries.ts';
import * as calls from '../system/file-calls.ts';
import { OPEN } from '../system/open-gate.fixture.ts';
import * as statx from '../system/statx.ts';
import {
  accessOf,
  become,
  type Identity,
  R_OK,
  SERVER_IDENTITY,
  W_OK,
  X_OK,
} from '../system/thread-identity.ts';
import { userCredential } from './rpc-client.fixture.ts';

// Where NFSv3 itself wants something else than POSIX, the local side is told so here, in one place each:
//   - an object whose last name is gone is NFS3ERR_STALE (`isGone`)
//   - a file's owner may read and write it, and who may execute it may read it (`mayOpen`; RFC 1813 §4.4)
//   - WRITE says what the object is before it looks at permissions (`writeLocal`)
//   - the mode of a symbolic link can't be set, and that is no error (`changeModeLocal`)

const { errno: E } = constants;
const { nfsstat3 } = nfs;

/** RFC 1813 §2.6 beside errno(3), written down independently of the server's two tables. */
const STATUS_OF_ERRNO = new Map<number, number>([
  [E.EPERM, nfsstat3.NFS3ERR_PERM],
  [E.ENOENT, nfsstat3.NFS3ERR_NOENT],
  [E.EACCES, nfsstat3.NFS3ERR_ACCES],
  [E.EEXIST, nfsstat3.NFS3ERR_EXIST],
  [E.EXDEV, nfsstat3.NFS3ERR_XDEV],
  [E.ENOTDIR, nfsstat3.NFS3ERR_NOTDIR],
  [E.EISDIR, nfsstat3.NFS3ERR_ISDIR],
  [E.EINVAL, nfsstat3.NFS3ERR_INVAL],
  [E.EFBIG, nfsstat3.NFS3ERR_FBIG],
  [E.ENOSPC, nfsstat3.NFS3ERR_NOSPC],
  [E.EMLINK, nfsstat3.NFS3ERR_MLINK],
  [E.ENAMETOOLONG, nfsstat3.NFS3ERR_NAMETOOLONG],
  [E.ENOTEMPTY, nfsstat3.NFS3ERR_NOTEMPTY],
  [E.ESTALE, nfsstat3.NFS3ERR_STALE],
]);

export function statusOf(result: number): number {
  if (result >= 0) return nfs.NFS3_OK;
  const status = STATUS_OF_ERRNO.get(-result);
  if (status === undefined) throw new Error(`errno ${-result} is new here`);
  return status;
}

/** One object in both worlds. The descriptor is an O_PATH one. */
export interface Twin {
  readonly handle: Uint8Array;
  readonly fd: number;
}

export interface User {
  readonly identity: Identity;
  readonly credential: ReturnType<typeof userCredential>;
}

export function user(uid: number, gid: number, groups: readonly number[]): User {
  return { identity: { uid, gid, groups }, credential: userCredential(uid, gid, [...groups]) };
}

export function as<T>(identity: Identity, work: () => T): T {
  become(identity);
  try {
    return work();
  } finally {
    become(SERVER_IDENTITY);
  }
}

export interface Attributes {
  readonly type: number;
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  /** Of files and symbolic links; a directory's is its file system's own affair. */
  readonly size: number | null;
  readonly device: string;
  readonly mtime: bigint;
  readonly ctime: bigint;
  readonly atime: bigint;
}

const LOCAL_TYPE = new Map<number, number>([
  [statx.S_IFREG, nfs.NF3REG],
  [statx.S_IFDIR, nfs.NF3DIR],
  [statx.S_IFBLK, nfs.NF3BLK],
  [statx.S_IFCHR, nfs.NF3CHR],
  [statx.S_IFLNK, nfs.NF3LNK],
  [statx.S_IFSOCK, nfs.NF3SOCK],
  [statx.S_IFIFO, nfs.NF3FIFO],
]);

const stat = new statx.StatBuffer();

export function localAttributes(fd: number): Attributes {
  if (stat.ofFd(fd) < 0) throw new Error('statx');
  const { view } = stat;
  const time = (at: number): bigint =>
    view.getBigInt64(at, true) * 1_000_000_000n + BigInt(view.getUint32(at + 8, true));
  const sized = stat.type === statx.S_IFREG || stat.type === statx.S_IFLNK;
  return {
    type: LOCAL_TYPE.get(stat.type)!,
    mode: stat.mode & 0o7777,
    nlink: stat.nlink,
    uid: stat.uid,
    gid: stat.gid,
    size: sized ? stat.size : null,
    device: `${view.getUint32(128, true)}:${view.getUint32(132, true)}`,
    atime: time(64),
    ctime: time(96),
    mtime: time(112),
  };
}

const nanoseconds = ({ seconds, nseconds }: nfs.nfstime3): bigint =>
  BigInt(seconds) * 1_000_000_000n + BigInt(nseconds);

export function remoteAttributes(a: nfs.fattr3): Attributes {
  const sized = a.type === nfs.NF3REG || a.type === nfs.NF3LNK;
  return {
    type: a.type,
    mode: a.mode,
    nlink: a.nlink,
    uid: a.uid,
    gid: a.gid,
    size: sized ? a.size : null,
    device: `${a.rdev.specdata1}:${a.rdev.specdata2}`,
    atime: nanoseconds(a.atime),
    mtime: nanoseconds(a.mtime),
    ctime: nanoseconds(a.ctime),
  };
}

export const isGone = (twin: Twin): boolean => localAttributes(twin.fd).nlink === 0;

export function namesIn(fd: number): string[] {
  const reader = new DirectoryReader();
  reader.start(fd, 0n);
  const names: string[] = [];
  while (reader.next() > 0) names.push(Buffer.from(reader.name).toString('latin1'));
  return names;
}

export function changeModeLocal(who: User, fd: number, mode: number): number {
  const { type, uid } = localAttributes(fd);
  if (type !== nfs.NF3LNK) return as(who.identity, () => calls.changeMode(OPEN, fd, mode));
  const { uid: me } = who.identity;
  return me === 0 || me === uid ? 0 : -E.EPERM;
}

export function truncateLocal(who: User, pathFd: number, size: number): number {
  if (!mayOpen(who, pathFd, W_OK)) return -E.EACCES;
  const fd = calls.reopen(pathFd, calls.O_RDWR);
  const result = as(who.identity, () => truncate(OPEN, fd, size));
  calls.close(fd);
  return result;
}

export function mayOpen(who: User, pathFd: number, wanted: number): boolean {
  return as(who.identity, () => {
    if (accessOf(pathFd, wanted) === 0) return true;
    if (wanted === R_OK && accessOf(pathFd, X_OK) === 0) return true;
    return localAttributes(pathFd).uid === who.identity.uid;
  });
}

export function writeLocal(who: User, pathFd: number, data: Uint8Array, offset: number): number {
  const { type } = localAttributes(pathFd);
  if (type === nfs.NF3DIR) return -E.EISDIR;
  if (type !== nfs.NF3REG) return -E.EINVAL;
  if (!mayOpen(who, pathFd, W_OK)) return -E.EACCES;
  const fd = calls.reopen(pathFd, calls.O_RDWR);
  try {
    return as(who.identity, () => writeSync(fd, data, 0, data.length, offset));
  } catch (error) {
    return (error as NodeJS.ErrnoException).errno!;
  } finally {
    calls.close(fd);
  }
}

export function readLocal(who: User, pathFd: number, offset: number, count: number) {
  const { type } = localAttributes(pathFd);
  if (type === nfs.NF3DIR) return { result: -E.EISDIR };
  if (type !== nfs.NF3REG) return { result: -E.EINVAL };
  if (!mayOpen(who, pathFd, R_OK)) return { result: -E.EACCES };
  const fd = calls.reopen(pathFd, calls.O_RDONLY);
  const data = Buffer.alloc(count);
  const got = readSync(fd, data, 0, count, offset);
  calls.close(fd);
  return { result: 0, content: data.subarray(0, got).toString('base64') };
}
