/**
 * What becomes of each operation of a queue, and of who waits for it. The journal is the real one; flushes of what was executed,
 * and waiting times, end when the test says so.
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { OPEN } from '../../system/open-gate.fixture.ts';
import { REFUSED } from '../../system/write-gate.ts';
import type { VolumeFailure } from '../failures/status.ts';
import type { FileTable } from '../files/file-table.ts';
import type { Journal } from '../journal/journal.ts';
import { createJournal } from '../journal/journal-files.ts';
import { decodeIntentRecord, encodeIntentRecord, resultsToKeep } from '../journal/journal-payloads.ts';
import { PAYLOAD_SIZE_MAX } from '../journal/journal-records.ts';
import { openJournal } from '../journal/open-journal.ts';
import { CountedKeys } from '../volume/counted-keys.ts';
import type { Volume } from '../volume/volume.ts';
import { DuplicateRequestCache } from './duplicate-request-cache.ts';
import type { Check, JournaledOperation, Plan } from './journaled-operation.ts';
import { OperationLog } from './operation-log.ts';
import type { OperationLogHooks, Settled } from './operation-log-hooks.ts';

const { ENOSPC, EDQUOT, EIO } = constants.errno;
const SEGMENT_SIZE = 256 * 1024;
/** With room for the largest group. */
const LARGE_SEGMENT_SIZE = 3 * 1024 * 1024;
const uuid = new Uint8Array(16).fill(9);
const keyOf = (name: string): string => name.padEnd(16, '.');

let events: string[];
/** Flushes of what was executed that are under way; `files`: what each has been given. */
let flushes: { readonly files: readonly unknown[]; readonly end: (result?: number) => void }[];
/** With this result the next flush ends before it has been waited for. */
let endsAtOnce: number | null;

/** Flushes of the journal that are in the pool. */
const pool = vi.hoisted(() => ({ flushes: 0 }));

vi.mock('../../system/pool-calls.ts', async (load) => {
  const real = await load<typeof import('../../system/pool-calls.ts')>();
  return {
    ...real,
    fdatasync: (fd: number, done: (error: NodeJS.ErrnoException | null) => void) => {
      pool.flushes += 1;
      real.fdatasync(fd, (error) => {
        pool.flushes -= 1;
        done(error);
      });
    },
  };
});

vi.mock('../flush/flush-set.ts', () => ({
  FlushSet: class {
    #files: unknown[] = [];
    add(file: unknown): void {
      this.#files.push(file);
    }
    addAll(): void {
      this.#files.push('all');
    }
    flush(done: (result: number, issued: boolean) => void): void {
      const files = this.#files;
      this.#files = [];
      if (endsAtOnce !== null) {
        done(endsAtOnce, files.length > 0);
        return;
      }
      flushes.push({ files, end: (result = 0) => done(result, files.length > 0) });
    }
  },
}));

interface Traits {
  readonly touches?: readonly string[];
  readonly reliesOn?: readonly string[];
  readonly needsSpace?: boolean;
  /** Turns of the event loop that it takes before it is completed. */
  readonly parts?: number;
  readonly makes?: string;
  readonly size?: number;
  readonly throwsIn?: 'check' | 'intent' | 'apply' | 'applyPart' | 'refuse';
  readonly checked?: boolean;
  readonly allowed?: boolean;
  readonly answer?: Uint8Array;
  /** Its execution changes something that has to be flushed. */
  readonly changes?: boolean;
}

class Operation implements JournaledOperation, Plan {
  readonly operation = 'CREATE';
  readonly name: string;
  readonly key: string;
  readonly traits: Traits;
  readonly needsSpace: boolean;
  readonly isLong: boolean;
  createdKey: string | null = null;
  readonly #results: Uint8Array;
  #partsLeft: number;

  constructor(name: string, traits: Traits) {
    this.name = name;
    this.key = keyOf(name);
    this.traits = traits;
    this.needsSpace = traits.needsSpace ?? false;
    this.#partsLeft = traits.parts ?? 0;
    this.isLong = this.#partsLeft > 0;
    this.#results = traits.answer ?? resultsToKeep(this.key, new Uint8Array(8), 8);
  }

  #mayThrow(where: Traits['throwsIn']): void {
    if (this.traits.throwsIn === where) throw new Error(`${where} of ${this.name}`);
  }
  check(): Check {
    this.#mayThrow('check');
    const { allowed = true, checked = true, touches = [this.name], reliesOn = [] } = this.traits;
    const results = this.#results;
    if (!allowed) return { lockKeys: [], reliesOn: [], plan: null, results };
    return { lockKeys: touches, reliesOn, plan: checked ? this : null, results };
  }
  intent(): Uint8Array {
    this.#mayThrow('intent');
    const identity = { uid: 0, gid: 0, groups: [] };
    const args = new Uint8Array(this.traits.size ?? 16);
    return encodeIntentRecord({ key: this.key, procedure: 8, identity, args, evidence: new Uint8Array(8) });
  }
  refuse(failure: VolumeFailure): Uint8Array {
    this.#mayThrow('refuse');
    events.push(`${this.name} refused: ${failure}`);
    return resultsToKeep(this.key, Uint8Array.of(0, 0, 0, 28), 4);
  }
  applyPart(): boolean {
    this.#mayThrow('applyPart');
    if (!queue.isAtRest) events.push(`${this.name} part`);
    this.#partsLeft -= 1;
    return this.#partsLeft > 0;
  }
  apply(set: { add: (file: never) => void }): Uint8Array {
    events.push(`${this.name} executed`);
    this.#mayThrow('apply');
    this.createdKey = this.traits.makes ?? null;
    if (this.traits.changes ?? true) set.add(this.name as never);
    return this.#results;
  }
}

let directory: string;
let journal: Journal;
let cache: DuplicateRequestCache;
let changing: CountedKeys;
let volume: Volume;
let queue: OperationLog;
/** What hooks and the volume say. */
let may: { serve: boolean; own: boolean; overlap: boolean; gatherMs: number };
let shortage: VolumeFailure | null;
let lends: boolean;
let settled: Settled;
let bugs: string[];
/** As the tests that end a process at one are told of them. */
let steps: string[];
let intents: OperationLogHooks['intents'];
let writeThrough: boolean;

beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  events = [];
  flushes = [];
  endsAtOnce = null;
  bugs = [];
  steps = [];
  may = { serve: true, own: true, overlap: false, gatherMs: 0 };
  shortage = null;
  lends = false;
  settled = { outcome: 'notBegun' };
  intents = 'unwritten';
  writeThrough = false;
  directory = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'filerpair-queue-'));
  await beginJournal(directory, SEGMENT_SIZE);
  begin();
});
afterEach(() => {
  vi.restoreAllMocks();
  queue.stop();
  vi.useRealTimers();
  journal.close();
  rmSync(directory, { recursive: true, force: true });
});

async function beginJournal(path: string, segmentSize: number): Promise<void> {
  await createJournal(OPEN, path, segmentSize);
  ({ journal } = await openJournal(path, uuid, segmentSize));
  journal.begin({ intents: () => [], replies: () => [] }, OPEN);
}

/** A queue with what is set. */
function begin(): void {
  changing = new CountedKeys();
  cache = new DuplicateRequestCache(undefined, () => 0);
  volume = {
    spec: { name: 'v', writeThrough },
    journal,
    changing,
    gate: OPEN,
    reserve: {
      get shortage() {
        return shortage;
      },
      lend: (_gate: unknown, result: number) => {
        events.push(`lend for ${result}`);
        return lends;
      },
    },
    failed: false,
    fail: (reason: string, message: string) => events.push(`failed: ${reason}: ${message}`),
    isOurs: () => may.own,
  } as unknown as Volume;
  const hooks: OperationLogHooks = {
    mayServe: () => may.serve,
    onStopped: () => events.push('stopped'),
    onStep: (_operation, step) => steps.push(step),
    settle: (intent) => {
      events.push(`settled ${decodeIntentRecord(intent).key.replaceAll('.', '')}`);
      return settled;
    },
    onBug: (whose, error) => bugs.push(`${whose}: ${(error as Error).message}`),
    get intents() {
      return intents;
    },
    journalDisabled: false,
  };
  queue = new OperationLog(volume, {} as FileTable, cache, hooks, {
    mayOverlap: () => may.overlap,
    gatherMs: () => may.gatherMs,
    noteAnswered: () => {},
    noteFlush: () => {},
    noteExecution: () => {},
  });
}

function submit(name: string, traits: Traits = {}): void {
  cache.admit(keyOf(name), (results) =>
    events.push(`${name} ${results === null ? 'unanswered' : 'answered'}`),
  );
  queue.submit(new Operation(name, traits));
}

/** What runs without a flush of what was executed, a waiting time or another submission. */
async function turns(count = 40): Promise<void> {
  for (let i = 0; i < count; i++) {
    await new Promise((resolve) => setImmediate(resolve));
    if (pool.flushes > 0) i = 0;
  }
}

async function until(is: () => boolean): Promise<void> {
  const limit = performance.now() + 20_000;
  const asked = queue;
  while (!is()) {
    if (queue !== asked) throw new Error('the test is over');
    if (performance.now() > limit) throw new Error(`waited in vain, after: ${events.join(', ')}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** The flush under way ends. */
async function flushed(result = 0): Promise<void> {
  await until(() => flushes.length > 0);
  flushes.shift()!.end(result);
  await turns();
}

/** All that can be waited for is over, and all flushes ended: until nothing is left to do, or the queue has stopped. */
async function settleAll(): Promise<void> {
  const isDone = (): boolean => {
    flushes.shift()?.end();
    vi.advanceTimersByTime(1000);
    return queue.phase === 'stopped' || (queue.isAtRest && changing.size === 0);
  };
  await turns();
  await until(isDone);
  await turns();
}

/** There is no room for the next record of intents. */
function noRoomOnce(): void {
  const append = journal.append.bind(journal);
  let failures = 1;
  vi.spyOn(journal, 'append').mockImplementation((replies, announced, contents) =>
    announced.length > 0 && failures-- > 0 ? -ENOSPC : append(replies, announced, contents),
  );
}

/** What the next owner would find: keys of answers and of intents, without their padding. */
async function left(): Promise<{ answers: string[]; intents: string[] }> {
  const replay = await openJournal(directory, uuid, SEGMENT_SIZE);
  await replay.journal.close();
  const bare = (key: string): string => key.replaceAll('.', '');
  return {
    answers: [...replay.answers.entries()].map(({ key }) => bare(key)),
    intents: replay.intents.map((payload) => bare(decodeIntentRecord(payload).key)),
  };
}

describe('a group', () => {
  test('is executed when its intents are in the journal, and answered when its flush has ended', async () => {
    submit('a');
    submit('b');
    expect(events).toEqual([]);
    await turns();
    expect(events).toEqual(['a executed', 'b executed']);
    expect(await left()).toEqual({ answers: [], intents: ['a', 'b'] });
    expect(queue.isAtRest).toBe(false);
    await flushed();
    expect(events.slice(2)).toEqual(['a answered', 'b answered']);
    expect((await left()).answers).toEqual(['a', 'b']);
    expect(queue.isAtRest).toBe(true);
  });

  test('passes its steps in their order', async () => {
    submit('a');
    await turns();
    expect(steps).toEqual(['beforeIntent', 'afterIntent', 'afterExecution']);
    await flushed();
    expect(steps.slice(3)).toEqual(['afterFlush', 'afterReplyRecord', 'beforeAnswer']);
  });

  test('that is stopped while its intents are recorded is not executed', async () => {
    intents = 'writeOut';
    begin();
    let recorded = (): void => {};
    vi.spyOn(journal, 'writeOut').mockImplementationOnce((done) => {
      recorded = () => done(null);
    });
    submit('a');
    await turns();
    queue.stop();
    recorded();
    await turns();
    expect(events).toEqual([]);
  });

  test('whose flush fails before anybody waits for it ends the volume', async () => {
    endsAtOnce = -EIO;
    submit('a');
    await turns();
    submit('b');
    await turns();
    expect(events).toEqual(['a executed', expect.stringContaining('failed: IoError')]);
  });

  test.each([
    ['two that touch the same', { touches: ['x'] }, { touches: ['x'] }, false],
    ['one that touches what the other relies on', { reliesOn: ['x'] }, { touches: ['x'] }, false],
    ['one that relies on what the other touches', { touches: ['x'] }, { reliesOn: ['x'] }, false],
    ['two that rely on the same', { reliesOn: ['x'] }, { reliesOn: ['x'] }, true],
    ['two that have nothing in common', { touches: ['x'], reliesOn: ['y'] }, { touches: ['z'] }, true],
  ] as const)('of %s', async (_what, one, other, together) => {
    submit('one', one);
    submit('other', other);
    await turns();
    expect(events).toEqual(together ? ['one executed', 'other executed'] : ['one executed']);
    await settleAll();
    expect(events.filter((event) => event.endsWith('answered'))).toEqual(['one answered', 'other answered']);
  });

  test('an operation that has to wait is not overtaken by one that touches the same or what it relies on', async () => {
    submit('first', { touches: ['x'] });
    submit('waits', { touches: ['x', 'y'], reliesOn: ['z'] });
    submit('same', { touches: ['y'] });
    submit('relied on', { touches: ['z'] });
    submit('free');
    await turns();
    expect(events).toEqual(['first executed', 'free executed']);
    await settleAll();
    expect(events.filter((event) => event.endsWith('executed')).slice(2)).toEqual([
      'waits executed',
      'same executed',
      'relied on executed',
    ]);
  });

  test('has 256 operations at most', async () => {
    for (let i = 0; i < 300; i++) submit(`${i}`);
    await turns();
    expect(events).toHaveLength(256);
    await settleAll();
    expect(events.filter((event) => event.endsWith('answered'))).toHaveLength(300);
  });

  test('has intents of a little more than a mebibyte at most', async () => {
    journal.close();
    await beginJournal(mkdtempSync(join(directory, 'large-')), LARGE_SEGMENT_SIZE);
    begin();
    for (let i = 0; i < 60; i++) submit(`${i}`, { size: 32_000 });
    await turns();
    // The one that goes beyond it is the last.
    expect(events).toHaveLength(Math.floor((1024 * 1024) / 32_052) + 1);
    await settleAll();
    expect(events.filter((event) => event.endsWith('answered'))).toHaveLength(60);
  });

  test('that has come while another one was recorded is executed beside that one’s flush', async () => {
    may.overlap = true;
    intents = 'writeOut';
    begin();
    let recorded = (): void => {};
    vi.spyOn(journal, 'writeOut').mockImplementationOnce((done) => {
      recorded = () => done(null);
    });
    submit('a');
    await turns();
    submit('b');
    await turns();
    expect(events).toEqual([]);
    recorded();
    // Its own intent is written out by the real journal.
    await until(() => events.length >= 2);
    expect(events).toEqual(['a executed', 'b executed']);
    expect(flushes).toHaveLength(1);
  });

  test('beside a flush touches nothing of the one that is flushed, nor what that relies on or has made', async () => {
    may.overlap = true;
    submit('first', { touches: ['x'], reliesOn: ['y'], makes: 'z' });
    await turns();
    submit('x', { touches: ['x'] });
    submit('y', { touches: ['y'] });
    submit('z', { touches: ['z'] });
    submit('relies', { touches: ['r'], reliesOn: ['x'] });
    submit('free');
    await turns();
    expect(events).toEqual(['first executed', 'free executed']);
    expect(flushes).toHaveLength(1);
    await flushed();
    expect(flushes).toHaveLength(1);
    expect(events).toContain('first answered');
    expect(events).not.toContain('free answered');
    await settleAll();
    expect(queue.isAtRest).toBe(true);
    expect(changing.size).toBe(0);
  });
});

describe('an operation that is not executed', () => {
  test.each([
    ['is not allowed any more', { allowed: false }],
    ['can not succeed', { checked: false }],
  ])('because it %s is answered at once, and recorded with the next group', async (_why, traits) => {
    submit('no', traits);
    submit('yes');
    await turns();
    expect(events).toEqual(['no answered', 'yes executed']);
    expect(await left()).toEqual({ answers: ['no'], intents: ['yes'] });
    await settleAll();
    submit('third');
    await turns();
    // It is recorded once.
    expect((await left()).answers).toEqual(['no', 'yes']);
  });

  test.each(['check', 'intent'] as const)(
    'because %s throws has no answer, and is unknown again',
    async (throwsIn) => {
      submit('bad', { throwsIn });
      submit('good');
      await turns();
      expect(events).toEqual(['bad unanswered', 'good executed']);
      expect(cache.find(keyOf('bad'))).toBe(null);
      expect(bugs).toEqual([
        `CREATE ${Buffer.from(keyOf('bad'), 'latin1').toString('hex')}, before it was executed: ${throwsIn} of bad`,
      ]);
      await settleAll();
      expect((await left()).answers).toEqual(['good']);
    },
  );

  test('because it has neither failed nor been checked has no answer', async () => {
    submit('bad', { checked: false, answer: new Uint8Array(0) });
    await turns();
    expect(events).toEqual(['bad unanswered']);
    expect(bugs[0]).toContain('it has neither succeeded nor failed');
  });

  test('because its intent is too long for a record has no answer', async () => {
    const longest = PAYLOAD_SIZE_MAX - new Operation('fits', { size: 0 }).intent().length;
    submit('long', { size: longest + 4 });
    submit('fits', { size: longest });
    await turns();
    expect(events).toEqual(['long unanswered', 'fits executed']);
    expect(bugs[0]).toMatch(/its intent has \d+ bytes, a record at most 65536/);
  });

  test('is told with its status to who waits for it; without an answer that is 0', async () => {
    const told: [string, number | null, number][] = [];
    const refused: Operation[] = [
      new Operation('fails', {
        checked: false,
        answer: resultsToKeep(keyOf('fails'), Uint8Array.of(0, 0, 0, 13), 4),
      }),
      new Operation('throws', { throwsIn: 'check' }),
    ];
    for (const operation of refused) {
      cache.admit(operation.key, (results, status) =>
        told.push([operation.name, results?.length ?? null, status]),
      );
      queue.submit(operation);
    }
    await turns();
    expect(told).toEqual([
      ['fails', expect.any(Number), 13],
      ['throws', null, 0],
    ]);
  });

  test('because it needs space that the journal needs is refused; one that needs none is executed', async () => {
    shortage = 'quotaExceeded';
    submit('grows', { needsSpace: true });
    submit('frees');
    await turns();
    expect(events).toEqual(['grows refused: quotaExceeded', 'grows answered', 'frees executed']);
  });

  test('is remembered with 511 others, in memory, until a group is recorded', async () => {
    for (let i = 0; i < 514; i++) submit(`no ${i}`, { checked: false });
    await turns();
    submit('yes');
    await turns();
    const { answers } = await left();
    expect(answers).toHaveLength(512);
    expect(answers[0]).toBe('no 2');
  });
});

describe('without room for the journal', () => {
  test('the reserve is lent, and the record appended', async () => {
    vi.spyOn(journal, 'append').mockReturnValueOnce(-ENOSPC);
    lends = true;
    submit('a');
    await turns();
    expect(events).toEqual([`lend for ${-ENOSPC}`, 'a executed']);
    expect((await left()).intents).toEqual(['a']);
  });

  test.each([
    [-ENOSPC, 'noSpace'],
    [-EDQUOT, 'quotaExceeded'],
  ])('nothing is executed after %i: who waits is refused, and WRITEs go on', async (errno, failure) => {
    vi.spyOn(journal, 'append').mockReturnValueOnce(errno);
    submit('a');
    await new Promise<void>((resolve) => setImmediate(() => resolve()));
    queue.whenUnchanging('a', () => events.push('a unchanging'));
    await turns();
    expect(events.filter((event) => !event.startsWith('lend'))).toEqual(
      events.includes('a unchanging')
        ? expect.arrayContaining([`a refused: ${failure}`, 'a answered', 'a unchanging'])
        : [],
    );
    expect(changing.size).toBe(0);
    expect(queue.isAtRest).toBe(true);
    let idle = false;
    queue.whenIdle(() => {
      idle = true;
    });
    expect(idle).toBe(true);
    submit('b');
    await turns();
    expect(events).toContain('b executed');
  });

  test('what waited behind it is executed as soon as there is room, and who waits for the queue waits for that', async () => {
    vi.spyOn(journal, 'append').mockReturnValueOnce(-ENOSPC);
    submit('a', { touches: ['x'] });
    submit('b', { touches: ['x'] });
    queue.whenIdle(() => events.push('idle'));
    await turns();
    expect(events.slice(1)).toEqual(['a refused: noSpace', 'a answered', 'b executed']);
    await settleAll();
    expect(events.slice(4)).toEqual(['b answered', 'idle']);
  });

  test('what was answered before is recorded for good a second later, and who waits for the queue does not wait for it', async () => {
    submit('a');
    await turns();
    await flushed();
    vi.spyOn(journal, 'append').mockReturnValueOnce(-ENOSPC);
    submit('b');
    queue.whenIdle(() => events.push('idle'));
    await turns();
    expect(events.slice(2)).toEqual([`lend for ${-ENOSPC}`, 'b refused: noSpace', 'b answered', 'idle']);
    vi.advanceTimersByTime(999);
    await turns();
    expect(changing.has('a')).toBe(true);
    vi.advanceTimersByTime(1);
    await until(() => changing.size === 0);
  });

  test('beside a flush, that is waited for', async () => {
    may.overlap = true;
    submit('a');
    await turns();
    vi.spyOn(journal, 'append').mockReturnValueOnce(-ENOSPC);
    submit('b');
    queue.whenIdle(() => events.push('idle'));
    await turns();
    expect(events).toContain('b refused: noSpace');
    expect(events).not.toContain('idle');
    await flushed();
    await settleAll();
    expect(events.slice(-2)).toEqual(['a answered', 'idle']);
  });

  test('one whose refusal throws has no answer', async () => {
    vi.spyOn(journal, 'append').mockReturnValueOnce(-ENOSPC);
    submit('a', { throwsIn: 'refuse' });
    submit('b');
    await turns();
    expect(events).toContain('a unanswered');
    expect(events).toContain('b answered');
  });

  test('answers that were given are recorded with the next group, once', async () => {
    submit('a');
    await turns();
    vi.spyOn(journal, 'append').mockReturnValueOnce(-ENOSPC);
    await flushed();
    expect(events).toContain('a answered');
    expect(await left()).toEqual({ answers: [], intents: ['a'] });
    submit('b');
    await turns();
    expect(await left()).toEqual({ answers: ['a'], intents: ['b'] });
    await flushed();
    const used = journal.usedSize;
    submit('c');
    await turns();
    // An intent, and no answer again.
    expect(journal.usedSize - used).toBeLessThan(130);
  });

  test('each answer is recorded once, whether there was room for it at once or not', async () => {
    const append = journal.append.bind(journal);
    let recorded = 0;
    let isFull = false;
    vi.spyOn(journal, 'append').mockImplementation((replies, announced, contents) => {
      if (isFull) return -ENOSPC;
      recorded += replies.length;
      return append(replies, announced, contents);
    });
    submit('a');
    await settleAll();
    expect(recorded).toBe(1);
    submit('b');
    await turns();
    isFull = true;
    await flushed();
    isFull = false;
    for (const name of ['c', 'd']) {
      submit(name);
      await settleAll();
    }
    expect(recorded).toBe(4);
  });

  test('what was refused is not executed with what is recorded later, and nobody is called twice', async () => {
    submit('a', { touches: ['x'] });
    await turns();
    await flushed();
    queue.whenIdle(() => events.push('idle'));
    noRoomOnce();
    submit('b');
    queue.whenUnchanging('x', () => events.push('x unchanging'));
    await settleAll();
    submit('c');
    queue.whenIdle(() => events.push('idle again'));
    await settleAll();
    submit('d');
    await settleAll();
    expect(events).not.toContain('b executed');
    for (const event of ['idle', 'x unchanging', 'idle again'])
      expect(
        events.filter((one) => one === event),
        event,
      ).toHaveLength(1);
  });

  test('with nothing else to record, nothing is written after a group that was refused', async () => {
    const append = vi.spyOn(journal, 'append').mockReturnValueOnce(-ENOSPC);
    submit('a');
    await turns();
    vi.advanceTimersByTime(10_000);
    await turns();
    expect(append).toHaveBeenCalledTimes(1);
  });

  test('a record that fails for another reason ends the volume', async () => {
    vi.spyOn(journal, 'append').mockReturnValueOnce(-EIO);
    submit('a');
    await turns();
    expect(events).toEqual([
      `lend for ${-EIO}`,
      'failed: IoError: volume v: the journal could not be made durable: EIO',
    ]);
    submit('b');
    await settleAll();
    expect(events).toHaveLength(2);
  });

  test('nor is anything asked of the disk after that', async () => {
    intents = 'flush';
    begin();
    vi.spyOn(journal, 'append').mockReturnValueOnce(-EIO);
    const flush = vi.spyOn(journal, 'flush');
    submit('a');
    await turns();
    expect(events).toHaveLength(2);
    expect(flush).not.toHaveBeenCalled();
  });

  test('answers that can not be appended for another reason are not given', async () => {
    submit('a');
    await turns();
    vi.spyOn(journal, 'append').mockReturnValueOnce(-EIO);
    await flushed();
    expect(events.slice(1)).toEqual([`lend for ${-EIO}`, expect.stringContaining('failed: IoError')]);
  });

  test('a write that the gate refuses is no fault when the right is over', async () => {
    vi.spyOn(journal, 'append').mockImplementationOnce(() => {
      may.serve = false;
      return REFUSED;
    });
    submit('a');
    await turns();
    expect(events.filter((event) => !event.startsWith('lend'))).toEqual(['stopped']);
  });
});

describe('what an operation throws', () => {
  test('while it is executed: settled from its intent, completed, answered and flushed with its group', async () => {
    settled = {
      outcome: 'completed',
      key: keyOf('bad'),
      results: resultsToKeep(keyOf('bad'), new Uint8Array(4), 4),
      createdKey: 'made',
    };
    submit('bad', { throwsIn: 'apply' });
    await turns();
    expect(events).toEqual(['bad executed', 'settled bad']);
    expect(bugs[0]).toContain('while it was executed: apply of bad');
    expect(changing.has('made')).toBe(true);
    await flushed();
    expect(events).toContain('bad answered');
    expect((await left()).answers).toEqual(['bad']);
    await settleAll();
    expect(changing.size).toBe(0);
  });

  test.each(['notBegun', 'putAside'] as const)(
    'while it is executed, %s: no answer, but a record that ends its intent, and everything is flushed',
    async (outcome) => {
      settled = outcome === 'notBegun' ? { outcome } : { outcome, reason: 'nobody knows' };
      submit('bad', { throwsIn: 'apply' });
      submit('good');
      await turns();
      expect(flushes[0]?.files).toEqual(['all', 'good']);
      expect(changing.has('bad')).toBe(true);
      await flushed();
      expect(events.filter((event) => event.endsWith('answered'))).toEqual([
        'bad unanswered',
        'good answered',
      ]);
      expect(await left()).toEqual({ answers: ['good'], intents: [] });
      expect(bugs.some((bug) => bug.includes('put aside and may be half executed: nobody knows'))).toBe(
        outcome === 'putAside',
      );
    },
  );

  test('a listener: the others have their answers', async () => {
    cache.admit(keyOf('a'), () => {
      throw new Error('listener');
    });
    queue.submit(new Operation('a', {}));
    submit('b');
    await settleAll();
    expect(events).toContain('b answered');
    expect(bugs).toEqual(['what waited for an answer: listener']);
  });

  test('who has waited for the queue: the others are called', async () => {
    submit('a');
    await turns();
    queue.whenIdle(() => {
      throw new Error('idle');
    });
    queue.whenIdle(() => events.push('idle'));
    queue.whenUnchanging('a', () => {
      throw new Error('unchanging');
    });
    queue.whenUnchanging('a', () => events.push('unchanging'));
    await settleAll();
    expect(events.slice(-2).sort()).toEqual(['idle', 'unchanging']);
    expect(bugs.sort()).toEqual(['what waited for a change: idle', 'what waited for a change: unchanging']);
  });

  test('the queue itself: the volume has failed, and nothing more is answered', async () => {
    vi.spyOn(journal, 'append').mockImplementationOnce(() => {
      throw new Error('broken');
    });
    submit('a');
    await settleAll();
    expect(events).toEqual([
      'failed: InternalError: volume v: an exception in this server has stopped its changes: broken',
    ]);
    expect(bugs).toEqual(['the queue of changes: broken']);
  });
});

describe('who waits', () => {
  test('for an object that nobody changes is called at once', () => {
    queue.whenUnchanging('x', () => events.push('unchanging'));
    queue.whenIdle(() => events.push('idle'));
    expect(events).toEqual(['unchanging', 'idle']);
  });

  test('for an object is called when the answer is recorded, which is done for that alone', async () => {
    submit('a', { makes: 'made' });
    await turns();
    queue.whenUnchanging('a', () => events.push('a unchanging'));
    queue.whenUnchanging('made', () => events.push('made unchanging'));
    await turns();
    expect(events).toEqual(['a executed']);
    await flushed();
    await until(() => events.includes('made unchanging'));
    expect(events).toEqual(['a executed', 'a answered', 'a unchanging', 'made unchanging']);
    expect(changing.size).toBe(0);
  });

  test('for an object whose answer was given asks for its record', async () => {
    submit('a');
    await turns();
    await flushed();
    expect(changing.has('a')).toBe(true);
    queue.whenUnchanging('a', () => events.push('a unchanging'));
    await until(() => events.includes('a unchanging'));
  });

  test('for the queue is called when the last answer is recorded, without waiting', async () => {
    submit('a');
    await turns();
    await flushed();
    queue.whenIdle(() => events.push('idle'));
    expect(events).not.toContain('idle');
    await until(() => events.includes('idle'));
    expect(changing.size).toBe(0);
  });

  test('for the queue while nothing is there to be recorded makes nothing be written', async () => {
    submit('long', { touches: ['x'], parts: 1000 });
    await until(() => events.includes('long part'));
    await flushed();
    const append = vi.spyOn(journal, 'append');
    queue.whenUnchanging('x', () => events.push('x unchanging'));
    queue.whenIdle(() => events.push('idle'));
    await turns(3);
    expect(append).not.toHaveBeenCalled();
  });

  test('for an object while a group is gathered: what was executed is recorded, and not executed again', async () => {
    submit('a');
    await turns();
    may.gatherMs = 1_000_000;
    submit('b');
    await flushed();
    expect(events).toEqual(['a executed', 'a answered']);
    queue.whenUnchanging('a', () => events.push('a unchanging'));
    await until(() => events.includes('a unchanging'));
    may.gatherMs = 0;
    vi.advanceTimersByTime(1_000_000);
    await settleAll();
    expect(events.filter((event) => event.endsWith('executed'))).toEqual(['a executed', 'b executed']);
  });

  test('for nobody: the last answers are flushed 20 ms later', async () => {
    submit('a');
    await turns();
    await flushed();
    const flushCount = journal.flushCount;
    vi.advanceTimersByTime(19);
    await turns();
    expect(journal.flushCount).toBe(flushCount);
    vi.advanceTimersByTime(1);
    await until(() => changing.size === 0);
    expect(journal.flushCount).toBe(flushCount + 1);
  });

  test('for nobody and held: they are not, until it is resumed', async () => {
    submit('a');
    await turns();
    await flushed();
    queue.freeze();
    vi.advanceTimersByTime(10_000);
    await turns();
    expect(changing.size).toBe(1);
    queue.thaw();
    vi.advanceTimersByTime(20);
    await until(() => changing.size === 0);
  });

  test('for nobody, with nothing left to record: a hold that ends makes nothing be flushed', async () => {
    const flush = vi.spyOn(journal, 'flush');
    queue.freeze();
    queue.thaw();
    vi.advanceTimersByTime(1000);
    await turns();
    expect(flush).not.toHaveBeenCalled();
  });

  test('for the group that is being recorded: a hold that ends meanwhile does not record it twice', async () => {
    submit('before');
    await turns();
    await flushed();
    intents = 'writeOut';
    let recorded = (): void => {};
    vi.spyOn(journal, 'writeOut').mockImplementation((done) => {
      recorded = () => done(null);
    });
    const append = vi.spyOn(journal, 'append');
    submit('a');
    await turns();
    queue.freeze();
    queue.thaw();
    vi.advanceTimersByTime(1000);
    await turns();
    expect(append).toHaveBeenCalledTimes(1);
    recorded();
    await settleAll();
    expect(events.filter((event) => event === 'a executed')).toHaveLength(1);
  });

  test('held, what was submitted is executed and answered', async () => {
    queue.freeze();
    submit('a');
    await turns();
    await flushed();
    vi.advanceTimersByTime(10_000);
    await turns();
    expect(events).toEqual(['a executed', 'a answered']);
    expect(changing.size).toBe(1);
  });

  test('for a queue that is stopped is called, and its operations are not answered', async () => {
    submit('a');
    await turns();
    queue.whenIdle(() => events.push('idle'));
    queue.whenUnchanging('a', () => events.push('unchanging'));
    queue.stop();
    expect(events).toEqual(['a executed', 'idle']);
    queue.whenIdle(() => events.push('idle again'));
    await flushed();
    submit('b');
    await settleAll();
    expect(events).toEqual(['a executed', 'idle', 'idle again']);
  });

  test('for nobody: nothing is recorded once the queue is stopped', async () => {
    submit('a');
    await turns();
    await flushed();
    const { flushCount } = journal;
    queue.stop();
    vi.advanceTimersByTime(1000);
    await turns();
    expect([queue.phase, journal.flushCount]).toEqual(['stopped', flushCount]);
  });

  test('for an object goes on without room for its record', async () => {
    submit('a');
    await turns();
    await flushed();
    vi.spyOn(journal, 'append').mockReturnValueOnce(-ENOSPC);
    queue.whenUnchanging('a', () => events.push('a unchanging'));
    await turns();
    expect(events).toContain('a unchanging');
  });

  test('for an object, and stops the queue: nothing more is begun', async () => {
    submit('a');
    await turns();
    await flushed();
    queue.whenUnchanging('a', () => {
      events.push('unchanging');
      queue.stop();
    });
    await until(() => events.includes('unchanging'));
    submit('b');
    await turns();
    expect(events).toEqual(['a executed', 'a answered', 'unchanging']);
  });

  test('for the queue waits for the flush under way, whatever fails at once meanwhile', async () => {
    may.overlap = true;
    submit('a');
    await turns();
    submit('no', { checked: false });
    queue.whenIdle(() => events.push('idle'));
    await turns();
    expect(events).toEqual(['a executed', 'no answered']);
    await settleAll();
    expect(events.slice(2)).toEqual(['a answered', 'idle']);
  });
});

describe('the right to serve, and whose the volume is, are looked at', () => {
  test('before the intents are recorded', async () => {
    submit('a');
    may.serve = false;
    await turns();
    expect(events).toEqual(['stopped']);
    expect((await left()).intents).toEqual([]);
  });

  test('before the intents are recorded: another owner', async () => {
    submit('a');
    may.own = false;
    await settleAll();
    expect(events).toEqual([]);
    expect((await left()).intents).toEqual([]);
  });

  test('before the answers are given: another owner', async () => {
    submit('a');
    await turns();
    may.own = false;
    await flushed();
    await settleAll();
    expect(events).toEqual(['a executed']);
    expect((await left()).answers).toEqual([]);
  });

  test('before the answers are recorded', async () => {
    submit('a');
    await turns();
    may.serve = false;
    await flushed();
    expect(events).toEqual(['a executed', 'stopped']);
    expect((await left()).answers).toEqual([]);
  });

  test('of a volume that has failed meanwhile', async () => {
    submit('a');
    Reflect.set(volume, 'failed', true);
    await settleAll();
    expect(events).toEqual(['stopped']);
  });
});

describe('what makes the intents safe', () => {
  test.each([
    ['flush', 1, 0],
    ['writeOut', 0, 1],
    ['unwritten', 0, 0],
  ] as const)(
    '%s: %i flushes and %i times written out, before anything is executed',
    async (way, flushCount, outCount) => {
      intents = way;
      begin();
      const flush = vi.spyOn(journal, 'flush');
      const writeOut = vi.spyOn(journal, 'writeOut');
      const noted = vi.spyOn(journal, 'flushed');
      submit('a');
      await until(() => events.includes('a executed'));
      expect([flush.mock.calls.length, writeOut.mock.calls.length]).toEqual([flushCount, outCount]);
      noted.mockClear();
      await flushed();
      // The flush of what was executed covers the journal, unless that has flushes of its own.
      expect(noted).toHaveBeenCalledTimes(way === 'flush' ? 0 : 1);
    },
  );

  test('an error ends the volume, and nothing is executed', async () => {
    intents = 'writeOut';
    begin();
    vi.spyOn(journal, 'writeOut').mockImplementationOnce((done) => done(new Error('no disk')));
    submit('a');
    await settleAll();
    expect(events).toEqual(['failed: IoError: volume v: the journal could not be made durable: no disk']);
  });

  test('after a group of which all have failed the journal is flushed all the same', async () => {
    submit('a', { changes: false });
    await turns();
    const flush = vi.spyOn(journal, 'flush');
    await flushed();
    expect(flush).toHaveBeenCalledTimes(1);
    await until(() => events.includes('a answered'));
  });

  test('and when it is stopped meanwhile, nothing is answered', async () => {
    submit('a', { changes: false });
    await turns();
    vi.spyOn(journal, 'flush').mockImplementationOnce((done) => {
      queue.stop();
      done(null);
    });
    await flushed();
    expect(events).toEqual(['a executed']);
  });

  test('and when that fails, the volume has', async () => {
    submit('a', { changes: false });
    await turns();
    vi.spyOn(journal, 'flush').mockImplementationOnce((done) => done(new Error('no disk')));
    await flushed();
    await settleAll();
    expect(events).toEqual([
      'a executed',
      'failed: IoError: volume v: the journal could not be made durable: no disk',
    ]);
  });

  test('a failed flush of what was executed ends the volume', async () => {
    submit('a');
    await flushed(-EIO);
    expect(events).toEqual([
      'a executed',
      'failed: IoError: volume v: the journal could not be made durable: errno 5 while flushing directories',
    ]);
  });
});

describe('a volume that is written through', () => {
  beforeEach(() => {
    writeThrough = true;
    begin();
  });

  test('answers when the answers are recorded, and groups come one after the other', async () => {
    may.overlap = true;
    submit('a');
    await turns();
    submit('b');
    await turns();
    expect(events).toEqual(['a executed']);
    flushes.shift()!.end();
    expect(events).toEqual(['a executed']);
    await until(() => events.includes('b executed'));
    expect(events).toEqual(['a executed', 'a answered', 'b executed']);
    expect(await left()).toEqual({ answers: ['a'], intents: ['b'] });
    flushes.shift()!.end();
    await until(() => events.includes('b answered'));
    expect((await left()).answers).toEqual(['a', 'b']);
    await turns();
    expect(queue.isAtRest).toBe(true);
  });

  test('begins no group beside a flush, also when a hold has ended', async () => {
    submit('long', { parts: 2 });
    submit('a');
    await turns();
    expect(flushes).toHaveLength(1);
    queue.freeze();
    queue.thaw();
    vi.advanceTimersByTime(1000);
    await turns();
    expect(events.filter((event) => event.startsWith('settled'))).toEqual([]);
    flushes.shift()!.end();
    await settleAll();
    expect(events.slice(-2)).toEqual(['long executed', 'long answered']);
  });

  test('is at rest after a group of which nothing was executed', async () => {
    const append = vi.spyOn(journal, 'append');
    submit('refused', { checked: false });
    await turns();
    expect(events).toEqual(['refused answered']);
    expect(queue.isAtRest).toBe(true);
    expect(append).not.toHaveBeenCalled();
  });

  test('answers nothing of what another owner may have seen', async () => {
    submit('a');
    await turns();
    vi.spyOn(journal, 'flush').mockImplementationOnce((done) => {
      may.own = false;
      done(null);
    });
    await flushed();
    await settleAll();
    expect(events).toEqual(['a executed']);
  });
});

describe('an operation that takes long', () => {
  test('is half executed when others are answered, and its object is closed to them until it is recorded', async () => {
    submit('long', { touches: ['x'], parts: 100 });
    submit('short');
    await turns(10);
    await flushed();
    expect(events).toContain('short answered');
    expect(events).not.toContain('long executed');
    submit('same', { touches: ['x'] });
    submit('relies', { reliesOn: ['x'] });
    queue.whenUnchanging('x', () => events.push('x unchanging'));
    await turns(10);
    expect(queue.isAtRest).toBe(false);
    expect(changing.has('x')).toBe(true);
    expect((await left()).intents).toContain('long');
    await settleAll();
    await settleAll();
    const order = events.filter((event) => !event.endsWith('part') && !event.startsWith('settled'));
    expect(order.indexOf('long answered')).toBeLessThan(order.indexOf('same executed'));
    expect(order.indexOf('long answered')).toBeLessThan(order.indexOf('relies executed'));
    expect(order).toContain('x unchanging');
    expect(changing.size).toBe(0);
    expect(queue.isAtRest).toBe(true);
  });

  test('is completed from its own intent, and if that can not be, executed', async () => {
    submit('long', { parts: 2 });
    await settleAll();
    expect(events.filter((event) => event.endsWith('part'))).toHaveLength(2);
    expect(events.filter((event) => !event.endsWith('part'))).toEqual([
      'settled long',
      'long executed',
      'long answered',
    ]);
    settled = {
      outcome: 'completed',
      key: keyOf('next'),
      results: resultsToKeep(keyOf('next'), new Uint8Array(4), 4),
      createdKey: null,
    };
    submit('next', { parts: 2 });
    await settleAll();
    expect(events).toContain('next answered');
    expect(events).not.toContain('next executed');
  });

  test('does nothing more once the queue is stopped', async () => {
    submit('long', { parts: 1000 });
    await until(() => events.length > 2);
    queue.stop();
    const { length } = events;
    await turns();
    expect(events).toHaveLength(length);
  });

  test('keeps the queue from being idle while it is the only one', async () => {
    submit('long', { parts: 1000 });
    await until(() => events.length > 3);
    queue.whenIdle(() => events.push('idle'));
    await flushed();
    expect(queue.isAtRest).toBe(false);
    expect(events).not.toContain('idle');
  });

  test('takes its parts in turn with others', async () => {
    submit('one', { parts: 3 });
    submit('other', { parts: 3 });
    await settleAll();
    const parts = events.filter((event) => event.endsWith('part')).map((event) => event.split(' ')[0]);
    expect(parts).toEqual(['one', 'other', 'one', 'other', 'one', 'other']);
    expect(events.filter((event) => event.endsWith('answered')).sort()).toEqual([
      'one answered',
      'other answered',
    ]);
  });

  test('takes one part a turn, of all that are under way', async () => {
    submit('one', { parts: 1000 });
    await until(() => events.includes('one part'));
    await flushed();
    submit('other', { parts: 1000 });
    await until(() => events.includes('other part'));
    const { length } = events;
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(events.length - length).toBeLessThanOrEqual(22);
  });

  test('waits for nobody, and nobody for it, when its group has no room', async () => {
    submit('long', { parts: 3 });
    await until(() => events.filter((event) => event === 'long part').length === 2);
    noRoomOnce();
    queue.whenIdle(() => events.push('idle'));
    await turns();
    expect(events).not.toContain('idle');
    expect(events).not.toContain('long executed');
    await settleAll();
    expect(events.slice(-2)).toEqual(['long answered', 'idle']);
  });

  test('and throws in one part is settled once, and not executed', async () => {
    submit('long', { parts: 3, throwsIn: 'applyPart' });
    await settleAll();
    expect(events).toEqual(['settled long', 'long unanswered']);
    expect(await left()).toEqual({ answers: [], intents: [] });
  });

  test('keeps its intent when there is no room to record it once more', async () => {
    submit('long', { touches: ['x'], parts: 3 });
    await until(() => events.filter((event) => event === 'long part').length === 2);
    noRoomOnce();
    queue.whenUnchanging('x', () => events.push('x unchanging'));
    await turns();
    await settleAll();
    expect(events.indexOf('long executed')).toBeGreaterThan(0);
    expect(events.indexOf('x unchanging')).toBeGreaterThan(events.indexOf('long answered'));
    expect(events).not.toContain('long refused: noSpace');
  });
});

describe('a new segment of the journal', () => {
  test('begun for the record of a group gets the intent of what is half executed, and none of that group', async () => {
    const seen: string[][] = [];
    const append = journal.append.bind(journal);
    vi.spyOn(journal, 'append').mockImplementation((replies, announced, contents) => {
      seen.push(
        [...contents.intents()].map((payload) => decodeIntentRecord(payload).key.replaceAll('.', '')),
      );
      return append(replies, announced, contents);
    });
    submit('long', { parts: 1 });
    await until(() => events.includes('long part'));
    submit('next');
    await settleAll();
    expect(events).toContain('next answered');
    expect(seen.slice(0, 2)).toEqual([[], ['long']]);
  });

  test('gets no intent of the group that it is begun for, also after a record without one', async () => {
    submit('a');
    await turns();
    await flushed();
    // The last answers are recorded.
    vi.advanceTimersByTime(20);
    await until(() => changing.size === 0);
    const append = journal.append.bind(journal);
    const seen: number[] = [];
    vi.spyOn(journal, 'append').mockImplementation((replies, announced, contents) => {
      seen.push([...contents.intents()].length);
      return append(replies, announced, contents);
    });
    submit('b');
    await turns();
    expect(events).toContain('b executed');
    expect(seen).toEqual([0]);
  });

  test('gets the intents of what is flushed, half executed and recorded, and no others', async () => {
    may.overlap = true;
    submit('long', { parts: 1000 });
    submit('flushed');
    await turns(6);
    expect(flushes).toHaveLength(1);
    submit('waits', { touches: ['flushed'] });
    const keys = (): string[] =>
      [...queue.intents()].map((payload) => decodeIntentRecord(payload).key.replaceAll('.', ''));
    expect(keys()).toEqual(['flushed', 'long']);
    submit('next');
    await turns(6);
    expect(events).toContain('next executed');
    expect(keys()).toEqual(['flushed', 'long', 'next']);
    await flushed();
    expect(keys()).not.toContain('flushed');
    expect([...queue.replies()]).toHaveLength(1);
  });
});
