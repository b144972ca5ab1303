/** Which file system a descriptor lies on: its UUID, and what of it matters to the server. */

import { NativeBuffer } from '../../native/native-buffer.ts';
import { fileSystemMagic } from './file-system-info.ts';
import { ioctl } from './ioctl.ts';
import { type NameFolding, nameFoldingOf } from './name-folding.ts';

//   btrfs    BTRFS_IOC_FS_INFO: metadata_uuid, which a clone keeps that the kernel mounts beside its original under
//            another fsid (temp_fsid)
//   others   FS_IOC_GETFSUUID (Linux 6.9); before it EXT4_IOC_GETFSUUID (6.0) and XFS_IOC_FSGEOMETRY
//
// statfs(2) f_fsid does not serve: on xfs it is the number of the device, which is another one on another node.
// Sources: linux/fs.h, linux/btrfs.h, linux/magic.h; fs/ext4/ext4.h; xfs_fs.h (struct xfs_fsop_geom_v4).

const EXT4_MAGIC = 0xef53;
const XFS_MAGIC = 0x58465342;
const BTRFS_MAGIC = 0x9123683e;

const FS_IOC_GETFSUUID = 0x80111500;
const EXT4_IOC_GETFSUUID = 0x8008662c;
/** struct fsuuid2 (length, bytes) and struct fsuuid (length, flags, bytes). */
const FSUUID2_UUID_AT = 1;
const EXT4_UUID_AT = 8;

const XFS_IOC_FSGEOMETRY_V4 = 0x8070587c;
const XFS_UUID_AT = 64;
const XFS_FLAGS_AT = 92;
const XFS_FLAG_REFLINK = 1 << 20;

const BTRFS_IOC_FS_INFO = 0x8400941f;
const BTRFS_FLAGS_AT = 48;
const BTRFS_FLAG_METADATA_UUID = 4;
const BTRFS_FSID_AT = 16;
const BTRFS_METADATA_UUID_AT = 64;

const UUID_SIZE = 16;
/** Memory for the largest argument, struct btrfs_ioctl_fs_info_args. */
const argument = new NativeBuffer(1024);

export interface FileSystemIdentity {
  /** 32 hexadecimal digits; null: not known, which is not the same as "another one". */
  readonly uuid: string | null;
  /** Inode numbers and generations are counted from the same start on every new file system. */
  readonly isBtrfs: boolean;
  /**
   * Two files may have extents in common (reflinks, deduplication, snapshots): writing over a file in place then takes
   * space.
   */
  readonly sharesExtents: boolean;
  /** As far as its type tells. */
  readonly nameFolding: NameFolding;
}

/** Identity by any descriptor but an O_PATH one. Where the kernel does not answer, nothing is known. */
export function fileSystemIdentity(fd: number): FileSystemIdentity {
  const magic = fileSystemMagic(fd);
  const nameFolding = nameFoldingOf(magic);
  switch (magic) {
    case BTRFS_MAGIC:
      return { uuid: uuidOfBtrfs(fd), isBtrfs: true, sharesExtents: true, nameFolding };
    case XFS_MAGIC: {
      const answers = ask(fd, XFS_IOC_FSGEOMETRY_V4);
      const reflinks = answers && (argument.view.getUint32(XFS_FLAGS_AT, true) & XFS_FLAG_REFLINK) !== 0;
      const uuid = answers ? uuidAt(XFS_UUID_AT) : null;
      return { uuid, isBtrfs: false, sharesExtents: reflinks, nameFolding };
    }
    case EXT4_MAGIC:
      return { uuid: generic(fd) ?? uuidOfExt4(fd), isBtrfs: false, sharesExtents: false, nameFolding };
    default:
      return { uuid: generic(fd), isBtrfs: false, sharesExtents: false, nameFolding };
  }
}

function ask(fd: number, request: number): boolean {
  return ioctl(fd, request, argument.address) === 0;
}

function generic(fd: number): string | null {
  argument.bytes.fill(0);
  if (!ask(fd, FS_IOC_GETFSUUID) || argument.bytes[0] !== UUID_SIZE) return null;
  return uuidAt(FSUUID2_UUID_AT);
}

function uuidOfExt4(fd: number): string | null {
  argument.bytes.fill(0);
  argument.view.setUint32(0, UUID_SIZE, true);
  return ask(fd, EXT4_IOC_GETFSUUID) ? uuidAt(EXT4_UUID_AT) : null;
}

function uuidOfBtrfs(fd: number): string | null {
  argument.bytes.fill(0);
  argument.view.setUint32(BTRFS_FLAGS_AT, BTRFS_FLAG_METADATA_UUID, true);
  if (!ask(fd, BTRFS_IOC_FS_INFO)) return null;
  return uuidAt(BTRFS_METADATA_UUID_AT) ?? uuidAt(BTRFS_FSID_AT);
}

/** null: all zero, as where a file system has none. */
function uuidAt(at: number): string | null {
  const text = Buffer.from(argument.bytes.subarray(at, at + UUID_SIZE)).toString('hex');
  return /^0+$/.test(text) ? null : text;
}
