/** Virtual time: a binary heap of what happens when. Equal times happen in the order they were planned. */
interface Planned {
  readonly at: number;
  readonly order: number;
  readonly action: () => void;
}

export class EventQueue {
  /** Milliseconds of true time since the beginning; no simulated process ever sees it. */
  now = 0;
  #order = 0;
  readonly #heap: Planned[] = [];

  after(delayMs: number, action: () => void): void {
    this.#push({ at: this.now + Math.max(0, delayMs), order: this.#order++, action });
  }

  /** Runs what is planned up to and including `until`. */
  runUntil(until: number): void {
    while (this.#heap.length > 0 && this.#heap[0]!.at <= until) {
      const next = this.#pop();
      this.now = next.at;
      next.action();
    }
    this.now = until;
  }

  #push(event: Planned): void {
    const heap = this.#heap;
    let index = heap.length;
    heap.push(event);
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (before(heap[parent]!, event)) break;
      heap[index] = heap[parent]!;
      index = parent;
    }
    heap[index] = event;
  }

  #pop(): Planned {
    const heap = this.#heap;
    const top = heap[0]!;
    const last = heap.pop()!;
    if (heap.length === 0) return top;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++;
      if (before(last, heap[child]!)) break;
      heap[index] = heap[child]!;
      index = child;
    }
    heap[index] = last;
    return top;
  }
}

function before(a: Planned, b: Planned): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
