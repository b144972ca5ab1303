/** Identity of a file of a volume: that file and no other, now and after any rename, restart or failover. */
import { constants } from 'node:os';
import { close, O_NOFOLLOW, O_PATH, openAt } from '../../system/file-calls.ts';
import { KernelHandleBuffer, openByHandle } from '../../system/file-handle-calls.ts';
import { StatBuffer } from '../../system/statx.ts';
import { byteString } from '../names/byte-string.ts';

// Kernel handles where the file system has them (name_to_handle_at: ext4, xfs, btrfs, tmpfs and most others): an
// inode number with its generation. Where it has none (overlay without nfs_export) inode number and time of birth
// stand in: an inode number that is used again gets a new time of birth.
//
// On btrfs inode numbers and generations are counted, from the same start on every file system. After a disk was set back to a
// snapshot, a new file gets both of one that was made after the snapshot. The time of birth tells them apart, so it is a part of
// the identity there.

/** Bytes of an identity that fits into an NFS handle; see file-handle.ts. */
export const IDENTITY_SIZE_MAX = 26;
/** FILEID_INVALID to the kernel, so no kernel handle has it: inode number and time of birth. */
export const TYPE_INODE_AND_BIRTH = 0xff;
const INODE_AND_BIRTH_SIZE = 20;
/** Bytes of a time of birth behind a kernel handle: 18 bits of its seconds, 30 of its nanoseconds. */
const BIRTH_SIZE = 6;
const BIRTH_SECONDS_MASK = 0x3ffff;
const TWO_30 = 0x40000000;
const TWO_32 = 0x100000000;

/** handleAndBirth: the kernel's handle and the time of birth, in BIRTH_SIZE bytes behind it. */
export type IdentityKind = 'kernelHandle' | 'handleAndBirth' | 'inodeAndBirth';

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
  readonly #handle: KernelHandleBuffer;
  readonly #stat: StatBuffer;
  readonly #ownBytes: Uint8Array<ArrayBuffer>;
  readonly #ownView: DataView<ArrayBuffer>;
  /** The identity is bytes[start .. start + size). */
  bytes: Uint8Array<ArrayBuffer>;
  start: number;
  size: number;
  type: number;
  /** Mount through which the object was reached; -1 if unknown. */
  mountId: number;

  constructor(kind: IdentityKind) {
    this.kind = kind;
    this.#handle = new KernelHandleBuffer();
    this.#stat = new StatBuffer();
    this.#ownBytes = new Uint8Array(IDENTITY_SIZE_MAX);
    this.#ownView = new DataView(this.#ownBytes.buffer);
    this.bytes = this.#ownBytes;
    this.start = 0;
    this.size = 0;
    this.type = 0;
    this.mountId = -1;
  }

  /** The system call that reads identities. */
  get call(): 'name_to_handle_at' | 'statx' {
    return this.kind === 'inodeAndBirth' ? 'statx' : 'name_to_handle_at';
  }

  /** Reads the identity of a directory's entry, a symbolic link not followed. 0 or -errno. */
  ofName(dir: number, name: Uint8Array): number {
    if (this.kind === 'kernelHandle') return this.#takeHandle(this.#handle.ofName(dir, name));
    if (this.kind === 'inodeAndBirth') return this.#takeStat(this.#stat.ofName(dir, name));
    // Handle and time of birth must be those of one object, whatever gets the name between two calls.
    const fd = openAt(dir, name, O_PATH | O_NOFOLLOW);
    if (fd < 0) return fd;
    const result = this.ofFd(fd);
    close(fd);
    return result;
  }

  /** Takes the identity of an open object. -errno: it was not found out. */
  ofFd(fd: number): number {
    switch (this.kind) {
      case 'kernelHandle':
        return this.#takeHandle(this.#handle.ofFd(fd));
      case 'inodeAndBirth':
        return this.#takeStat(this.#stat.ofFd(fd));
      case 'handleAndBirth': {
        const result = this.#takeHandle(this.#handle.ofFd(fd));
        return result < 0 ? result : this.#addBirth(this.#stat.ofFd(fd));
      }
    }
  }

  #takeHandle(result: number): number {
    if (result < 0) return result;
    const handle = this.#handle;
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

  #addBirth(result: number): number {
    if (result < 0) return result;
    if (!this.#stat.hasBirthTime) return -constants.errno.EOPNOTSUPP;
    const handle = this.#handle;
    const ownBytes = this.#ownBytes;
    if (handle.size + BIRTH_SIZE > IDENTITY_SIZE_MAX) return -constants.errno.EOVERFLOW;
    for (let i = 0; i < handle.size; i++) ownBytes[i] = handle.bytes[handle.start + i]!;
    writeBirth(ownBytes, handle.size, this.#stat);
    this.bytes = ownBytes;
    this.start = 0;
    this.size = handle.size + BIRTH_SIZE;
    return 0;
  }

  #takeStat(result: number): number {
    if (result < 0) return result;
    const { view } = this.#stat;
    if (!this.#stat.hasBirthTime) return -constants.errno.EOPNOTSUPP;
    // stx_ino at 32, stx_btime (seconds, nanoseconds) at 80 of struct statx.
    this.#ownView.setBigUint64(0, view.getBigUint64(32, true), true);
    this.#ownView.setBigUint64(8, view.getBigUint64(80, true), true);
    this.#ownView.setUint32(16, view.getUint32(88, true), true);
    this.bytes = this.#ownBytes;
    this.start = 0;
    this.size = INODE_AND_BIRTH_SIZE;
    this.type = TYPE_INODE_AND_BIRTH;
    this.mountId = Number(this.#stat.mountId);
    return 0;
  }

  /** As a key for maps: type and bytes, one character a byte. */
  key(): string {
    return identityKey(this.type, this.bytes, this.start, this.size);
  }
}

/** Writes the birth time from a buffer that holds an object's attributes; see BIRTH_SIZE. */
function writeBirth(into: Uint8Array, at: number, { view }: StatBuffer): void {
  // stx_btime (seconds, nanoseconds) at 80 of struct statx.
  const birth = (view.getUint32(80, true) & BIRTH_SECONDS_MASK) * TWO_30 + view.getUint32(88, true);
  const low = birth % TWO_32;
  const high = (birth - low) / TWO_32;
  for (let i = 0; i < 4; i++) into[at + i] = low >>> (8 * i);
  for (let i = 0; i < 2; i++) into[at + 4 + i] = high >>> (8 * i);
}

const bornStat = new StatBuffer();
const bornBytes = new Uint8Array(BIRTH_SIZE);

/**
 * Opens the object that has this identity, as the server itself, through any descriptor of its file system.
 *
 * @returns a descriptor, or -errno; ESTALE: there is no such object, or the identity is not of this kind
 */
export function openIdentity(
  kind: IdentityKind,
  mountFd: number,
  type: number,
  identity: Uint8Array,
  flags: number,
): number {
  const { EINVAL, ESTALE } = constants.errno;
  const hasBirth = kind === 'handleAndBirth';
  const size = hasBirth ? identity.length - BIRTH_SIZE : identity.length;
  if (size <= 0) return -ESTALE;
  const fd = openByHandle(mountFd, type, hasBirth ? identity.subarray(0, size) : identity, flags);
  // EINVAL: of a type that this file system does not have.
  if (fd < 0) return fd === -EINVAL ? -ESTALE : fd;
  if (!hasBirth) return fd;
  const looked = bornStat.ofFd(fd);
  if (looked === 0 && wasBornThen(identity, size)) return fd;
  close(fd);
  return looked < 0 ? looked : -ESTALE;
}

/** `bornStat`: of the object that was opened. */
function wasBornThen(identity: Uint8Array, at: number): boolean {
  if (!bornStat.hasBirthTime) return false;
  writeBirth(bornBytes, 0, bornStat);
  for (let i = 0; i < BIRTH_SIZE; i++) if (bornBytes[i] !== identity[at + i]) return false;
  return true;
}

/** What {@link identityKey} made a key of. */
export function identityOfKey(key: string): FileIdentity {
  const bytes = Buffer.from(key, 'latin1');
  return { type: bytes[0]!, bytes, start: 1, size: bytes.length - 1 };
}

/** The identity as a key of a Map: one character for each byte. */
export function identityKey(type: number, bytes: Uint8Array, start: number, size: number): string {
  return String.fromCharCode(type) + byteString(bytes, start, start + size);
}
