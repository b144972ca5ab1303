/** The root of a volume: its descriptor, and what its file system and mount can do. */
import { constants } from 'node:os';
import type { VolumeSpec } from '../../settings/volume-spec.ts';
import { fileSizeMax } from '../../system/data-calls.ts';
import { AT_FDCWD, close, O_DIRECTORY, O_PATH, O_RDONLY, openAt } from '../../system/file-calls.ts';
import { fileSystemIdentity } from '../../system/file-system-identity.ts';
import { hasInternalJournal, mountOf } from '../../system/mounts.ts';
import type { NameFolding } from '../../system/name-folding.ts';
import { StatBuffer } from '../../system/statx.ts';
import { asServer } from '../../system/thread-identity.ts';
import { IdentityReader, openIdentity } from '../handles/file-identity.ts';
import { changeTimesTell } from '../handles/known-access.ts';
import { JournalReserve } from '../journal/journal-reserve.ts';
import { PRIVATE_DIRECTORY } from '../names/names.ts';
import type { Place } from '../ownership/place.ts';
import { ownershipFile, reserveFile } from '../ownership/volume-files.ts';
import { openPrivate } from '../private-files/private-files.ts';
import { type CommitOrder, commitOrderOf } from './commit-order.ts';

import { OpenFailure, VolumeOpenError } from './open-failure.ts';

const { EPERM, ENOENT, EOPNOTSUPP, ENOSYS, EOVERFLOW } = constants.errno;

export interface VolumeRoot {
  readonly fd: number;
  readonly key: string;
  readonly mountId: number;
  readonly isWholeFileSystem: boolean;
  readonly fileSizeMax: bigint;
  readonly commitOrder: CommitOrder;
  readonly changeTimesTell: boolean;
  readonly isInMemory: boolean;
  readonly nameFolding: NameFolding;
  readonly reserve: JournalReserve;
  readonly identity: IdentityReader;
  readonly opensHandles: boolean;
  readonly place: Place;
}

/** As the server itself: the kernel opens no handles for users. */
export function openRoot(spec: VolumeSpec): VolumeRoot {
  return asServer(() => open(spec));
}

function open(spec: VolumeSpec): VolumeRoot {
  const fd = openAt(AT_FDCWD, new TextEncoder().encode(spec.path), O_RDONLY | O_DIRECTORY);
  if (fd < 0)
    throw new VolumeOpenError('IoError', `volume ${spec.name}: ${spec.path} can't be opened (errno ${-fd})`);
  try {
    const fileSystem = fileSystemIdentity(fd);
    const identified = identifyRoot(spec, fd, fileSystem.isBtrfs);
    const mount = mountOf(identified.mountId);
    const order = commitOrderOf(mount, mount === null ? null : hasInternalJournal(mount.device));
    const reserve = new JournalReserve(reserveFile(spec.path), fileSystem);
    const fileSizeMax = fileSizeMaxOf(spec);
    const tell = changeTimesTell(mount?.type);
    const isInMemory = mount?.type === 'tmpfs' || mount?.type === 'ramfs';
    const place = {
      fileSystem: fileSystem.uuid,
      directory: Buffer.from(identified.key, 'latin1').toString('hex'),
    };
    return {
      fd,
      ...identified,
      isWholeFileSystem: isWholeFileSystem(fd),
      fileSizeMax,
      commitOrder: order,
      changeTimesTell: tell,
      isInMemory,
      nameFolding: takesOtherCase(fd) ? 'always' : fileSystem.nameFolding,
      reserve,
      place,
    };
  } catch (error) {
    close(fd);
    throw error;
  }
}

/**
 * The root of a file system, and nothing less. A bind mount of a directory is the root of a mount too, and the kernel opens handles
 * of all that lies beside it.
 */
export function isWholeFileSystem(rootFd: number): boolean {
  const stat = new StatBuffer();
  if (stat.ofFd(rootFd) < 0 || stat.isMountRoot !== true) return false;
  return mountOf(Number(stat.mountId))?.root === '/';
}

const PRIVATE_NAME = new TextEncoder().encode(PRIVATE_DIRECTORY);

const PRIVATE_NAME_IN_OTHER_CASE = new TextEncoder().encode(PRIVATE_DIRECTORY.toUpperCase());

/** Whatever its type promises (an xfs made with `-n version=ci`, an NFS server): true where that is not known either. */
function takesOtherCase(rootFd: number): boolean {
  const [one, other] = [new StatBuffer(), new StatBuffer()];
  const result = other.ofName(rootFd, PRIVATE_NAME_IN_OTHER_CASE);
  if (result < 0) return result !== -ENOENT;
  return one.ofName(rootFd, PRIVATE_NAME) < 0 || one.inode === other.inode;
}

function fileSizeMaxOf(spec: VolumeSpec): bigint {
  const path = ownershipFile(spec.path);
  const fd = openPrivate(path, O_RDONLY);
  if (fd < 0)
    throw new VolumeOpenError('IoError', `volume ${spec.name}: ${path} can't be opened (errno ${-fd})`);
  const most = fileSizeMax(fd);
  close(fd);
  return most;
}

function identifyRoot(
  spec: VolumeSpec,
  fd: number,
  isBtrfs: boolean,
): Pick<VolumeRoot, 'key' | 'mountId' | 'identity' | 'opensHandles'> {
  const handles = new IdentityReader(isBtrfs ? 'handleAndBirth' : 'kernelHandle');
  const result = handles.ofFd(fd);
  if (result === 0) {
    const { kind, type, bytes, start, size } = handles;
    const opened = openIdentity(kind, fd, type, bytes.subarray(start, start + size), O_PATH);
    if (opened >= 0) close(opened);
    // EPERM: an ordinary user, or a container without CAP_DAC_READ_SEARCH.
    const opensHandles = opened !== -EPERM;
    return { key: handles.key(), mountId: handles.mountId, identity: handles, opensHandles };
  }
  if (result === -EPERM) {
    // Not a property of the file system: another process would get handles, and identities must not depend on that.
    throw new VolumeOpenError(
      OpenFailure.UnsupportedFileSystem,
      `volume ${spec.name}: this process may not ask for the file handles of ${spec.path} (name_to_handle_at is refused); allow it in the container's seccomp profile`,
    );
  }
  if (result === -EOVERFLOW) {
    throw new VolumeOpenError(
      OpenFailure.UnsupportedFileSystem,
      `volume ${spec.name}: the file handles of ${spec.path} are too long for NFSv3; use ext4, xfs or btrfs`,
    );
  }
  const births = new IdentityReader('inodeAndBirth');
  const unsupported = result === -EOPNOTSUPP || result === -ENOSYS;
  if (!unsupported || births.ofFd(fd) < 0) {
    throw new VolumeOpenError(
      OpenFailure.UnsupportedFileSystem,
      `volume ${spec.name}: ${spec.path} has neither file handles nor times of birth (errno ${-result}); use ext4, xfs or btrfs`,
    );
  }
  return { key: births.key(), mountId: births.mountId, identity: births, opensHandles: false };
}
