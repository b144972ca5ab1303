/**
 * Closes descriptors of removed objects in libuv's pool, many at a time. The last close of an object without a name gives back
 * its space, which no thread that serves others should do itself.
 */

import { read } from 'node:fs';
import koffi from 'koffi';
import { NativeBuffer } from '../../native/native-buffer.ts';
import { close } from './file-calls.ts';
import { nextTurn } from './turns.ts';

// To give back space takes 12 us for an empty file of ext4, and much longer for a large one whose extents have to be read first. On a
// frozen or stuck disk it has no end.
//
// There is no system call for many descriptors that lie anywhere, and a turn of the pool for each would cost more than most
// closings. So they travel in a message (SCM_RIGHTS, unix(7)) of a socket whose other end is ours too. The message holds the
// objects, which makes closing the descriptors themselves a trifle. The thread that reads it with read(2), which takes no
// descriptors, closes the objects.
//
//   close(fd) ... close(fd)  -->  sendmsg(fds), close of each     in this thread, at the end of a turn
//                                 read: objects are closed        in the pool
//
// One message at a time: a stuck disk takes one thread of a pool that belongs to the whole process (see flush-queue.ts).

type Call = (...args: number[]) => number;
const libc = koffi.load('libc.so.6');
const c_socketpair = libc.func('int socketpair(int domain, int type, int protocol, int64 fds)') as Call;
const c_sendmsg = libc.func('int64 sendmsg(int fd, int64 message, int flags)') as Call;

const AF_UNIX = 1;
/** Each read() reads the bytes of one sendmsg(). */
const SOCK_SEQPACKET = 5;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
/** Descriptors in one message: the kernel's SCM_MAX_FD. */
const MESSAGE_MAX = 253;

/** struct msghdr and what it points to: struct iovec with one byte of data, struct cmsghdr with the descriptors. */
const VECTOR = { pointer: 16, count: 24 };
const CONTROL = { pointer: 32, size: 40 };
const VECTOR_AT = 56;
const DATA_AT = 72;
const CONTROL_AT = 80;
const CONTROL_HEADER = { size: 0, level: 8, type: 12 };
const DESCRIPTORS_AT = CONTROL_AT + 16;
const DESCRIPTOR_SIZE = 4;

interface Waiter {
  /** How many must have been closed. */
  readonly until: number;
  readonly done: () => void;
  readonly timer: NodeJS.Timeout | null;
}

export class CloseQueue {
  #message: NativeBuffer | null;
  readonly #into: Uint8Array;
  /** The socket's ends; -1: none yet, or no more. */
  #sender: number;
  #receiver: number;
  /** Those that no message holds yet. */
  #fds: number[];
  /** Number of descriptors in the message under way. */
  #closing: number;
  /** Number of all descriptors that were taken over. */
  #taken: number;
  #closed: number;
  #waiters: Waiter[];
  #scheduled: boolean;
  #ended: boolean;

  constructor() {
    this.#message = null;
    this.#into = new Uint8Array(1);
    this.#sender = -1;
    this.#receiver = -1;
    this.#fds = [];
    this.#closing = 0;
    this.#taken = 0;
    this.#closed = 0;
    this.#waiters = [];
    this.#scheduled = false;
    this.#ended = false;
  }

  /** Everything that it has taken over is closed. */
  get isEmpty(): boolean {
    return this.#closed === this.#taken;
  }

  /** Takes over a descriptor. After end() it is closed at once: nobody waits for this thread any more. */
  close(fd: number): void {
    if (this.#ended) {
      close(fd);
      return;
    }
    this.#fds.push(fd);
    this.#taken += 1;
    if (this.#scheduled) return;
    this.#scheduled = true;
    nextTurn(() => {
      this.#scheduled = false;
      this.#send();
    });
  }

  /** Calls back when all that it has taken over until now is closed, or after msMax (null: not before); at once if it is. */
  whenClosed(done: () => void, msMax: number | null): void {
    this.#send();
    if (this.isEmpty) {
      done();
      return;
    }
    const timer = msMax === null ? null : setTimeout(() => this.#giveUp(waiter), msMax);
    const waiter: Waiter = { until: this.#taken, done, timer };
    this.#waiters.push(waiter);
  }

  /** Takes over no more. Resolves when all that it has taken over is closed, however long that takes. */
  end(): Promise<void> {
    this.#ended = true;
    return new Promise((resolve) => {
      const ended = (): void => {
        this.#closeSocket();
        resolve();
      };
      this.whenClosed(ended, null);
    });
  }

  #giveUp(waiter: Waiter): void {
    this.#waiters = this.#waiters.filter((one) => one !== waiter);
    waiter.done();
  }

  /** The next message, unless one is under way: then its end comes back to this. */
  #send(): void {
    if (this.#closing > 0 || this.#fds.length === 0) return;
    const fds = this.#fds.splice(0, MESSAGE_MAX);
    const holds = this.#open() && this.#sendMessage(fds);
    for (const fd of fds) close(fd);
    if (!holds) {
      this.#noteClosed(fds.length);
      return;
    }
    this.#closing = fds.length;
    read(this.#receiver, this.#into, 0, 1, null, () => this.#noteClosed(this.#closing));
  }

  #noteClosed(count: number): void {
    this.#closing = 0;
    this.#closed += count;
    const closed = this.#closed;
    while (this.#waiters[0] !== undefined && this.#waiters[0].until <= closed) {
      const { timer, done } = this.#waiters.shift()!;
      if (timer !== null) clearTimeout(timer);
      done();
    }
    this.#send();
  }

  #open(): boolean {
    if (this.#sender >= 0) return true;
    this.#message ??= makeMessage();
    const { address, view } = this.#message;
    if (c_socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, address + DESCRIPTORS_AT) < 0) return false;
    this.#sender = view.getInt32(DESCRIPTORS_AT, true);
    this.#receiver = view.getInt32(DESCRIPTORS_AT + DESCRIPTOR_SIZE, true);
    return true;
  }

  /** false: the kernel does not take it (too many descriptors of this user are under way, RLIMIT_NOFILE). */
  #sendMessage(fds: readonly number[]): boolean {
    const { view, address } = this.#message!;
    let at = DESCRIPTORS_AT;
    for (const fd of fds) {
      view.setInt32(at, fd, true);
      at += DESCRIPTOR_SIZE;
    }
    const size = BigInt(at - CONTROL_AT);
    view.setBigUint64(CONTROL_AT + CONTROL_HEADER.size, size, true);
    view.setBigUint64(CONTROL.size, size, true);
    return c_sendmsg(this.#sender, address, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
  }

  #closeSocket(): void {
    if (this.#sender < 0) return;
    close(this.#sender);
    close(this.#receiver);
    this.#sender = -1;
    this.#receiver = -1;
  }
}

/** Makes a message that lacks only the descriptors. Little-endian, as the supported machines are (x86-64, arm64). */
function makeMessage(): NativeBuffer {
  const message = new NativeBuffer(DESCRIPTORS_AT + DESCRIPTOR_SIZE * MESSAGE_MAX);
  const { address, view } = message;
  view.setBigUint64(VECTOR.pointer, BigInt(address + VECTOR_AT), true);
  view.setBigUint64(VECTOR.count, 1n, true);
  view.setBigUint64(CONTROL.pointer, BigInt(address + CONTROL_AT), true);
  view.setBigUint64(VECTOR_AT, BigInt(address + DATA_AT), true);
  view.setBigUint64(VECTOR_AT + 8, 1n, true);
  view.setInt32(CONTROL_AT + CONTROL_HEADER.level, SOL_SOCKET, true);
  view.setInt32(CONTROL_AT + CONTROL_HEADER.type, SCM_RIGHTS, true);
  return message;
}
