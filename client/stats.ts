/** Attributes of files in the shape of node:fs: Stats, BigIntStats, StatFs. */
import { constants } from 'node:fs';
import {
  type fattr3,
  NF3BLK,
  NF3CHR,
  NF3DIR,
  NF3FIFO,
  NF3LNK,
  NF3REG,
  NF3SOCK,
  type nfstime3,
} from '../protocol/nfs3.ts';

const FORMATS = new Map<number, number>([
  [NF3REG, constants.S_IFREG],
  [NF3DIR, constants.S_IFDIR],
  [NF3BLK, constants.S_IFBLK],
  [NF3CHR, constants.S_IFCHR],
  [NF3LNK, constants.S_IFLNK],
  [NF3SOCK, constants.S_IFSOCK],
  [NF3FIFO, constants.S_IFIFO],
]);

/** Unit of `blocks`, as everywhere; bytes. */
const BLOCK_SIZE = 512;

/** Tells types apart. */
export abstract class FileType {
  /** ftype3, RFC 1813 §2.6; 0 if the server does not say. */
  protected abstract get fileType(): number;

  isFile(): boolean {
    return this.fileType === NF3REG;
  }
  isDirectory(): boolean {
    return this.fileType === NF3DIR;
  }
  isSymbolicLink(): boolean {
    return this.fileType === NF3LNK;
  }
  isBlockDevice(): boolean {
    return this.fileType === NF3BLK;
  }
  isCharacterDevice(): boolean {
    return this.fileType === NF3CHR;
  }
  isFIFO(): boolean {
    return this.fileType === NF3FIFO;
  }
  isSocket(): boolean {
    return this.fileType === NF3SOCK;
  }
}

/**
 * fs.Stats. NFSv3 has no time of birth: `birthtime` is `ctime`. `ino` is exact up to 2^53; BigIntStats has all bits.
 *
 * @see https://nodejs.org/docs/latest-v24.x/api/fs.html#class-fsstats
 */
export class Stats extends FileType {
  /** Attributes as the server sent them. */
  readonly attributes: fattr3;
  readonly dev: number;
  readonly ino: number;
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  readonly rdev: number;
  readonly size: number;
  readonly blksize: number;
  readonly blocks: number;
  readonly atimeMs: number;
  readonly mtimeMs: number;
  readonly ctimeMs: number;
  readonly birthtimeMs: number;
  readonly atime: Date;
  readonly mtime: Date;
  readonly ctime: Date;
  readonly birthtime: Date;

  /** `blksize`: preferred size of reads and writes, bytes. */
  constructor(attributes: fattr3, blksize: number) {
    super();
    this.attributes = attributes;
    this.dev = Number(attributes.fsid);
    this.ino = Number(attributes.fileid);
    this.mode = modeOf(attributes);
    this.nlink = attributes.nlink;
    this.uid = attributes.uid;
    this.gid = attributes.gid;
    this.rdev = Number(rdevOf(attributes));
    this.size = attributes.size;
    this.blksize = blksize;
    this.blocks = Math.ceil(attributes.used / BLOCK_SIZE);
    this.atimeMs = Number(nanoseconds(attributes.atime)) / 1e6;
    this.mtimeMs = Number(nanoseconds(attributes.mtime)) / 1e6;
    this.ctimeMs = Number(nanoseconds(attributes.ctime)) / 1e6;
    this.birthtimeMs = this.ctimeMs;
    this.atime = new Date(this.atimeMs);
    this.mtime = new Date(this.mtimeMs);
    this.ctime = new Date(this.ctimeMs);
    this.birthtime = this.ctime;
  }

  protected get fileType(): number {
    return this.attributes.type;
  }
}

/**
 * fs.BigIntStats: all bits of each number, and times in nanoseconds.
 *
 * @see https://nodejs.org/docs/latest-v24.x/api/fs.html#class-fsstats
 */
export class BigIntStats extends FileType {
  readonly attributes: fattr3;
  readonly dev: bigint;
  readonly ino: bigint;
  readonly mode: bigint;
  readonly nlink: bigint;
  readonly uid: bigint;
  readonly gid: bigint;
  readonly rdev: bigint;
  readonly size: bigint;
  readonly blksize: bigint;
  readonly blocks: bigint;
  readonly atimeNs: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
  readonly birthtimeNs: bigint;
  readonly atimeMs: bigint;
  readonly mtimeMs: bigint;
  readonly ctimeMs: bigint;
  readonly birthtimeMs: bigint;
  readonly atime: Date;
  readonly mtime: Date;
  readonly ctime: Date;
  readonly birthtime: Date;

  constructor(attributes: fattr3, blksize: number) {
    super();
    this.attributes = attributes;
    this.dev = attributes.fsid;
    this.ino = attributes.fileid;
    this.mode = BigInt(modeOf(attributes));
    this.nlink = BigInt(attributes.nlink);
    this.uid = BigInt(attributes.uid);
    this.gid = BigInt(attributes.gid);
    this.rdev = rdevOf(attributes);
    this.size = BigInt(attributes.size);
    this.blksize = BigInt(blksize);
    this.blocks = BigInt(Math.ceil(attributes.used / BLOCK_SIZE));
    this.atimeNs = nanoseconds(attributes.atime);
    this.mtimeNs = nanoseconds(attributes.mtime);
    this.ctimeNs = nanoseconds(attributes.ctime);
    this.birthtimeNs = this.ctimeNs;
    this.atimeMs = this.atimeNs / 1_000_000n;
    this.mtimeMs = this.mtimeNs / 1_000_000n;
    this.ctimeMs = this.ctimeNs / 1_000_000n;
    this.birthtimeMs = this.ctimeMs;
    this.atime = new Date(Number(this.atimeMs));
    this.mtime = new Date(Number(this.mtimeMs));
    this.ctime = new Date(Number(this.ctimeMs));
    this.birthtime = this.ctime;
  }

  protected get fileType(): number {
    return this.attributes.type;
  }
}

/**
 * fs.StatFs: space and files of a volume.
 *
 * @see https://nodejs.org/docs/latest-v24.x/api/fs.html#class-fsstatfs
 */
export interface StatFs {
  /** The magic number of NFS on Linux. */
  readonly type: number;
  /** Bytes of a block. */
  readonly bsize: number;
  readonly blocks: number;
  readonly bfree: number;
  /** For this user. */
  readonly bavail: number;
  readonly files: number;
  readonly ffree: number;
}

function modeOf({ type, mode }: fattr3): number {
  return (FORMATS.get(type) ?? 0) | mode;
}

/** As Linux packs it, for device numbers of up to 8 bits each. */
function rdevOf({ rdev }: fattr3): bigint {
  return (BigInt(rdev.specdata1) << 8n) | BigInt(rdev.specdata2);
}

function nanoseconds({ seconds, nseconds }: nfstime3): bigint {
  return BigInt(seconds) * 1_000_000_000n + BigInt(nseconds);
}

/** Block size in which node:fs counts space, in bytes. */
const STATFS_BLOCK_SIZE = 4096;
/** As statfs(2) names NFS. */
const NFS_SUPER_MAGIC = 0x6969;

/** What FSSTAT says of a volume (RFC 1813 §3.3.18): space in bytes, and numbers of files. */
interface VolumeSpace {
  readonly tbytes: number;
  readonly fbytes: number;
  readonly abytes: number;
  readonly tfiles: number;
  readonly ffiles: number;
}

export function statFsOf(found: VolumeSpace): StatFs {
  const blocks = (bytes: number) => Math.floor(bytes / STATFS_BLOCK_SIZE);
  return {
    type: NFS_SUPER_MAGIC,
    bsize: STATFS_BLOCK_SIZE,
    blocks: blocks(found.tbytes),
    bfree: blocks(found.fbytes),
    bavail: blocks(found.abytes),
    files: found.tfiles,
    ffree: found.ffiles,
  };
}
