/** A netlink socket: a request goes to the kernel and its answer is there when the call returns. Linux only. */
import { closeSync, openSync } from 'node:fs';
import { constants, endianness } from 'node:os';
import { getSystemErrorName } from 'node:util';
import koffi from 'koffi';
import { decodeReply, encodeMessages, type Message, type Reply } from './message.ts';

// The kernel executes a request within sendto(), and puts the answer into the socket's queue before it returns. So nothing here
// waits, and no callback comes between two requests of one failover.

const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_RCVBUFFORCE = 33;
/** Size of a struct sockaddr_nl: family, padding, port id, mask of groups. Bytes. */
const ADDRESS_SIZE = 12;
const GROUPS_AT = 8;
const MSG_DONTWAIT = 0x40;
const CLONE_NEWNET = 0x40000000;

export const NETLINK_SOCK_DIAG = 4;
export const NETLINK_NETFILTER = 12;

/** Largest datagram of a dump; the kernel makes none larger. Bytes. */
const RECEIVE_SIZE = 64 * 1024;
/** Room for the answers to a large transaction. Bytes. */
const QUEUE_SIZE = 4 * 1024 * 1024;

const { EAGAIN, EINTR, ENOBUFS } = constants.errno;

interface Calls {
  readonly socket: (domain: number, type: number, protocol: number) => number;
  readonly setsockopt: (fd: number, level: number, name: number, value: Buffer, size: number) => number;
  readonly bind: (fd: number, address: Buffer, size: number) => number;
  readonly send: (fd: number, bytes: Uint8Array, size: number, flags: number) => number;
  readonly recv: (fd: number, bytes: Uint8Array, size: number, flags: number) => number;
  readonly setns: (fd: number, type: number) => number;
  readonly unshare: (flags: number) => number;
}

let loaded: Calls | null = null;

/** On first use: programs that never need it run where there is no such library. */
function calls(): Calls {
  if (loaded !== null) return loaded;
  const libc = koffi.load('libc.so.6');
  const func = <F>(signature: string): F => libc.func(signature) as F;
  loaded = {
    socket: func('int socket(int domain, int type, int protocol)'),
    setsockopt: func('int setsockopt(int fd, int level, int name, void *value, uint size)'),
    bind: func('int bind(int fd, void *address, uint size)'),
    send: func('long send(int fd, void *bytes, ulong size, int flags)'),
    recv: func('long recv(int fd, void *bytes, ulong size, int flags)'),
    setns: func('int setns(int fd, int type)'),
    unshare: func('int unshare(int flags)'),
  };
  return loaded;
}

/** A request that the kernel refused. */
export class NetlinkError extends Error {
  readonly errno: number;
  /** Which message of the request. */
  readonly index: number;

  constructor(what: string, errno: number, index = 0) {
    super(`${what}: ${errnoName(errno)}`);
    this.name = 'NetlinkError';
    this.errno = errno;
    this.index = index;
  }
}

export function errnoName(errno: number): string {
  try {
    return getSystemErrorName(-errno);
  } catch {
    return `errno ${errno}`;
  }
}

/**
 * Runs `work` in the network namespace that the file names (`/run/netns/NAME`); sockets that it opens stay there. `work` must be
 * synchronous: it is the thread that changes its namespace. Throws NetlinkError: EPERM without CAP_SYS_ADMIN.
 */
export function inNamespace<T>(file: string | null, work: () => T): T {
  if (file === null) return work();
  return elsewhere(() => {
    const other = openSync(file, 'r');
    try {
      if (calls().setns(other, CLONE_NEWNET) !== 0) throw new NetlinkError(`setns ${file}`, koffi.errno());
    } finally {
      closeSync(other);
    }
  }, work);
}

/** The same in a new network namespace, which ends with the last socket that `work` leaves there. */
export function inScratchNamespace<T>(work: () => T): T {
  return elsewhere(() => {
    if (calls().unshare(CLONE_NEWNET) !== 0) throw new NetlinkError('unshare', koffi.errno());
  }, work);
}

function elsewhere<T>(enter: () => void, work: () => T): T {
  const own = openSync('/proc/thread-self/ns/net', 'r');
  try {
    enter();
    try {
      return work();
    } finally {
      // A thread that stayed there would open every later socket in the wrong namespace.
      if (calls().setns(own, CLONE_NEWNET) !== 0) process.abort();
    }
  } finally {
    closeSync(own);
  }
}

export class NetlinkSocket {
  readonly #fd: number;
  readonly #buffer = Buffer.alloc(RECEIVE_SIZE);
  #sequence = 1;

  /** `namespace`: the file of a network namespace; null for this process's own. Throws NetlinkError. */
  constructor(protocol: number, namespace: string | null = null) {
    if (endianness() !== 'LE')
      throw new Error('netlink messages are written for little-endian machines only');
    this.#fd = inNamespace(namespace, () => calls().socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol));
    if (this.#fd < 0) throw new NetlinkError('socket AF_NETLINK', koffi.errno());
    const size = Buffer.alloc(4);
    size.writeUInt32LE(QUEUE_SIZE);
    // Needs CAP_NET_ADMIN, as all that follows does; without it the default has to do.
    calls().setsockopt(this.#fd, SOL_SOCKET, SO_RCVBUFFORCE, size, size.length);
  }

  /** Sends the messages together and returns what the kernel says. Throws NetlinkError if they cannot be sent. */
  request(messages: readonly Message[]): Reply {
    const sequence = this.#sequence;
    this.#sequence = (sequence + messages.length) % 0x7fff_ffff;
    const bytes = encodeMessages(messages, sequence);
    while (calls().send(this.#fd, bytes, bytes.length, 0) < 0) {
      const errno = koffi.errno();
      if (errno !== EINTR) throw new NetlinkError('netlink send', errno);
    }
    return decodeReply(this.#receive(), sequence);
  }

  /** For poll(2). */
  get fd(): number {
    return this.#fd;
  }

  /** From now on the kernel tells what happens in a multicast group, 1 to 32. Throws NetlinkError. */
  subscribe(group: number): void {
    // A socket without a port id hears nothing of what is told to all but 0: so it is bound.
    const address = Buffer.alloc(ADDRESS_SIZE);
    address.writeUInt16LE(AF_NETLINK);
    address.writeUInt32LE(2 ** (group - 1), GROUPS_AT);
    if (calls().bind(this.#fd, address, address.length) !== 0)
      throw new NetlinkError(`netlink group ${group}`, koffi.errno());
  }

  /** Takes what the kernel has told, or has lost for want of room. False: nothing. Throws NetlinkError. */
  discard(): boolean {
    let isAny = false;
    for (;;) {
      if (calls().recv(this.#fd, this.#buffer, RECEIVE_SIZE, MSG_DONTWAIT) >= 0) {
        isAny = true;
        continue;
      }
      const errno = koffi.errno();
      if (errno === EAGAIN) return isAny;
      if (errno === ENOBUFS) isAny = true;
      else if (errno !== EINTR) throw new NetlinkError('netlink recv', errno);
    }
  }

  close(): void {
    closeSync(this.#fd);
  }

  #receive(): Buffer[] {
    const datagrams: Buffer[] = [];
    for (;;) {
      const size = calls().recv(this.#fd, this.#buffer, RECEIVE_SIZE, MSG_DONTWAIT);
      if (size > 0) {
        datagrams.push(Buffer.from(this.#buffer.subarray(0, size)));
        continue;
      }
      const errno = size < 0 ? koffi.errno() : EAGAIN;
      if (errno === EAGAIN) return datagrams;
      if (errno !== EINTR) throw new NetlinkError('netlink recv', errno);
    }
  }
}
