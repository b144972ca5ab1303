/** Whole files by their paths: read, replaced and copied. */
import { NF3DIR, type nfs_fh3 } from '../protocol/nfs3.ts';
import { FilerPairError, reasonOf } from './errors.ts';
import type { MountedExport } from './export-session.ts';
import type { FileAccess } from './file-access.ts';
import { type FileData, piecesOf } from './file-arguments.ts';
import type { FileHandle } from './file-handle.ts';
import { readRange } from './file-reader.ts';
import { parseOpenFlags } from './open-flags.ts';
import { openPath } from './open-path.ts';
import type { Operation } from './operation.ts';
import type { PathLike } from './path.ts';

/** A file's data in order. Rejects with EISDIR for a directory. */
export async function* piecesAt(
  there: MountedExport,
  path: PathLike,
  start: number,
  length: number | undefined,
  operation: Operation,
): AsyncGenerator<Uint8Array> {
  const { handle } = await fileAt(there, path, operation);
  yield* range(there.access, handle, start, length, operation);
}

/** Writes from the file's beginning, waits until it is on the disk, and closes it in any case. */
export async function writeWhole(
  file: FileHandle,
  data: FileData,
  encoding: BufferEncoding | null | undefined,
  operation: Operation,
): Promise<void> {
  try {
    // Only what ends by itself is known not to need its bytes any more.
    const unlimited = operation.signal === undefined && operation.timeoutMs === Number.POSITIVE_INFINITY;
    const whole = typeof data === 'string' || ArrayBuffer.isView(data);
    let position = 0;
    for await (const piece of piecesOf(data, encoding)) {
      operation.throwIfOver();
      const owned = typeof data === 'string' || (whole && unlimited);
      await file.data.put(piece, position, operation, owned);
      position += piece.length;
    }
    await file.data.commit(operation);
  } finally {
    file.release();
  }
}

/** `exclusive`: refuses to replace a file. A file is never copied onto itself. */
export async function copyFile(
  there: MountedExport,
  from: PathLike,
  to: PathLike,
  exclusive: boolean,
  operation: Operation,
): Promise<void> {
  const { handle, attributes } = await fileAt(there, from, operation);
  const flags = { ...parseOpenFlags(exclusive ? 'wx' : 'a'), append: false };
  const file = await openPath(there, to, flags, attributes.mode & 0o777, operation);
  try {
    if (Buffer.compare(file.nfsHandle, handle) === 0) return;
    await file.data.clear(operation);
    let position = 0;
    for await (const piece of range(there.access, handle, 0, undefined, operation)) {
      await file.data.put(piece, position, operation, true);
      position += piece.length;
    }
    await file.data.commit(operation);
  } finally {
    file.release();
  }
}

async function fileAt({ walk }: MountedExport, path: PathLike, operation: Operation) {
  const found = await walk.resolve(path, true, operation);
  if (found.attributes.type === NF3DIR) throw new FilerPairError('EISDIR', reasonOf('EISDIR'), operation);
  return found;
}

async function* range(
  { nfs, files, sizes }: FileAccess,
  handle: nfs_fh3,
  offset: number,
  length: number | undefined,
  operation: Operation,
): AsyncGenerator<Uint8Array> {
  await files.settle(handle, operation);
  const { readSize } = sizes;
  yield* readRange(nfs, handle, { readSize, operation, offset, ...(length !== undefined && { length }) });
}
