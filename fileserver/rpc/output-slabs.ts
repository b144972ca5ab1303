/**
 * Memory for replies: slabs that replies are written into one after the other, that are handed to sockets, and that come back
 * when the kernel has taken the bytes. So a reply costs no allocation, and the kernel reads READ's data into the place it is sent
 * from.
 */
import { XdrWriter } from '../../protocol/xdr.ts';
import { nextTurn } from '../system/turns.ts';

/** Some thousand small replies, or some dozen of 4 KiB. */
const SMALL_SIZE = 256 * 1024;
/** One of 1 MiB, with its header and room to spare. */
const LARGE_SIZE = 1024 * 1024 + 64 * 1024;
/**
 * Slabs that are kept for the next use. Large ones: what some connections that stream keep in flight; with fewer,
 * a megabyte is allocated, zeroed and collected for every other reply. trim() gives them back when nobody streams.
 */
const SMALL_KEPT_MAX = 16;
const LARGE_KEPT_MAX = 32;
/** Bytes that wait for clients of all the thread's connections; beyond it who takes nothing is ended, and nobody gets ahead. */
const LENT_MAX = 64 * 1024 * 1024;
/** Beyond it no connection's calls are taken, until there is room. */
const LENT_FULL = 2 * LENT_MAX;

export class Slab {
  readonly w: XdrWriter;
  readonly size: number;
  /** Writes whose bytes the kernel has not taken yet. */
  inFlight: number;
  /** Nothing more is written into it. */
  retired: boolean;
  readonly #pool: OutputSlabs;
  /** Callback for a socket's write; bound once. */
  readonly taken: () => void;

  constructor(size: number, pool: OutputSlabs) {
    this.w = new XdrWriter(size);
    this.size = size;
    this.inFlight = 0;
    this.retired = false;
    this.#pool = pool;
    this.taken = () => {
      this.inFlight -= 1;
      this.release();
    };
  }

  release(): void {
    if (this.retired && this.inFlight === 0) this.#pool.giveBack(this);
  }
}

export class OutputSlabs {
  readonly #small: Slab[];
  readonly #large: Slab[];
  #current: Slab;
  /** Bytes of slabs that are full and wait for their clients to read. */
  lentSize: number;
  /** The fewest of each list that lay unused since the last trim(). */
  #smallSpare: number;
  #largeSpare: number;
  #waiting: Set<() => void>;

  constructor() {
    this.#waiting = new Set();
    this.lentSize = 0;
    this.#smallSpare = 0;
    this.#largeSpare = 0;
    this.#small = [];
    this.#large = [];
    this.#current = new Slab(SMALL_SIZE, this);
  }

  hasRoom(size: number): boolean {
    return this.#current.size - this.#current.w.position >= size;
  }

  /**
   * The slab to write into; has room for `size` bytes at its writer's position. Where hasRoom() says no, what was
   * written into the one before must have been handed to its socket: it may be used again at once.
   */
  withRoom(size: number): Slab {
    const current = this.#current;
    if (current.size - current.w.position >= size) return current;
    current.retired = true;
    this.lentSize += current.size;
    current.release();
    const wanted = size > SMALL_SIZE ? LARGE_SIZE : SMALL_SIZE;
    const list = wanted === LARGE_SIZE ? this.#large : this.#small;
    const slab = list.pop() ?? new Slab(Math.max(wanted, size), this);
    this.#smallSpare = Math.min(this.#smallSpare, this.#small.length);
    this.#largeSpare = Math.min(this.#largeSpare, this.#large.length);
    slab.retired = false;
    slab.w.reset();
    this.#current = slab;
    return slab;
  }

  /** Gives back slabs that nobody has used since the last call. */
  trim(): void {
    for (const { w } of this.#small.splice(0, this.#smallSpare)) w.free();
    for (const { w } of this.#large.splice(0, this.#largeSpare)) w.free();
    this.#smallSpare = this.#small.length;
    this.#largeSpare = this.#large.length;
  }

  get isShort(): boolean {
    return this.lentSize > LENT_MAX;
  }

  get isFull(): boolean {
    return this.lentSize > LENT_FULL;
  }

  /** Calls back when there is room again, perhaps for somebody before. */
  whenRoom(callback: () => void): void {
    this.#waiting.add(callback);
  }

  stopWaiting(callback: () => void): void {
    this.#waiting.delete(callback);
  }

  giveBack(slab: Slab): void {
    this.lentSize -= slab.size;
    if (this.#waiting.size > 0 && !this.isFull) this.#wake();
    // One whose writer had to grow, or that was made for a single huge reply, has lost its size.
    if (slab.w.bytes.length !== slab.size) return;
    if (slab.size === SMALL_SIZE && this.#small.length < SMALL_KEPT_MAX) this.#small.push(slab);
    else if (slab.size === LARGE_SIZE && this.#large.length < LARGE_KEPT_MAX) this.#large.push(slab);
  }

  /** Later: the slab is not where it will be. */
  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = new Set();
    nextTurn(() => {
      for (const callback of waiting) callback();
    });
  }
}
