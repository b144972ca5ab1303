/** How much memory the unanswered calls of all clients of a proxy take, and who has to wait when it is full. */

// A call takes more than its bytes: the smallest legal one has 44 on the wire and some 500 in memory. One client may hold
// `ofOne`; all together may hold `ofAll`, and when they do, only those stop who hold more than their part.

/** Memory that a call takes beside its bytes: objects, an entry in a map, a buffer's own. Measured: 450. Bytes. */
export const CALL_COST = 1024;

/** Unanswered calls of one client that are kept to be resent, in bytes: fifteen WRITEs of the largest size. */
export const MEMORY_OF_ONE = 16 * 1024 * 1024;
export const MEMORY_OF_ALL = 256 * 1024 * 1024;

export interface MemoryUser {
  readonly heldSize: number;
  resume(): void;
}

export class CallMemory {
  readonly #ofOne: number;
  readonly #ofAll: number;
  readonly #users = new Set<MemoryUser>();
  readonly #waiting = new Set<MemoryUser>();
  #held = 0;

  constructor(ofOne = MEMORY_OF_ONE, ofAll = MEMORY_OF_ALL) {
    this.#ofOne = ofOne;
    this.#ofAll = ofAll;
  }

  add(user: MemoryUser): void {
    this.#users.add(user);
  }

  remove(user: MemoryUser): void {
    this.#users.delete(user);
    this.#waiting.delete(user);
    this.changed(-user.heldSize);
  }

  /** The memory that a user holds has changed by so many bytes. */
  changed(size: number): void {
    this.#held += size;
    if (size < 0 && this.#waiting.size > 0) this.#letGoOn();
  }

  isFull(user: MemoryUser): boolean {
    return user.heldSize >= this.#partOf(this.#held, 1);
  }

  /** The user is resumed when there is room again. */
  waitForRoom(user: MemoryUser): void {
    this.#waiting.add(user);
  }

  /** From half of what stops a user on, so that nobody stops and goes on with each call. */
  #letGoOn(): void {
    const part = this.#partOf(this.#held, 0.5);
    for (const user of this.#waiting) {
      if (user.heldSize > part) continue;
      this.#waiting.delete(user);
      user.resume();
    }
  }

  #partOf(held: number, share: number): number {
    const one = this.#ofOne * share;
    return held < this.#ofAll * share
      ? one
      : Math.min(one, (this.#ofAll * share) / Math.max(1, this.#users.size));
  }
}
