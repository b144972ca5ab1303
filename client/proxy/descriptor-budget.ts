/**
 * How many file descriptors a proxy may use. When none is left, libuv accepts a connection only to close it at once, and an NFS
 * client then connects again without a pause; so the proxy stops before that.
 */
import { readdirSync, readFileSync } from 'node:fs';

/** Kept back for files, name servers and what is opened while connections stop being accepted. */
const RESERVE_PART = 8;
const RESERVE_MIN = 24;
/** A client's connection, its own to the server, and an attempt to reach another. */
const OF_CLIENT = 3;
/** Descriptors that a thread takes, generously. */
const OF_THREAD = 12;
/** Pipes of a relay thread: two descriptors each. Where descriptors are few, most replies are copied instead. */
const PIPES_MAX = 16;
const PIPES_PART = 64;
/** Node's default. */
export const BACKLOG_MAX = 511;

export class DescriptorBudget {
  readonly #limit: number;
  /** Descriptors that the process had open when it began to count. */
  readonly #base: number;
  readonly #countSockets: () => number;

  /** `countSockets`: of this process, without what is open now. `relayThreads`: that will be started. */
  constructor(countSockets: () => number, relayThreads: number) {
    this.#countSockets = countSockets;
    this.#limit = processLimit();
    const ofThreads = OF_THREAD + relayThreads * (OF_THREAD + 2 * this.pipesMax);
    this.#base = openNow() + ofThreads;
  }

  /** Limit of one relay thread. */
  get pipesMax(): number {
    return Math.max(1, Math.min(PIPES_MAX, Math.floor(this.#limit / PIPES_PART)));
  }

  /** How many clients there may be. */
  get clientsMax(): number {
    return Math.max(1, Math.floor((this.#limit - this.#base - this.#reserve) / OF_CLIENT));
  }

  /** Connections in the listening socket's queue. When no more are accepted, those that are in it still are; not with raw calls. */
  get backlog(): number {
    return Math.min(BACKLOG_MAX, Math.floor(this.#reserve / 2));
  }

  /** Sockets that there may be. */
  get socketsMax(): number {
    return this.#limit - this.#base - (this.#reserve * 3) / 4;
  }

  /** May a client that is there try to reach its server? */
  get hasRoomForAttempt(): boolean {
    return this.#countSockets() < this.socketsMax;
  }

  get #reserve(): number {
    return Math.max(RESERVE_MIN, this.#limit / RESERVE_PART);
  }
}

/** proc_pid_limits(5); Infinity where there is no such file. */
function processLimit(): number {
  try {
    const soft = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
    return soft === undefined ? Number.POSITIVE_INFINITY : Number(soft);
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}

function openNow(): number {
  try {
    return readdirSync('/proc/self/fd').length;
  } catch {
    return 0;
  }
}
