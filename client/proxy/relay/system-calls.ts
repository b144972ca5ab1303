/**
 * The system calls of a relay thread, by way of the C library. Results are as the kernel has them: an error is the negative
 * errno. Memory is passed by its address (NativeBuffer).
 */
import { constants } from 'node:os';
import { getSystemErrorName } from 'node:util';
import koffi from 'koffi';
import { NativeBuffer } from '../../../native/native-buffer.ts';

const libc = koffi.load('libc.so.6');

type Numbers1 = (a: number) => number;
type Numbers2 = (a: number, b: number) => number;
type Numbers3 = (a: number, b: number, c: number) => number;
type Numbers4 = (a: number, b: number, c: number, d: number) => number;
type Numbers5 = (a: number, b: number, c: number, d: number, e: number) => number;
type Numbers6 = (a: number, b: number, c: number, d: number, e: number, f: number) => number;

const raw = {
  // Only the lower half of a transferred size counts: it is never more than the requested size.
  recv: libc.func('int recv(int fd, int64 buffer, uint64 size, int flags)') as Numbers4,
  send: libc.func('int send(int fd, int64 buffer, uint64 size, int flags)') as Numbers4,
  splice: libc.func(
    'int splice(int from, int64 fromOffset, int to, int64 toOffset, uint64 size, uint flags)',
  ) as Numbers6,
  epollCreate: libc.func('int epoll_create1(int flags)') as Numbers1,
  epollCtl: libc.func('int epoll_ctl(int epoll, int how, int fd, int64 event)') as Numbers4,
  epollWait: libc.func('int epoll_wait(int epoll, int64 events, int count, int timeoutMs)') as Numbers4,
  eventfd: libc.func('int eventfd(uint initial, int flags)') as Numbers2,
  read: libc.func('int read(int fd, int64 buffer, uint64 size)') as Numbers3,
  write: libc.func('int write(int fd, int64 buffer, uint64 size)') as Numbers3,
  socket: libc.func('int socket(int family, int type, int protocol)') as Numbers3,
  connect: libc.func('int connect(int fd, int64 address, uint size)') as Numbers3,
  bind: libc.func('int bind(int fd, int64 address, uint size)') as Numbers3,
  setsockopt: libc.func('int setsockopt(int fd, int level, int name, int64 value, uint size)') as Numbers5,
  getsockopt: libc.func('int getsockopt(int fd, int level, int name, int64 value, int64 size)') as Numbers5,
  pipe: libc.func('int pipe2(int64 fds, int flags)') as Numbers2,
  fcntl: libc.func('int fcntl(int fd, int command, ...)') as (
    fd: number,
    command: number,
    type: string,
    value: number,
  ) => number,
  close: libc.func('int close(int fd)') as Numbers1,
  madvise: libc.func('int madvise(int64 address, uint64 size, int advice)') as Numbers3,
};
const inetPton = libc.func('int inet_pton(int family, const char *text, int64 address)') as (
  family: number,
  text: string,
  address: number,
) => number;
const ifNametoindex = libc.func('uint if_nametoindex(const char *name)') as (name: string) => number;

const { EAGAIN, EINTR } = constants.errno;
/** Nothing to be had now, or no room. */
export const WOULD_BLOCK = -EAGAIN;

/** `ECONNRESET`: of a negative result. */
export const errorName = (result: number): string => getSystemErrorName(result);

/** To be called right after the failed call, before anything else enters the C library. */
const failed = (): number => -koffi.errno();

const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const MSG_MORE = 0x8000;

export function receive(fd: number, address: number, size: number): number {
  const received = raw.recv(fd, address, size, MSG_DONTWAIT);
  return received < 0 ? failed() : received;
}

/** `more`: follows soon; what is sent now may wait for it. */
export function send(fd: number, address: number, size: number, more = false): number {
  const flags = MSG_DONTWAIT | MSG_NOSIGNAL | (more ? MSG_MORE : 0);
  const sent = raw.send(fd, address, size, flags);
  return sent < 0 ? failed() : sent;
}

const SPLICE_F_MOVE = 1;
const SPLICE_F_NONBLOCK = 2;
const SPLICE_F_MORE = 4;

/** `more`: as of send(). */
export function splice(from: number, to: number, size: number, more: boolean): number {
  const flags = SPLICE_F_MOVE | SPLICE_F_NONBLOCK | (more ? SPLICE_F_MORE : 0);
  const moved = raw.splice(from, 0, to, 0, size, flags);
  return moved < 0 ? failed() : moved;
}

export const EPOLLIN = 1;
export const EPOLLOUT = 4;
export const EPOLLERR = 8;
export const EPOLLHUP = 0x10;
export const EPOLLRDHUP = 0x2000;
const EPOLL_CLOEXEC = 0x8_0000;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EPOLL_CTL_MOD = 3;

/** struct epoll_event: 32 bits of events and 64 of data; without a gap on x86-64 only. */
const EVENT_SIZE = process.arch === 'x64' ? 12 : 16;
const DATA_AT = EVENT_SIZE - 8;
const EVENTS_MAX = 64;

/** An epoll instance; data of a descriptor are its number and a mark of the caller's. */
export class Epoll {
  readonly #fd = check('epoll_create1', raw.epollCreate(EPOLL_CLOEXEC));
  readonly #events = new NativeBuffer(EVENT_SIZE * EVENTS_MAX);
  readonly #event = new NativeBuffer(EVENT_SIZE);

  add(fd: number, events: number, mark: number): void {
    this.#control(EPOLL_CTL_ADD, fd, events, mark);
  }

  change(fd: number, events: number, mark: number): void {
    this.#control(EPOLL_CTL_MOD, fd, events, mark);
  }

  remove(fd: number): void {
    raw.epollCtl(this.#fd, EPOLL_CTL_DEL, fd, this.#event.address);
  }

  /** How many descriptors are ready. timeoutMs: -1 for as long as it takes. */
  wait(timeoutMs: number): number {
    const count = raw.epollWait(this.#fd, this.#events.address, EVENTS_MAX, timeoutMs);
    if (count >= 0) return count;
    const errno = koffi.errno();
    if (errno !== EINTR) throw new Error(`epoll_wait: errno ${errno}`);
    return 0;
  }

  eventsAt(index: number): number {
    return this.#events.view.getUint32(index * EVENT_SIZE, true);
  }

  fdAt(index: number): number {
    return this.#events.view.getInt32(index * EVENT_SIZE + DATA_AT, true);
  }

  markAt(index: number): number {
    return this.#events.view.getUint32(index * EVENT_SIZE + DATA_AT + 4, true);
  }

  close(): void {
    raw.close(this.#fd);
  }

  #control(how: number, fd: number, events: number, mark: number): void {
    const { view, address } = this.#event;
    view.setUint32(0, events, true);
    view.setInt32(DATA_AT, fd, true);
    view.setUint32(DATA_AT + 4, mark, true);
    check('epoll_ctl', raw.epollCtl(this.#fd, how, fd, address));
  }
}

const EFD_FLAGS = 0x8_0800;
const word = new NativeBuffer(8);

/** Wakes a thread that waits for it with epoll; any thread may. */
export function openWakeUp(): number {
  return check('eventfd', raw.eventfd(0, EFD_FLAGS));
}

export function wakeUp(fd: number): void {
  word.view.setBigUint64(0, 1n, true);
  raw.write(fd, word.address, 8);
}

export function clearWakeUp(fd: number): void {
  raw.read(fd, word.address, 8);
}

const F_DUPFD_CLOEXEC = 1030;
const F_SETPIPE_SZ = 1031;

/** Another number for what the descriptor is open on. */
export function duplicate(fd: number): number {
  return check('fcntl', raw.fcntl(fd, F_DUPFD_CLOEXEC, 'int', 0));
}

export function close(fd: number): void {
  raw.close(fd);
}

const O_CLOEXEC_NONBLOCK = 0x8_0800;

/** Read and write end. Null: there is none to be had. */
export function openPipe(size: number): { readonly from: number; readonly to: number } | null {
  if (raw.pipe(word.address, O_CLOEXEC_NONBLOCK) < 0) return null;
  const pipe = { from: word.view.getInt32(0, true), to: word.view.getInt32(4, true) };
  // Without privileges a user has some 64 MiB of pipes; then it stays as short as it is.
  raw.fcntl(pipe.to, F_SETPIPE_SZ, 'int', size);
  return pipe;
}

const MADV_DONTNEED = 4;
const PAGE_SIZE = 4096;

/** Gives whole pages of it back to the kernel. What is in them is zeros when they are touched again. */
export function forgetContents({ address, bytes }: NativeBuffer): void {
  const start = Math.ceil(address / PAGE_SIZE) * PAGE_SIZE;
  const end = Math.floor((address + bytes.length) / PAGE_SIZE) * PAGE_SIZE;
  if (end > start) raw.madvise(start, end - start, MADV_DONTNEED);
}

const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_STREAM_FLAGS = 0x8_0801;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SO_ERROR = 4;
const SO_KEEPALIVE = 9;
const SO_LINGER = 13;
const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;
const TCP_KEEPIDLE = 4;
const TCP_KEEPINTVL = 5;
const TCP_KEEPCNT = 6;
const SOCKADDR_SIZE = 28;

/** A machine that vanished is noticed after this time and ten probes, a second apart. Seconds. */
const KEEP_ALIVE_S = 10;

const option = new NativeBuffer(8);
const optionSize = new NativeBuffer(4);

function setOption(fd: number, level: number, name: number, value: number): void {
  option.view.setInt32(0, value, true);
  raw.setsockopt(fd, level, name, option.address, 4);
}

/** struct sockaddr_in or sockaddr_in6 of an address in text. Null: it is none. */
export function socketAddress(host: string, port: number): NativeBuffer | null {
  const address = new NativeBuffer(SOCKADDR_SIZE);
  const { view } = address;
  view.setUint16(2, port);
  if (!host.includes(':')) {
    view.setUint16(0, AF_INET, true);
    return inetPton(AF_INET, host, address.address + 4) === 1 ? address : null;
  }
  const [text, zone] = host.split('%') as [string, string | undefined];
  view.setUint16(0, AF_INET6, true);
  if (zone !== undefined) view.setUint32(24, /^\d+$/.test(zone) ? Number(zone) : ifNametoindex(zone), true);
  return inetPton(AF_INET6, text, address.address + 8) === 1 ? address : null;
}

/** A TCP socket of the address's family that does not block. A negative errno: there is none to be had. */
export function openSocket(address: NativeBuffer): number {
  const fd = raw.socket(address.view.getUint16(0, true), SOCK_STREAM_FLAGS, 0);
  if (fd < 0) return failed();
  setOption(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  setOption(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  setOption(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEP_ALIVE_S);
  setOption(fd, IPPROTO_TCP, TCP_KEEPINTVL, 1);
  setOption(fd, IPPROTO_TCP, TCP_KEEPCNT, 10);
  return fd;
}

/** `address`: of the other side; the same kind for any address of this machine. 0, or a negative errno. */
export function bindPort(fd: number, address: NativeBuffer, port: number): number {
  const local = new NativeBuffer(SOCKADDR_SIZE);
  local.view.setUint16(0, address.view.getUint16(0, true), true);
  local.view.setUint16(2, port);
  setOption(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  return raw.bind(fd, local.address, sizeOf(local)) < 0 ? failed() : 0;
}

/** 0: connected; -EINPROGRESS: soon; another negative errno. */
export function connect(fd: number, address: NativeBuffer): number {
  return raw.connect(fd, address.address, sizeOf(address)) < 0 ? failed() : 0;
}

/** The errno of what has gone wrong with the socket since it was asked last, or 0. */
export function socketError(fd: number): number {
  optionSize.view.setUint32(0, 4, true);
  raw.getsockopt(fd, SOL_SOCKET, SO_ERROR, option.address, optionSize.address);
  return option.view.getInt32(0, true);
}

/** Ends the connection with a reset: nothing that is still in the kernel's buffers is delivered. */
export function resetAndClose(fd: number): void {
  option.view.setInt32(0, 1, true);
  option.view.setInt32(4, 0, true);
  raw.setsockopt(fd, SOL_SOCKET, SO_LINGER, option.address, 8);
  raw.close(fd);
}

function sizeOf(address: NativeBuffer): number {
  return address.view.getUint16(0, true) === AF_INET ? 16 : SOCKADDR_SIZE;
}

function check(what: string, result: number): number {
  if (result < 0) throw new Error(`${what}: errno ${koffi.errno()}`);
  return result;
}
