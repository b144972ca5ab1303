/** How the queue forms its groups: on time that the test makes pass. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { FileTable } from '../files/file-table.ts';
import { CountedKeys } from '../volume/counted-keys.ts';
import type { Volume } from '../volume/volume.ts';
import { DuplicateRequestCache } from './duplicate-request-cache.ts';
import { GroupPacing, type Pacing } from './group-pacing.ts';
import type { JournaledOperation, Plan } from './journaled-operation.ts';
import { OperationLog } from './operation-log.ts';
import type { OperationLogHooks } from './operation-log-hooks.ts';

/** To the client and back. */
const TURN_AROUND_MS = 1;

let flushMs: number;
let groups: number[];
/** Ends the flush under way. */
let endFlush: (result?: number) => void;

// The clock of the test, which is the global one alone.
vi.mock('node:perf_hooks', () => ({ performance: { now: () => performance.now() + passedMs } }));
/** What operations have taken beside that. */
let passedMs = 0;

vi.mock('../flush/flush-set.ts', () => ({
  FlushSet: class {
    #count = 0;
    add(): void {
      this.#count += 1;
    }
    flush(done: (result: number, issued: boolean) => void): void {
      groups.push(this.#count);
      this.#count = 0;
      const end = (result = 0): void => done(result, true);
      endFlush = end;
      setTimeout(end, flushMs);
    }
  },
}));

let queue: OperationLog;
let mayServe: boolean;
let stopped: number;
/** Of the volume. */
let failures: string[];
let makeQueue: (pacing?: Pacing) => OperationLog;
let cache: DuplicateRequestCache;
let count: number;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setImmediate', 'performance'] });
  groups = [];
  count = 0;
  mayServe = true;
  stopped = 0;
  cache = new DuplicateRequestCache(undefined, () => 0);
  failures = [];
  const volume = {
    spec: { name: 'v' },
    changing: new CountedKeys(),
    reserve: { shortage: null },
    failed: false,
    fail: (reason: string) => failures.push(reason),
    isOurs: () => true,
  } as unknown as Volume;
  const hooks: OperationLogHooks = {
    mayServe: () => mayServe,
    onStopped: () => {
      stopped += 1;
    },
    onStep: () => {},
    settle: () => ({ outcome: 'notBegun' }),
    onBug: (_whose, error) => {
      throw error;
    },
    intents: 'flush',
    // Groups are formed in the same way.
    journalDisabled: true,
  };
  makeQueue = (pacing) => new OperationLog(volume, {} as FileTable, cache, hooks, pacing);
  queue = makeQueue();
});
afterEach(() => {
  queue.stop();
  vi.useRealTimers();
});

/** An operation on a name of its own, or on this one; in so many parts before it is executed. */
function submit(
  answered: () => void,
  executed: () => void = () => {},
  { name, parts = 0 }: { name?: string; parts?: number } = {},
): void {
  const key = String(count++).padEnd(16, '.');
  let left = parts;
  const results = new Uint8Array(4);
  const plan: Plan = {
    needsSpace: false,
    isLong: parts > 0,
    createdKey: null,
    intent: () => new Uint8Array(100),
    applyPart: () => {
      left -= 1;
      return left >= 0;
    },
    apply: (flushes) => {
      flushes.add(undefined as never);
      executed();
      return results;
    },
  };
  const operation: JournaledOperation = {
    operation: 'CREATE',
    key,
    check: () => ({ lockKeys: [name ?? key], reliesOn: [], plan, results }),
    refuse: () => results,
  };
  cache.admit(key, answered);
  queue.submit(operation);
}

/** Clients that have the next operation ready when they are answered, as many times. */
function clients(howMany: number, times: number): void {
  const ask = (left: number): void => {
    if (left > 0) submit(() => setTimeout(() => ask(left - 1), TURN_AROUND_MS));
  };
  // Not all at the same time: else they would share a group by chance.
  for (let i = 0; i < howMany; i++) setTimeout(() => ask(times), i % 2 === 0 ? 0 : flushMs / 2);
}

const average = (numbers: readonly number[]): number =>
  numbers.reduce((sum, one) => sum + one, 0) / numbers.length;

test('on a disk with a slow flush, those that come back at once share the next one', async () => {
  flushMs = 20;
  clients(8, 30);
  await vi.runAllTimersAsync();
  expect(count).toBe(240);
  // Else there are two groups, of those that wait for the other's flush.
  expect(average(groups.slice(10))).toBeGreaterThan(7);
});

/** Of so many operations that come while another one is flushed, whose client has nothing more to ask: ms that they take. */
async function waitFor(others: number): Promise<number[]> {
  const took: number[] = [];
  for (let i = 0; i < others; i++) {
    submit(() => {});
    await vi.advanceTimersByTimeAsync(flushMs / 2);
    const at = performance.now();
    submit(() => took.push(performance.now() - at));
    await vi.advanceTimersByTimeAsync(10 * flushMs);
  }
  expect(took).toHaveLength(others);
  return took;
}

test('clients that do not come back are waited for in one of seventeen groups, and not for long', async () => {
  flushMs = 20;
  const took = await waitFor(200);
  // The rest of the other's flush, and its own.
  const usual = 1.5 * flushMs + 2;
  expect(Math.max(...took)).toBeLessThanOrEqual(usual + flushMs / 4 + 1);
  const waited = took.filter((ms) => ms > usual).length;
  expect(waited).toBeGreaterThan(0);
  expect(waited).toBeLessThan(200 / 8);
});

class AlwaysOverlapping extends GroupPacing {
  override mayOverlap(): boolean {
    return true;
  }
}

test('when a flush ends, its operations are answered although the next group is just being executed', async () => {
  flushMs = 1000;
  queue = makeQueue(new AlwaysOverlapping());
  const events: string[] = [];
  submit(() => events.push('answered'));
  await vi.advanceTimersByTimeAsync(1);
  expect(groups).toEqual([1]);
  for (let i = 1; i <= 100; i++) {
    submit(
      () => {},
      () => {
        events.push(`executed ${i}`);
        // As another thread would say it: heard when this one looks.
        if (i === 10) setImmediate(endFlush);
      },
    );
  }
  await vi.advanceTimersByTimeAsync(flushMs / 2);
  expect(events.at(-1)).toBe('executed 100');
  const between = events.indexOf('answered') - events.indexOf('executed 10');
  expect(between).toBeGreaterThan(0);
  expect(between).toBeLessThan(20);
  expect(groups).toEqual([1, 100]);
});

/** Parts that take ten flushes, one a turn of the event loop (1 ms of the test's time). */
const MANY_PARTS = 200;

test('while one is executed in parts others are answered; what touches the same waits for it, and so does who waits for all', async () => {
  flushMs = 20;
  const events: string[] = [];
  const say = (event: string) => () => events.push(event);
  submit(say('long'), say('long executed'), { name: 'file', parts: MANY_PARTS });
  submit(say('with it'));
  submit(say('same'), say('same executed'), { name: 'file' });
  let after = 0;
  const ask = (): void => {
    if (!events.includes('long')) submit(ask);
    after += 1;
  };
  ask();
  queue.whenIdle(say('idle'));
  await vi.runAllTimersAsync();
  expect(events).toEqual(['with it', 'long executed', 'long', 'same executed', 'same', 'idle']);
  expect(after).toBeGreaterThan(3);
  expect(queue.isAtRest).toBe(true);
});

test('one in parts that is alone, and several at the same time, are answered', async () => {
  flushMs = 20;
  const events: string[] = [];
  submit(() => events.push('alone'), undefined, { parts: 5 });
  await vi.runAllTimersAsync();
  expect(events).toEqual(['alone']);
  submit(() => events.push('long'), undefined, { parts: 50 });
  submit(() => events.push('short'), undefined, { parts: 2 });
  await vi.runAllTimersAsync();
  expect(events).toEqual(['alone', 'short', 'long']);
});

test('when the right ends between two parts nothing more is done or answered, and nobody waits', async () => {
  flushMs = 20;
  const events: string[] = [];
  submit(
    () => events.push('answered'),
    () => events.push('executed'),
    { parts: MANY_PARTS },
  );
  await vi.advanceTimersByTimeAsync(10);
  queue.whenIdle(() => events.push('idle'));
  expect(events).toEqual([]);
  mayServe = false;
  await vi.runAllTimersAsync();
  expect(events).toEqual(['idle']);
  expect(stopped).toBe(1);
});

test('a flush that fails ends the volume: nobody is answered, and nothing more is executed', async () => {
  flushMs = 1000;
  const events: string[] = [];
  submit(
    () => events.push('answered'),
    () => events.push('executed'),
  );
  await vi.advanceTimersByTimeAsync(1);
  expect(events).toEqual(['executed']);
  endFlush(-5);
  submit(
    () => events.push('answered'),
    () => events.push('executed'),
  );
  await vi.runAllTimersAsync();
  expect(events).toEqual(['executed']);
  expect(failures).toEqual(['IoError']);
});

test('when the right ends between two operations of a group, the second is not executed', async () => {
  flushMs = 20;
  const events: string[] = [];
  submit(
    () => events.push('answered'),
    () => {
      events.push('first');
      mayServe = false;
    },
  );
  submit(
    () => events.push('answered'),
    () => events.push('second'),
  );
  await vi.runAllTimersAsync();
  expect(events).toEqual(['first']);
  expect(stopped).toBe(1);
});

test('when the right ends during a flush, what was executed is not answered', async () => {
  flushMs = 1000;
  const events: string[] = [];
  submit(
    () => events.push('answered'),
    () => events.push('executed'),
  );
  await vi.advanceTimersByTimeAsync(1);
  mayServe = false;
  endFlush();
  await vi.runAllTimersAsync();
  expect(events).toEqual(['executed']);
  expect(stopped).toBe(1);
});

test('when the queue is stopped between two operations that are executed beside a flush, the rest is not', async () => {
  flushMs = 1000;
  queue = makeQueue(new AlwaysOverlapping());
  submit(() => {});
  await vi.advanceTimersByTimeAsync(1);
  let executed = 0;
  for (let i = 1; i <= 100; i++) {
    submit(
      () => {},
      () => {
        executed += 1;
        if (i === 10) setImmediate(() => queue.stop());
      },
    );
  }
  await vi.runAllTimersAsync();
  expect(executed).toBeLessThan(20);
});

test('with nobody who could come back the queue becomes idle', async () => {
  flushMs = 20;
  clients(8, 30);
  await vi.runAllTimersAsync();
  let idle = false;
  submit(() => {});
  queue.whenIdle(() => {
    idle = true;
  });
  await vi.runAllTimersAsync();
  expect(idle).toBe(true);
});

test('what flushes and operations have taken, and how many were answered, is told to what paces the groups', async () => {
  flushMs = 20;
  const told: string[] = [];
  queue = makeQueue({
    mayOverlap: () => false,
    gatherMs: () => 0,
    noteAnswered: (count, waiting) => told.push(`${count} answered, ${waiting} wait`),
    noteFlush: (ms) => told.push(`a flush of ${ms} ms`),
    noteExecution: (ms) => told.push(`operations of ${ms} ms`),
  });
  const take = (): void => {
    passedMs += 3;
  };
  submit(() => {}, take);
  submit(() => {}, take);
  await vi.advanceTimersByTimeAsync(10);
  submit(() => {}, take);
  await vi.runAllTimersAsync();
  expect(told).toEqual([
    'operations of 3 ms',
    'a flush of 20 ms',
    '2 answered, 1 wait',
    'operations of 3 ms',
    'a flush of 20 ms',
    '1 answered, 0 wait',
  ]);
});

test('while more are waited for again, the group begins when that time is over too', async () => {
  flushMs = 20;
  const waits = [5, 5, 0];
  queue = makeQueue({
    mayOverlap: () => false,
    gatherMs: () => waits.shift() ?? 0,
    noteAnswered: () => {},
    noteFlush: () => {},
    noteExecution: () => {},
  });
  let answered = false;
  submit(() => {
    answered = true;
  });
  await vi.runAllTimersAsync();
  expect([answered, waits]).toEqual([true, []]);
});

/** ms by which each question is answered; then none is waited for. */
function gathering(waits: number[], told: string[] = [], overlaps = false): OperationLog {
  return makeQueue({
    mayOverlap: () => overlaps,
    gatherMs: () => waits.shift() ?? 0,
    noteAnswered: () => {},
    noteFlush: () => {},
    noteExecution: (ms) => told.push(`${ms}`),
  });
}

test('a wait that ended early, as enough had come, leaves the next one its time', async () => {
  flushMs = 20;
  queue = gathering([5, 0, 5, 0]);
  const events: string[] = [];
  submit(() => events.push('first'));
  await vi.advanceTimersByTimeAsync(1);
  submit(() => events.push('second'));
  await vi.runAllTimersAsync();
  expect(events).toEqual(['first', 'second']);
  submit(() => events.push('third'));
  await vi.runAllTimersAsync();
  expect(events).toEqual(['first', 'second', 'third']);
});

test('a group that was executed while another was flushed is flushed after it', async () => {
  flushMs = 1000;
  queue = makeQueue(new AlwaysOverlapping());
  const events: string[] = [];
  submit(() => events.push('first'));
  await vi.advanceTimersByTimeAsync(1);
  submit(() => events.push('second'));
  await vi.advanceTimersByTimeAsync(10);
  expect(groups).toEqual([1]);
  endFlush();
  await vi.advanceTimersByTimeAsync(10);
  expect(groups).toEqual([1, 1]);
  endFlush();
  await vi.advanceTimersByTimeAsync(10);
  expect(events).toEqual(['first', 'second']);
});

test('what operations take is told of those that were executed: of each slice beside a flush, and never of none', async () => {
  flushMs = 1000;
  const told: string[] = [];
  queue = gathering([], told, true);
  submit(() => {}, undefined, { parts: 3 });
  await vi.advanceTimersByTimeAsync(1);
  expect(told).toEqual([]);
  await vi.runAllTimersAsync();
  told.length = 0;
  submit(() => {});
  await vi.advanceTimersByTimeAsync(1);
  for (let i = 0; i < 40; i++)
    submit(
      () => {},
      () => {
        passedMs += 3;
      },
    );
  await vi.advanceTimersByTimeAsync(20);
  expect(told.length).toBeGreaterThan(2);
  expect(new Set(told.slice(1))).toEqual(new Set(['3']));
});
