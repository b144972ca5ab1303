/** Small files in a volume's private directory that are replaced as a whole: a crash leaves the old one or the new one. */
import { fdatasync, fsync } from 'node:fs';
import { constants } from 'node:os';
import { basename, dirname } from 'node:path';
import { promisify } from 'node:util';
import { writeFrom } from '../../system/data-calls.ts';
import { SystemCallError } from '../../system/errno.ts';
import {
  AT_FDCWD,
  close,
  createAt,
  O_DIRECTORY,
  O_EXCL,
  O_NOFOLLOW,
  O_RDONLY,
  O_WRONLY,
  openAt,
  renameAt,
  unlinkAt,
} from '../../system/file-calls.ts';
import { asServer } from '../../system/thread-identity.ts';
import { REFUSED, RefusedError, type WriteGate } from '../../system/write-gate.ts';
import { inPrivateDirectory } from './private-files.ts';

const { ENOENT } = constants.errno;
const flushData = promisify(fdatasync);
const flushAll = promisify(fsync);
const encoder = new TextEncoder();
const MODE = 0o600;

/** The result of a system call as it is, if it succeeded. Throws RefusedError or SystemCallError. */
export function must(call: string, result: number): number {
  if (result === REFUSED) throw new RefusedError();
  if (result < 0) throw new SystemCallError(call, -result);
  return result;
}

/** Durable when it resolves. Every change asks the gate; rejected with RefusedError when that is closed meanwhile. */
export async function replaceDurably(
  gate: WriteGate,
  path: string,
  content: string | Uint8Array,
): Promise<void> {
  // A crash may have left it; or it is something else of that name, which must not be opened.
  removeFile(gate, `${path}.new`);
  const fd = makeFile(gate, `${path}.new`, typeof content === 'string' ? encoder.encode(content) : content);
  try {
    await flushData(fd);
  } finally {
    close(fd);
  }
  const temporary = encoder.encode(`${basename(path)}.new`);
  const renamed = inPrivateDirectory(path, (dir, name) => renameAt(gate, dir, temporary, dir, name));
  must(`rename ${path}.new`, renamed);
  await flushDirectory(dirname(path));
}

/** A new file, not flushed. A descriptor for writing, which the caller closes. */
export function makeFile(gate: WriteGate, path: string, content: Uint8Array): number {
  const flags = O_WRONLY | O_EXCL | O_NOFOLLOW;
  const created = inPrivateDirectory(path, (dir, name) => createAt(gate, dir, name, flags, MODE));
  const fd = must(`create ${path}`, created);
  try {
    writeWhole(gate, path, fd, content, 0);
  } catch (error) {
    close(fd);
    throw error;
  }
  return fd;
}

/**
 * Writes all bytes from offset `at` on; not flushed. Throws SystemCallError, RefusedError.
 *
 * @param path for the error's message
 */
export function writeWhole(gate: WriteGate, path: string, fd: number, bytes: Uint8Array, at: number): void {
  for (let done = 0; done < bytes.length; )
    done += must(`write ${path}`, writeFrom(gate, fd, bytes.subarray(done), at + done));
}

/** There may be none. */
export function removeFile(gate: WriteGate, path: string): void {
  const result = inPrivateDirectory(path, (dir, name) => unlinkAt(gate, dir, name, 0));
  if (result !== -ENOENT) must(`unlink ${path}`, result);
}

/** Durable when it resolves: the names in it. */
export async function flushDirectory(path: string): Promise<void> {
  const opened = asServer(() => openAt(AT_FDCWD, encoder.encode(path), O_RDONLY | O_DIRECTORY));
  const fd = must(`open ${path}`, opened);
  try {
    await flushAll(fd);
  } finally {
    close(fd);
  }
}
