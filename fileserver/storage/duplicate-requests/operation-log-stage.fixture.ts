/**
 * An operation log whose journal is the real one. Flushes of what was executed, and waiting times, end when the test says so. Each
 * test of a file that imports this has one of its own.
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, vi } from 'vitest';
import { OPEN } from '../../system/open-gate.fixture.ts';
import type { VolumeFailure } from '../failures/status.ts';
import type { FileTable } from '../files/file-table.ts';
import type { Journal } from '../journal/journal.ts';
import { createJournal } from '../journal/journal-files.ts';
import { decodeIntentRecord, encodeIntentRecord, resultsToKeep } from '../journal/journal-payloads.ts';
import { openJournal } from '../journal/open-journal.ts';
import { CountedKeys } from '../volume/counted-keys.ts';
import type { Volume } from '../volume/volume.ts';
import { DuplicateRequestCache } from './duplicate-request-cache.ts';
import type { Check, JournaledOperation, Plan } from './journaled-operation.ts';
import { OperationLog } from './operation-log.ts';
import type { OperationLogHooks, Settled } from './operation-log-hooks.ts';

const { ENOSPC } = constants.errno;
const NOT_BEGUN: Settled = { outcome: 'notBegun' };
export const SEGMENT_SIZE = 256 * 1024;
/** With room for the largest group. */
export const LARGE_SEGMENT_SIZE = 3 * 1024 * 1024;
export const uuid = new Uint8Array(16).fill(9);
export const keyOf = (name: string): string => name.padEnd(16, '.');

export let events: string[];
/** Flushes of what was executed that are under way; `files`: what each has been given. */
export let flushes: { readonly files: readonly unknown[]; readonly end: (result?: number) => void }[];

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
      if (given.endsAtOnce !== null) {
        done(given.endsAtOnce, files.length > 0);
        return;
      }
      flushes.push({ files, end: (result = 0) => done(result, files.length > 0) });
    }
  },
}));

export interface Traits {
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

export class Operation implements JournaledOperation, Plan {
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
    this.#results = traits.answer ?? resultsToKeep(this.key, new Uint8Array(8));
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
    return resultsToKeep(this.key, Uint8Array.of(0, 0, 0, 28));
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

export let directory: string;
export let journal: Journal;
export let cache: DuplicateRequestCache;
export let changing: CountedKeys;
export let volume: Volume;
export let queue: OperationLog;
interface Given {
  /** With this result the next flush ends before it has been waited for. */
  endsAtOnce: number | null;
  shortage: VolumeFailure | null;
  lends: boolean;
  settled: Settled;
  intents: OperationLogHooks['intents'];
  writeThrough: boolean;
}
/** What a test sets of the volume and the hooks. */
export let given: Given;
/** What hooks and the volume say. */
export let may: { serve: boolean; own: boolean; overlap: boolean; gatherMs: number };
export let bugs: string[];
/** As the tests that end a process at one are told of them. */
export let steps: string[];

beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  events = [];
  flushes = [];
  bugs = [];
  steps = [];
  may = { serve: true, own: true, overlap: false, gatherMs: 0 };
  given = {
    endsAtOnce: null,
    shortage: null,
    lends: false,
    settled: NOT_BEGUN,
    intents: 'unwritten',
    writeThrough: false,
  };
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

export async function beginJournal(path: string, segmentSize: number): Promise<void> {
  await createJournal(OPEN, path, segmentSize);
  ({ journal } = await openJournal(path, uuid, segmentSize));
  journal.begin({ intents: () => [], replies: () => [] }, OPEN);
}

/** A queue with what is set. */
export function begin(): void {
  changing = new CountedKeys();
  cache = new DuplicateRequestCache(undefined, () => 0);
  volume = {
    spec: { name: 'v', writeThrough: given.writeThrough },
    journal,
    changing,
    gate: OPEN,
    reserve: {
      get shortage() {
        return given.shortage;
      },
      lend: (_gate: unknown, result: number) => {
        events.push(`lend for ${result}`);
        return given.lends;
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
      return given.settled;
    },
    onBug: (whose, error) => bugs.push(`${whose}: ${(error as Error).message}`),
    get intents() {
      return given.intents;
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

export function submit(name: string, traits: Traits = {}): void {
  cache.admit(keyOf(name), (results) =>
    events.push(`${name} ${results === null ? 'unanswered' : 'answered'}`),
  );
  queue.submit(new Operation(name, traits));
}

/** What runs without a flush of what was executed, a waiting time or another submission. */
export async function turns(count = 40): Promise<void> {
  for (let i = 0; i < count; i++) {
    await new Promise((resolve) => setImmediate(resolve));
    if (pool.flushes > 0) i = 0;
  }
}

export async function until(is: () => boolean): Promise<void> {
  const limit = performance.now() + 20_000;
  const asked = queue;
  while (!is()) {
    if (queue !== asked) throw new Error('the test is over');
    if (performance.now() > limit) throw new Error(`waited in vain, after: ${events.join(', ')}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** The flush under way ends. */
export async function flushed(result = 0): Promise<void> {
  await until(() => flushes.length > 0);
  flushes.shift()!.end(result);
  await turns();
}

/** All that can be waited for is over, and all flushes ended: until nothing is left to do, or the queue has stopped. */
export async function settleAll(): Promise<void> {
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
export function noRoomOnce(): void {
  const append = journal.append.bind(journal);
  let failures = 1;
  vi.spyOn(journal, 'append').mockImplementation((replies, announced, contents) =>
    announced.length > 0 && failures-- > 0 ? -ENOSPC : append(replies, announced, contents),
  );
}

/** What the next owner would find: keys of answers and of intents, without their padding. */
export async function left(): Promise<{ answers: string[]; intents: string[] }> {
  const replay = await openJournal(directory, uuid, SEGMENT_SIZE);
  await replay.journal.close();
  const bare = (key: string): string => key.replaceAll('.', '');
  return {
    answers: [...replay.answers.entries()].map(({ key }) => bare(key)),
    intents: replay.intents.map((payload) => bare(decodeIntentRecord(payload).key)),
  };
}
