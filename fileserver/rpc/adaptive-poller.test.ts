import { expect, test } from 'vitest';
import { AdaptivePoller } from './adaptive-poller.ts';

/** A thread whose time a test moves. Turns take `turnMs`. */
class Thread {
  nowMs = 1000;
  turnMs = 0.002;
  polling = 0;
  wakingAllowed = true;
  gaveWay = 0;
  #turns: (() => void)[] = [];
  readonly poller = new AdaptivePoller({
    mayPoll: () => {
      if (this.wakingAllowed) this.polling += 1;
      return this.wakingAllowed;
    },
    pollEnded: () => {
      this.polling -= 1;
    },
    now: () => this.nowMs,
    giveWay: () => {
      this.gaveWay += 1;
    },
    nextTurn: (callback) => this.#turns.push(callback),
  });

  /** Lets ms pass; returns how many times it looked. */
  pass(ms: number): number {
    const until = this.nowMs + ms;
    let polls = 0;
    while (this.#turns.length > 0 && this.nowMs < until) {
      this.nowMs += this.turnMs;
      polls += 1;
      for (const turn of this.#turns.splice(0)) turn();
    }
    this.nowMs = Math.max(this.nowMs, until);
    return polls;
  }

  /** One call, and what the client then does for so long. */
  call(thenMs: number): number {
    this.poller.arrived();
    this.poller.handled(1);
    return this.pass(thenMs);
  }
}

test('a client that makes one call after the other finds the thread awake, after the first ones', () => {
  const thread = new Thread();
  const polls = Array.from({ length: 100 }, () => thread.call(0.03));
  expect(polls[0]).toBe(0);
  expect(polls.slice(40).every((count) => count > 5)).toBe(true);
  thread.pass(1);
  expect(thread.polling).toBe(0);
});

test('a client that thinks between its calls does not keep a processor busy', () => {
  const thread = new Thread();
  let polls = 0;
  for (let i = 0; i < 1000; i++) polls += thread.call(1);
  // 0.5 ms now and then, of a second.
  expect(polls * thread.turnMs).toBeLessThan(20);
  expect(thread.polling).toBe(0);
});

test('it keeps polling through a pause now and then, and gives up when they become the rule', () => {
  const thread = new Thread();
  for (let i = 0; i < 200; i++) thread.call(i % 20 === 0 ? 2 : 0.03);
  expect(thread.call(0.03)).toBeGreaterThan(5);
  for (let i = 0; i < 10; i++) thread.call(2);
  expect(thread.call(0.03)).toBe(0);
});

test('a turn with several calls, or with none, is not waited for', () => {
  const thread = new Thread();
  for (let i = 0; i < 100; i++) thread.call(0.03);
  thread.pass(1);
  thread.poller.handled(8);
  expect(thread.pass(1)).toBe(0);
  thread.poller.handled(0);
  expect(thread.pass(1)).toBe(0);
});

test('everybody else has the processor between two looks', () => {
  const thread = new Thread();
  for (let i = 0; i < 100; i++) thread.call(0.03);
  thread.gaveWay = 0;
  expect(thread.call(0.03)).toBe(thread.gaveWay);
  expect(thread.gaveWay).toBeGreaterThan(5);
});

test('however calls and answers follow each other, one thread looks once in a turn', () => {
  const thread = new Thread();
  for (let i = 0; i < 100; i++) thread.call(0.03);
  thread.pass(1);
  const before = thread.gaveWay;
  // A call that is passed on, its answer, the next call: all before the thread looks.
  for (let i = 0; i < 3; i++) {
    thread.poller.arrived();
    thread.poller.handled(1);
  }
  const polls = thread.pass(0.1);
  expect(polls).toBeGreaterThan(5);
  expect(thread.gaveWay - before).toBeLessThanOrEqual(polls);
  expect(thread.polling).toBe(1);
  thread.pass(1);
  expect(thread.polling).toBe(0);
});

test('no more threads poll than may', () => {
  const thread = new Thread();
  for (let i = 0; i < 100; i++) thread.call(0.03);
  thread.pass(1);
  thread.wakingAllowed = false;
  expect(thread.call(0.03)).toBe(0);
  expect(thread.polling).toBe(0);
});
