/** Opens what a path leads to, or creates it, as open(2) does: NFSv3 has LOOKUP, CREATE and ACCESS instead. */
import {
  ACCESS3_EXTEND,
  ACCESS3_MODIFY,
  ACCESS3_READ,
  NF3DIR,
  NF3LNK,
  NFS3ERR_ACCES,
  type nfs_fh3,
} from '../protocol/nfs3.ts';
import { FilerPairError, hasCode, NfsError, reasonOf } from './errors.ts';
import type { MountedExport } from './export-session.ts';
import { FileHandle } from './file-handle.ts';
import type { Nfs3Client } from './nfs3-client.ts';
import type { OpenFlags } from './open-flags.ts';
import type { Operation } from './operation.ts';
import { namesIn, type PathLike } from './path.ts';

/** Somebody else may remove what open() has just found, and create it again. */
const OPEN_ATTEMPTS_MAX = 10;

/** `mode`: of a file that is new. */
export async function openPath(
  there: MountedExport,
  path: PathLike,
  flags: OpenFlags,
  mode: number,
  operation: Operation,
): Promise<FileHandle> {
  const { access, walk } = there;
  const { handle, isNew } = await findOrCreate(there, path, flags, mode & 0o7777, operation);
  const label = walk.label(path);
  const file = new FileHandle(access, await access.files.open(handle, label), flags, label);
  try {
    if (flags.truncate && !isNew) await file.data.clear(operation);
    return file;
  } catch (error) {
    file.release();
    throw error;
  }
}

/** Rejects with EACCES unless the server grants all of it. */
export async function demandAccess(
  nfs: Nfs3Client,
  handle: nfs_fh3,
  wanted: number,
  operation: Operation,
): Promise<void> {
  const granted = await nfs.access(handle, wanted, operation);
  if ((granted & wanted) !== wanted) throw new NfsError(NFS3ERR_ACCES, 'ACCESS', operation);
}

async function findOrCreate(
  there: MountedExport,
  path: PathLike,
  flags: OpenFlags,
  mode: number,
  operation: Operation,
): Promise<{ handle: nfs_fh3; isNew: boolean }> {
  if (!flags.create) return { handle: await openExisting(there, path, flags, operation), isNew: false };
  if (namesIn(path).length === 0) throw new FilerPairError('EISDIR', reasonOf('EISDIR'), operation);
  const { walk, access } = there;
  for (let attempt = 1; ; attempt++) {
    try {
      // Guarded, so that an existing file keeps what it has; and most files that are created are new.
      const { dir, name } =
        flags.exclusive || attempt === 1
          ? await walk.locate(path, 'EISDIR', operation)
          : await walk.behindLink(path, operation);
      const made = await access.nfs.create(dir, name, 'Guarded', { mode }, operation);
      return { handle: made.handle, isNew: true };
    } catch (error) {
      // A directory in which nothing may be created can hold a file that may be written.
      if (flags.exclusive || !hasCode(error, 'EEXIST', 'EACCES', 'EPERM', 'EROFS', 'ENOSPC', 'EDQUOT'))
        throw error;
      try {
        return { handle: await openExisting(there, path, flags, operation), isNew: false };
      } catch (reason) {
        if (!hasCode(reason, 'ENOENT')) throw reason;
        // A symbolic link to nothing, or it was removed just now.
        if (!hasCode(error, 'EEXIST') || attempt === OPEN_ATTEMPTS_MAX) throw error;
      }
    }
  }
}

async function openExisting(
  { walk, access }: MountedExport,
  path: PathLike,
  flags: OpenFlags,
  operation: Operation,
): Promise<nfs_fh3> {
  const { handle, attributes } = await walk.resolve(path, !flags.noFollow, operation);
  const { type } = attributes;
  if (type === NF3LNK) throw new FilerPairError('ELOOP', 'is a symbolic link', operation);
  if (flags.directory && type !== NF3DIR) throw new FilerPairError('ENOTDIR', reasonOf('ENOTDIR'), operation);
  if (flags.write && type === NF3DIR) throw new FilerPairError('EISDIR', reasonOf('EISDIR'), operation);
  const change = flags.append ? ACCESS3_EXTEND : ACCESS3_MODIFY;
  const wanted = (flags.read ? ACCESS3_READ : 0) | (flags.write ? change : 0);
  await demandAccess(access.nfs, handle, wanted, operation);
  return handle;
}
