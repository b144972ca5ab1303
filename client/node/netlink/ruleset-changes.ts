/**
 * Tells at once when the rules of nf_tables have changed in some network namespaces. Waits in one thread of libuv's pool, so that the
 * process does nothing meanwhile.
 */
import { closeSync, writeSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import koffi from 'koffi';
import { NETLINK_NETFILTER, NetlinkError, NetlinkSocket } from './socket.ts';

/** Multicast group of nfnetlink: NFNLGRP_NFTABLES. */
const GROUP_NFTABLES = 7;
const EFD_CLOEXEC = 0o2000000;
const POLLIN = 1;
/** Size of a struct pollfd: a descriptor and two masks of 16 bits. Bytes. */
const POLLFD_SIZE = 8;
const MASKS_AT = 4;
/** Forever: close() ends the wait. */
const NO_TIMEOUT_MS = -1;
/** Transactions often come several at a time: changes within this time are told together. Ms. */
const TOGETHER_MS = 10;

export interface WatchedRules {
  /** File of the network namespace; null: this process's own. */
  readonly namespace: string | null;
  /** Called after a transaction of any program, this one included. */
  readonly changed: () => void;
}

/** poll(2), in a thread of the pool. */
type PollLater = (entries: Buffer, count: number, timeoutMs: number, ended: () => void) => void;

interface Calls {
  readonly eventfd: (count: number, flags: number) => number;
  readonly poll: { readonly async: PollLater };
}

function calls(): Calls {
  const libc = koffi.load('libc.so.6');
  return {
    eventfd: libc.func('int eventfd(uint count, int flags)') as Calls['eventfd'],
    poll: libc.func('int poll(void *fds, ulong count, int timeout)') as unknown as Calls['poll'],
  };
}

export class RulesetChanges {
  readonly #watched: readonly WatchedRules[];
  readonly #sockets: readonly NetlinkSocket[];
  readonly #poll: Calls['poll'];
  /** Ends the wait: process.exit() would wait for the thread. */
  readonly #wake: number;
  #closed = false;

  /** Throws NetlinkError: EPERM without CAP_NET_ADMIN. */
  constructor(watched: readonly WatchedRules[]) {
    const { eventfd, poll } = calls();
    this.#poll = poll;
    this.#watched = watched;
    this.#sockets = watched.map(({ namespace }) => {
      const socket = new NetlinkSocket(NETLINK_NETFILTER, namespace);
      socket.subscribe(GROUP_NFTABLES);
      return socket;
    });
    this.#wake = eventfd(0, EFD_CLOEXEC);
    if (this.#wake < 0) throw new NetlinkError('eventfd', koffi.errno());
    process.once('exit', this.#endWait);
    void this.#watch();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    process.off('exit', this.#endWait);
    this.#endWait();
  }

  readonly #endWait = (): void => {
    const one = Buffer.alloc(8);
    one.writeBigUInt64LE(1n);
    writeSync(this.#wake, one);
  };

  async #watch(): Promise<void> {
    while (!this.#closed) {
      await this.#anyReadable();
      if (this.#closed) break;
      for (const [index, socket] of this.#sockets.entries())
        if (socket.discard()) this.#watched[index]!.changed();
      await delay(TOGETHER_MS);
    }
    // Not before: a descriptor's number must not be used again while a thread polls it.
    for (const socket of this.#sockets) socket.close();
    closeSync(this.#wake);
  }

  #anyReadable(): Promise<void> {
    const fds = [...this.#sockets.map(({ fd }) => fd), this.#wake];
    const entries = Buffer.alloc(fds.length * POLLFD_SIZE);
    for (const [index, fd] of fds.entries()) {
      entries.writeInt32LE(fd, index * POLLFD_SIZE);
      entries.writeInt16LE(POLLIN, index * POLLFD_SIZE + MASKS_AT);
    }
    // A failure is an interruption (EINTR): it is asked again.
    return new Promise((resolve) => this.#poll.async(entries, fds.length, NO_TIMEOUT_MS, () => resolve()));
  }
}
