/** Waits for descriptors and for times, and calls those who wait for them: the event loop of a relay thread. */
import type { Clock, Timed } from '../../event-loop-clock.ts';
import { Epoll } from './system-calls.ts';

export interface Ready {
  /** Its descriptor is ready for some of EPOLLIN, EPOLLOUT, EPOLLERR, EPOLLHUP and EPOLLRDHUP. */
  onReady(events: number, fd: number): void;
}

export class Poller implements Clock {
  readonly #epoll = new Epoll();
  readonly #clock: () => number;
  /** By descriptor. */
  readonly #ready: (Ready | undefined)[] = [];
  /** Tells events of a descriptor that was closed from those of the next with its number. By descriptor. */
  readonly #marks: number[] = [];
  readonly #timed = new Set<Timed>();
  #nextDueMs = Number.POSITIVE_INFINITY;
  /** Time of the present turn. Ms. */
  now: number;

  constructor(clock: () => number) {
    this.#clock = clock;
    this.now = clock();
  }

  add(fd: number, events: number, ready: Ready): void {
    const mark = ((this.#marks[fd] ?? 0) + 1) >>> 0;
    this.#marks[fd] = mark;
    this.#ready[fd] = ready;
    this.#epoll.add(fd, events, mark);
  }

  change(fd: number, events: number): void {
    this.#epoll.change(fd, events, this.#marks[fd]!);
  }

  /** Before it is closed. */
  remove(fd: number): void {
    this.#ready[fd] = undefined;
    this.#epoll.remove(fd);
  }

  callAt(timed: Timed, atMs: number): void {
    timed.dueAtMs = atMs;
    if (atMs === Number.POSITIVE_INFINITY) {
      this.#timed.delete(timed);
      return;
    }
    this.#timed.add(timed);
    if (atMs < this.#nextDueMs) this.#nextDueMs = atMs;
  }

  /** Waits until something is ready or due, and calls it. */
  turn(): void {
    const epoll = this.#epoll;
    const count = epoll.wait(this.#timeoutMs());
    this.now = this.#clock();
    for (let i = 0; i < count; i++) {
      const fd = epoll.fdAt(i);
      const ready = this.#ready[fd];
      if (ready !== undefined && this.#marks[fd] === epoll.markAt(i)) ready.onReady(epoll.eventsAt(i), fd);
    }
    // Arrived data was heard first: nothing is silent because this thread was busy.
    if (this.now >= this.#nextDueMs && count === 0) this.#callDue();
    else if (this.now >= this.#nextDueMs + LATE_MS) this.#callDue();
  }

  close(): void {
    this.#epoll.close();
  }

  #timeoutMs(): number {
    if (this.#nextDueMs === Number.POSITIVE_INFINITY) return -1;
    return Math.max(0, Math.min(2 ** 30, Math.ceil(this.#nextDueMs - this.now)));
  }

  #callDue(): void {
    const { now } = this;
    const due: Timed[] = [];
    let next = Number.POSITIVE_INFINITY;
    for (const each of this.#timed) {
      if (each.dueAtMs <= now) due.push(each);
      else next = Math.min(next, each.dueAtMs);
    }
    this.#nextDueMs = next;
    for (const each of due) {
      this.#timed.delete(each);
      each.dueAtMs = Number.POSITIVE_INFINITY;
      each.onDue(now);
    }
  }
}

/** While descriptors are always ready, times wait for this long at most. Ms. */
const LATE_MS = 20;
