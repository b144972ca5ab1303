/**
 * Files in a volume's private directory (`.filerpair`), which the server trusts: they say who owns the volume, and what was
 * executed.
 */
import { lstat } from 'node:fs/promises';
import { constants } from 'node:os';
import { basename, dirname } from 'node:path';
import {
  AT_FDCWD,
  close,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_PATH,
  openAt,
  openBeneath,
} from '../../system/file-calls.ts';
import { type FileHandle, openForReading } from '../../system/pool-calls.ts';
import { S_IFDIR, S_IFMT, S_IFREG, StatBuffer } from '../../system/statx.ts';
import { asServer, SERVER_IDENTITY } from '../../system/thread-identity.ts';

// Others may own the volume's root, and could put a directory or a symbolic link of their own in its place, before the first
// start or at any time. So the directory is opened first, without following a link. It has to belong to the server, and no one
// else may write it. Names are then opened relative to that very descriptor, never through a symbolic link. Whatever is refused
// is refused with a sentence.

/** Something on the volume is not what it should be. The message is for people: it names the file and the way out. */
export class VolumeRecordError extends Error {
  override readonly name = 'VolumeRecordError';
}

const { ELOOP } = constants.errno;
const WRITABLE_BY_OTHERS = 0o022;
/** Twice the longest that is ever written by this way: the list of mounts, with every byte escaped. */
const READ_SIZE_MAX = 16 * 1024 * 1024;
const encoder = new TextEncoder();
const stat = new StatBuffer();

interface Attributes {
  readonly uid: number;
  readonly mode: number;
}

/** The same as withPrivateDirectory(), for a name in the directory. path: DIRECTORY/NAME */
export function inPrivateDirectory(path: string, act: (dir: number, name: Uint8Array) => number): number {
  return withPrivateDirectory(dirname(path), (dir) => act(dir, encoder.encode(basename(path))));
}

/**
 * Does something to a private directory: `act` gets its descriptor (O_PATH), which is closed afterwards.
 *
 * @returns what `act` returns, or -errno: the directory could not be opened
 * @throws VolumeRecordError: somebody else could have put there what is in it
 */
export function withPrivateDirectory(directory: string, act: (dir: number) => number): number {
  return asServer(() => inside(directory, act));
}

function inside(directory: string, act: (dir: number) => number): number {
  const dir = openAt(AT_FDCWD, encoder.encode(directory), O_PATH | O_DIRECTORY | O_NOFOLLOW);
  if (dir < 0) return dir;
  try {
    const looked = stat.ofFd(dir);
    if (looked < 0) return looked;
    mustBeOurs(directory, stat);
    return act(dir);
  } finally {
    close(dir);
  }
}

/**
 * A descriptor of a regular file of the server's own in a private directory, or -errno.
 *
 * @throws VolumeRecordError
 */
export function openPrivate(path: string, flags: number): number {
  return inPrivateDirectory(path, (dir, name) => {
    const fd = openBeneath(dir, name, flags | O_NONBLOCK);
    if (fd === -ELOOP) throw symbolicLink(path);
    if (fd < 0) return fd;
    const looked = stat.ofFd(fd);
    try {
      if (looked === 0) mustBeOurFile(path, stat);
    } catch (error) {
      close(fd);
      throw error;
    }
    if (looked === 0) return fd;
    close(fd);
    return looked;
  });
}

/** Content of such a file. Read in libuv's pool: a disk that hangs holds up no other work. Rejected as of node:fs, or with VolumeRecordError. */
export function readPrivate(path: string): Promise<Buffer> {
  const directory = dirname(path);
  return using(openDirectory(directory), async (dir) => {
    mustBeOurs(directory, await dir.stat());
    return using(openFile(path, dir), async (file) => {
      const found = await file.stat();
      mustBeOurFile(path, found);
      if (found.size > READ_SIZE_MAX) {
        throw new VolumeRecordError(
          `${path} has ${found.size} bytes, and at most ${READ_SIZE_MAX} are read; restore it from a backup of the volume`,
        );
      }
      return file.readFile();
    });
  });
}

async function openDirectory(directory: string): Promise<FileHandle> {
  try {
    return await openForReading(directory, O_DIRECTORY | O_NOFOLLOW);
  } catch (error) {
    // ENOTDIR is said of a symbolic link too; and where the directory above is none, which is another matter.
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOTDIR' || (await lstat(dirname(directory))).isFile()) throw error;
    throw new VolumeRecordError(`${directory} is not a directory: its content is not trusted. Remove it`);
  }
}

/** Opens it below the descriptor of its directory, whatever has that one's name by now. */
async function openFile(path: string, directory: FileHandle): Promise<FileHandle> {
  try {
    return await openForReading(`/proc/self/fd/${directory.fd}/${basename(path)}`, O_NOFOLLOW);
  } catch (error) {
    throw (error as NodeJS.ErrnoException).code === 'ELOOP' ? symbolicLink(path) : error;
  }
}

async function using<T>(opening: Promise<FileHandle>, use: (handle: FileHandle) => Promise<T>): Promise<T> {
  const handle = await opening;
  try {
    return await use(handle);
  } finally {
    await handle.close();
  }
}

const symbolicLink = (path: string): VolumeRecordError =>
  new VolumeRecordError(`${path} is a symbolic link, which is not followed. Remove it, and restore the file`);

function mustBeOurs(directory: string, { uid, mode }: Attributes): void {
  const repair = `chown -R ${SERVER_IDENTITY.uid} "${directory}" && chmod 0700 "${directory}"`;
  const wayOut = `If it is FilerPair's own, repair it (${repair}); otherwise remove it`;
  if (uid !== SERVER_IDENTITY.uid) {
    throw new VolumeRecordError(
      `${directory} belongs to user ${uid} and not to the server (user ${SERVER_IDENTITY.uid}): its content is not trusted. ${wayOut}`,
    );
  }
  if ((mode & S_IFMT) !== S_IFDIR) throw new VolumeRecordError(`${directory} is not a directory`);
  if ((mode & WRITABLE_BY_OTHERS) === 0) return;
  const octal = (mode & 0o7777).toString(8).padStart(4, '0');
  throw new VolumeRecordError(
    `${directory} is writable for others than the server (mode ${octal}): its content is not trusted. ${wayOut}`,
  );
}

function mustBeOurFile(path: string, { uid, mode }: Attributes): void {
  if ((mode & S_IFMT) !== S_IFREG) {
    throw new VolumeRecordError(`${path} is not a regular file; restore it from a backup of the volume`);
  }
  if (uid === SERVER_IDENTITY.uid) return;
  throw new VolumeRecordError(
    `${path} belongs to user ${uid} and not to the server (user ${SERVER_IDENTITY.uid}): its content is not trusted. Restore it from a backup of the volume, or give it to the server (chown ${SERVER_IDENTITY.uid})`,
  );
}
