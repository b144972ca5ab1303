/** System calls on files by directory descriptor and name, as a file server needs them. */
import { constants } from 'node:fs';
import { constants as osConstants } from 'node:os';
import koffi from 'koffi';
import { NativeBuffer } from '../../native/native-buffer.ts';
import { changingCall, systemCall } from './libc.ts';
import type { WriteGate } from './write-gate.ts';

// Why not node:fs: it takes paths, and a path walks through whatever somebody puts in its way; it has no O_PATH
// work, no *at calls, no birth time, and reports errors by throwing. Here names are bytes (any but NUL and `/`,
// UTF-8 or not), every result is a number, and an error is the negative errno, as the kernel itself says it.
//
// Nothing allocates: names are copied into one buffer of the thread and ended with NUL there. So none of these
// functions may be called with a name that contains NUL; names.ts refuses such names before.
//
// Functions that change something take the volume's gate first (write-gate.ts).

export const AT_FDCWD = -100;
export const AT_SYMLINK_NOFOLLOW = 0x100;
export const AT_REMOVEDIR = 0x200;
export const AT_SYMLINK_FOLLOW = 0x400;
export const AT_EMPTY_PATH = 0x1000;

const { O_CREAT, O_TRUNC } = constants;
const { ENOSYS, EPERM } = osConstants.errno;
const SLASH = 0x2f;
export const { O_RDONLY, O_WRONLY, O_RDWR, O_EXCL, O_NOFOLLOW, O_DIRECTORY, O_NONBLOCK, O_DSYNC } = constants;
/** Missing in node:fs; the same on all architectures that Node 24 supports on Linux. */
export const O_PATH = 0o10000000;
export const O_CLOEXEC = 0o2000000;

/** Longest path handed to the kernel here, with its NUL. Names are at most 255 bytes, link targets 4095. */
const PATH_SIZE = 4096;

const libc = koffi.load('libc.so.6');

type Call = (...args: number[]) => number;
const c_openat = systemCall<Call>('openat', 'int openat(int dir, int64 path, int flags, uint32 mode)');
const c_creatingOpenat = changingCall<Call>(
  'openat',
  'int openat(int dir, int64 path, int flags, uint32 mode)',
);
const c_openat2 = systemCall<Call>('openat2', 'int64 syscall(int64 number, int64, int64, int64, int64)');
const c_openat2Beneath = systemCall<Call>(null, 'int64 syscall(int64 number, int64, int64, int64, int64)');
const c_fcntl = systemCall<Call>(null, 'int fcntl(int fd, int command, int64 argument)');
const c_close = libc.func('int close(int fd)') as Call;
const c_mkdirat = changingCall<Call>('mkdirat', 'int mkdirat(int dir, int64 path, uint32 mode)');
const c_mknodat = changingCall<Call>('mknodat', 'int mknodat(int dir, int64 path, uint32 mode, uint64 dev)');
const c_unlinkat = changingCall<Call>('unlinkat', 'int unlinkat(int dir, int64 path, int flags)');
const c_renameat = changingCall<Call>(
  'renameat',
  'int renameat(int fromDir, int64 from, int toDir, int64 to)',
);
const c_linkat = changingCall<Call>(
  'linkat',
  'int linkat(int fromDir, int64 from, int dir, int64 name, int flags)',
);
const c_symlinkat = changingCall<Call>('symlinkat', 'int symlinkat(int64 target, int dir, int64 name)');
const c_readlinkat = systemCall<Call>(
  'readlinkat',
  'int64 readlinkat(int dir, int64 path, int64 buffer, uint64 size)',
);
const c_readlinkatOfProc = systemCall<Call>(
  null,
  'int64 readlinkat(int dir, int64 path, int64 buffer, uint64 size)',
);
const c_fchmodat = changingCall<Call>(
  'fchmodat',
  'int fchmodat(int dir, int64 path, uint32 mode, int flags)',
);
const c_fchownat = changingCall<Call>(
  'fchownat',
  'int fchownat(int dir, int64 path, uint32 uid, uint32 gid, int flags)',
);
const c_utimensat = changingCall<Call>(
  'utimensat',
  'int utimensat(int dir, int64 path, int64 times, int flags)',
);
const c_umask = libc.func('uint32 umask(uint32 mask)') as Call;
const c_unshare = libc.func('int unshare(int flags)') as Call;

const first = new NativeBuffer(PATH_SIZE);
const second = new NativeBuffer(PATH_SIZE);
const times = new NativeBuffer(32);
/** struct open_how: flags, mode, resolve, 64 bits each. */
const openHow = new NativeBuffer(24);
const linkTarget = new NativeBuffer(PATH_SIZE);
const empty = new NativeBuffer(8);

/** Address of a path of no bytes: with AT_EMPTY_PATH, the descriptor itself. Asked for at each call (NativeBuffer says why). */
export function emptyPathAddress(): number {
  return empty.address;
}

/** Copies a name into the thread's first path buffer, ends it with NUL, returns its address. */
export function pathAddress(name: Uint8Array): number {
  return fill(first, name);
}

function fill(buffer: NativeBuffer, name: Uint8Array): number {
  const { bytes } = buffer;
  const size = name.length;
  if (size >= PATH_SIZE) throw new RangeError(`a path of ${size} bytes`);
  if (size > 48) bytes.set(name);
  else for (let i = 0; i < size; i++) bytes[i] = name[i]!;
  bytes[size] = 0;
  return buffer.address;
}

const PROC_FD = new TextEncoder().encode('/proc/self/fd/');

/** `/proc/self/fd/N`: reaches an O_PATH descriptor where a call has no AT_EMPTY_PATH, or wants a real open. */
function procAddress(fd: number): number {
  const { bytes } = first;
  bytes.set(PROC_FD);
  let at = PROC_FD.length;
  let divisor = 1;
  while (divisor * 10 <= fd) divisor *= 10;
  for (; divisor >= 1; divisor = Math.floor(divisor / 10)) {
    bytes[at++] = 48 + (Math.floor(fd / divisor) % 10);
    if (divisor === 1) break;
  }
  bytes[at] = 0;
  return first.address;
}

/** A descriptor >= 0; O_CLOEXEC is added. Changes nothing: see createAt(). */
export function openAt(dir: number, name: Uint8Array, flags: number): number {
  if ((flags & (O_CREAT | O_TRUNC)) !== 0) throw new RangeError('files are created with createAt()');
  return c_openat(dir, pathAddress(name), flags | O_CLOEXEC, 0);
}

/** The same, of a file that is made if it is not there (with O_EXCL: only then); O_CREAT is added. */
export function createAt(
  gate: WriteGate,
  dir: number,
  name: Uint8Array,
  flags: number,
  mode: number,
): number {
  return c_creatingOpenat(gate, dir, pathAddress(name), flags | O_CREAT | O_CLOEXEC, mode);
}

const SYS_OPENAT2 = 437;
export const RESOLVE_CACHED = 0x20;
const OPEN_HOW_SIZE = 24;

/**
 * An O_PATH descriptor of the name itself, a symbolic link not followed, if the kernel has all it takes in memory. It returns -EAGAIN
 * if the kernel would have to ask the disk, or another thread is just changing the directory. Never waits for a disk. Linux 5.12; -ENOSYS or -EINVAL
 * before, -EPERM where a container's filter knows no openat2.
 */
export function openCachedAt(dir: number, name: Uint8Array): number {
  const { view } = openHow;
  view.setUint32(0, O_PATH | O_NOFOLLOW | O_CLOEXEC, true);
  view.setUint32(16, RESOLVE_CACHED, true);
  return c_openat2(SYS_OPENAT2, dir, pathAddress(name), openHow.address, OPEN_HOW_SIZE);
}

const RESOLVE_NO_XDEV = 0x01;
const RESOLVE_NO_MAGICLINKS = 0x02;
const RESOLVE_NO_SYMLINKS = 0x04;
const RESOLVE_BENEATH = 0x08;
const RESOLVE_STAY = RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH;

/**
 * A descriptor, or -errno, of what lies below a directory on the same mount; through symbolic links nothing does (ELOOP). `path`:
 * a name, or a relative path. Linux 5.6; where the kernel or a container's filter knows no openat2 a single name is opened
 * without following it, which is the same, and a longer path is -ENOSYS.
 */
export function openBeneath(dir: number, path: Uint8Array, flags: number, resolve = 0): number {
  const { view } = openHow;
  view.setUint32(0, flags | O_CLOEXEC, true);
  view.setUint32(16, RESOLVE_STAY | resolve, true);
  const fd = c_openat2Beneath(SYS_OPENAT2, dir, pathAddress(path), openHow.address, OPEN_HOW_SIZE);
  if (fd !== -ENOSYS && fd !== -EPERM) return fd;
  return path.includes(SLASH) ? -ENOSYS : openAt(dir, path, flags | O_NOFOLLOW);
}

/** Opens what an O_PATH descriptor stands for. Not for symbolic links (ELOOP) and not for devices or fifos. */
export function reopen(pathFd: number, flags: number): number {
  return c_openat(AT_FDCWD, procAddress(pathFd), flags | O_CLOEXEC | O_NONBLOCK, 0);
}

const F_DUPFD_CLOEXEC = 1030;

/** Another descriptor of the same open file or socket, or -errno. */
export function duplicate(fd: number): number {
  return c_fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

/** Errors are of no use to anybody: the descriptor is gone either way. An fsync has flushed the data before. */
export function close(fd: number): void {
  c_close(fd);
}

export function makeDirectoryAt(gate: WriteGate, dir: number, name: Uint8Array, mode: number): number {
  return c_mkdirat(gate, dir, pathAddress(name), mode);
}

/** mode: type and permission bits. The device's numbers count for character and block devices only. */
export function makeNodeAt(
  gate: WriteGate,
  dir: number,
  name: Uint8Array,
  mode: number,
  major: number,
  minor: number,
): number {
  return c_mknodat(gate, dir, pathAddress(name), mode, makeDevice(major, minor));
}

/** glibc's makedev(): major and minor woven into 64 bits; below 2^44 for what Linux accepts (12 + 20 bits). */
function makeDevice(major: number, minor: number): number {
  return (minor & 0xff) + (major & 0xfff) * 0x100 + ((minor >>> 8) & 0xfff) * 0x100000;
}

/** flags: 0 or AT_REMOVEDIR. */
export function unlinkAt(gate: WriteGate, dir: number, name: Uint8Array, flags: number): number {
  return c_unlinkat(gate, dir, pathAddress(name), flags);
}

export function renameAt(
  gate: WriteGate,
  fromDir: number,
  from: Uint8Array,
  toDir: number,
  to: Uint8Array,
): number {
  return c_renameat(gate, fromDir, fill(first, from), toDir, fill(second, to));
}

/**
 * A new name for what `pathFd` stands for. By way of /proc, since AT_EMPTY_PATH wants CAP_DAC_READ_SEARCH, which
 * a thread with a user's fsuid does not have.
 */
export function linkFrom(gate: WriteGate, pathFd: number, dir: number, name: Uint8Array): number {
  return c_linkat(gate, AT_FDCWD, procAddress(pathFd), dir, fill(second, name), AT_SYMLINK_FOLLOW);
}

export function makeSymbolicLinkAt(
  gate: WriteGate,
  target: Uint8Array,
  dir: number,
  name: Uint8Array,
): number {
  return c_symlinkat(gate, fill(first, target), dir, fill(second, name));
}

/** Target of the symbolic link that an O_PATH descriptor stands for: a view, valid until the next call; or -errno. */
export function readLink(pathFd: number): Uint8Array | number {
  const size = c_readlinkat(pathFd, empty.address, linkTarget.address, PATH_SIZE);
  return size < 0 ? size : linkTarget.bytes.subarray(0, size);
}

/**
 * Where an open file lies, as the kernel writes it: a view, valid until the next call; or -errno. Of something that it knows by no
 * name (opened by handle, and nothing above it in memory) the path is none that leads there. Never waits for a disk.
 */
export function pathOf(fd: number): Uint8Array | number {
  const size = c_readlinkatOfProc(AT_FDCWD, procAddress(fd), linkTarget.address, PATH_SIZE);
  return size < 0 ? size : linkTarget.bytes.subarray(0, size);
}

/** Works on O_PATH descriptors of all kernels (fchmodat2 with AT_EMPTY_PATH came only with 6.6). */
export function changeMode(gate: WriteGate, pathFd: number, mode: number): number {
  return c_fchmodat(gate, AT_FDCWD, procAddress(pathFd), mode, 0);
}

/** "Leave it" for either id. */
export const ID_UNCHANGED = 0xffffffff;

export function changeOwner(gate: WriteGate, pathFd: number, uid: number, gid: number): number {
  return c_fchownat(gate, pathFd, empty.address, uid, gid, AT_EMPTY_PATH);
}

/** nanoseconds of utimensat(2): set to the server's clock; leave alone. */
export const UTIME_NOW = 0x3fffffff;
export const UTIME_OMIT = 0x3ffffffe;

/** Seconds may be negative (before 1970). Needs Linux 5.8 (AT_EMPTY_PATH). */
export function changeTimes(
  gate: WriteGate,
  pathFd: number,
  atimeSeconds: number,
  atimeNanoseconds: number,
  mtimeSeconds: number,
  mtimeNanoseconds: number,
): number {
  const { view } = times;
  setTime(view, 0, atimeSeconds, atimeNanoseconds);
  setTime(view, 16, mtimeSeconds, mtimeNanoseconds);
  return c_utimensat(gate, pathFd, empty.address, times.address, AT_EMPTY_PATH);
}

function setTime(view: DataView, at: number, seconds: number, nanoseconds: number): void {
  view.setInt32(at, seconds | 0, true);
  view.setInt32(at + 4, Math.floor(seconds / 4294967296), true);
  view.setUint32(at + 8, nanoseconds, true);
  view.setUint32(at + 12, 0, true);
}

const CLONE_FS = 0x200;

/**
 * Sets the file mode mask to 0: the mode of a new file is what the client asked for. For this thread alone where
 * the kernel lets it part with the process (`own`); some containers' system call filters don't, then for all
 * (`shared`).
 */
export function clearUmask(): 'own' | 'shared' {
  const unshared = c_unshare(CLONE_FS) === 0;
  c_umask(0);
  return unshared ? 'own' : 'shared';
}
