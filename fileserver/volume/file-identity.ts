/**
 * What makes a file of a volume that file and no other, now and after any rename, restart or failover.
 *
 * Kernel handles where the file system has them (name_to_handle_at: ext4, xfs, btrfs, tmpfs and most others): an
 * inode number with its generation. Where it has none (overlay without nfs_export) inode number and time of birth
 * stand in: an inode number that is used again gets a new time of birth.
 */
import { constants } from 'node:os';
import { KernelHandleBuffer } from '../system/file-handle-calls.ts';
import { StatBuffer } from '../system/statx.ts';
import { byteString } from './byte-string.ts';

/** Bytes of an identity that fits into an NFS handle; see file-handle.ts. */
export const IDENTITY_SIZE_MAX = 26;
/** FILEID_INVALID to the kernel, so no kernel handle has it: inode number and time of birth. */
export const TYPE_INODE_AND_BIRTH = 0xff;
const INODE_AND_BIRTH_SIZE = 20;

export type IdentityKind = 'kernelHandle' | 'inodeAndBirth';

/** Type and bytes[start .. start + size). */
export interface FileIdentity {
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly size: number;
  readonly type: number;
}

/** A view of the last identity read; valid until the next read. */
export class IdentityReader implements FileIdentity {
  readonly kind: IdentityKind;
  private readonly handle: KernelHandleBuffer;
  private readonly stat: StatBuffer;
  private readonly ownBytes: Uint8Array<ArrayBuffer>;
  private readonly ownView: DataView<ArrayBuffer>;
  /** The identity is bytes[start .. start + size). */
  bytes: Uint8Array<ArrayBuffer>;
  start: number;
  size: number;
  type: number;
  /** Mount through which the object was reached; -1 if unknown. */
  mountId: number;

  constructor(kind: IdentityKind) {
    this.kind = kind;
    this.handle = new KernelHandleBuffer();
    this.stat = new StatBuffer();
    this.ownBytes = new Uint8Array(INODE_AND_BIRTH_SIZE);
    this.ownView = new DataView(this.ownBytes.buffer);
    this.bytes = this.ownBytes;
    this.start = 0;
    this.size = 0;
    this.type = 0;
    this.mountId = -1;
  }

  /** Of a directory's entry, a symbolic link not followed. 0 or -errno. */
  ofName(dir: number, name: Uint8Array): number {
    if (this.kind === 'kernelHandle') return this.takeHandle(this.handle.ofName(dir, name));
    return this.takeStat(this.stat.ofName(dir, name));
  }

  ofFd(fd: number): number {
    if (this.kind === 'kernelHandle') return this.takeHandle(this.handle.ofFd(fd));
    return this.takeStat(this.stat.ofFd(fd));
  }

  private takeHandle(result: number): number {
    if (result < 0) return result;
    const { handle } = this;
    if (handle.size > IDENTITY_SIZE_MAX || handle.type < 0 || handle.type >= TYPE_INODE_AND_BIRTH) {
      return -constants.errno.EOVERFLOW;
    }
    this.bytes = handle.bytes;
    this.start = handle.start;
    this.size = handle.size;
    this.type = handle.type;
    this.mountId = handle.mountId;
    return 0;
  }

  private takeStat(result: number): number {
    if (result < 0) return result;
    const { view } = this.stat;
    if (!this.stat.hasBirthTime) return -constants.errno.EOPNOTSUPP;
    // stx_ino at 32, stx_btime (seconds, nanoseconds) at 80 of struct statx.
    this.ownView.setBigUint64(0, view.getBigUint64(32, true), true);
    this.ownView.setBigUint64(8, view.getBigUint64(80, true), true);
    this.ownView.setUint32(16, view.getUint32(88, true), true);
    this.bytes = this.ownBytes;
    this.start = 0;
    this.size = INODE_AND_BIRTH_SIZE;
    this.type = TYPE_INODE_AND_BIRTH;
    this.mountId = Number(this.stat.mountId);
    return 0;
  }

  /** As a key for maps: type and bytes, one character a byte. */
  key(): string {
    return identityKey(this.type, this.bytes, this.start, this.size);
  }
}

/** What {@link identityKey} made a key of. */
export function identityOfKey(key: string): FileIdentity {
  const bytes = Buffer.from(key, 'latin1');
  return { type: bytes[0]!, bytes, start: 1, size: bytes.length - 1 };
}

export function identityKey(type: number, bytes: Uint8Array, start: number, size: number): string {
  return String.fromCharCode(type) + byteString(bytes, start, start + size);
}
