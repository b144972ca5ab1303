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
/** What the parking thread takes, generously. */
const OF_THREAD = 12;
/** Node's default. */
const BACKLOG_MAX = 511;

export class DescriptorBudget {
  readonly #limit: number;
  /** What the process had open when it began to count. */
  readonly #base: number;
  readonly #countSockets: () => number;

  /** `countSockets`: of this process, without what is open now. */
  constructor(countSockets: () => number, limit = processLimit(), base = openNow() + OF_THREAD) {
    this.#countSockets = countSockets;
    this.#limit = limit;
    this.#base = base;
  }

  /** How many clients there may be. */
  get clientsMax(): number {
    return Math.max(1, Math.floor((this.#limit - this.#base - this.#reserve) / OF_CLIENT));
  }

  /** Connections in the listening socket's queue. When no more are accepted, those that are in it still are. */
  get backlog(): number {
    return Math.min(BACKLOG_MAX, Math.floor(this.#reserve / 2));
  }

  /** May a client that is there try to reach its server? */
  get hasRoomForAttempt(): boolean {
    return this.#limit - this.#base - this.#countSockets() > (this.#reserve * 3) / 4;
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
