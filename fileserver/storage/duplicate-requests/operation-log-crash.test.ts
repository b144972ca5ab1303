/**
 * The queue with its real journal, on a disk that loses what it may lose: any crash at any moment of any load. Whatever the file
 * system then shows as executed has an answer, or an intent and the state that its operation left.
 */

import { mkdtempSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { SeededRandom } from '../../../testing/seeded-random.ts';
import { OPEN } from '../../system/open-gate.fixture.ts';
import type { FileTable } from '../files/file-table.ts';
import { createJournal } from '../journal/journal-files.ts';
import { decodeIntentRecord, encodeIntentRecord, resultsToKeep } from '../journal/journal-payloads.ts';
import { openJournal } from '../journal/open-journal.ts';
import { CountedKeys } from '../volume/counted-keys.ts';
import type { Volume } from '../volume/volume.ts';
import { DuplicateRequestCache } from './duplicate-request-cache.ts';
import type { Pacing } from './group-pacing.ts';
import type { Check, JournaledOperation, Plan } from './journaled-operation.ts';
import { OperationLog } from './operation-log.ts';

//   page cache (the files)  -- writeOut, fdatasync -->  the device's cache  -- any flush of the device -->  durable
//   what was executed       ------------------ the file system's commit, ours or its own -------------->  durable

const NAMES = ['journal.0', 'journal.1', 'journal.2'];
const SECTOR_SIZE = 512;
const SEGMENT_SIZE = 192 * 1024;
const uuid = new Uint8Array(16).fill(9);
const nobody = { uid: 0, gid: 0, groups: [] };

type Random = SeededRandom;

/** One name, changed by one operation after the other. */
class Operation implements JournaledOperation, Plan {
  readonly operation = 'CREATE';
  readonly key: string;
  readonly name: string;
  readonly needsSpace = false;
  readonly createdKey = null;
  readonly fails: boolean;
  results: Uint8Array;
  /** Half executed from the first of them on. */
  readonly isLong: boolean;
  #partsLeft: number;
  #begun = false;
  readonly #machine: Machine;

  constructor(machine: Machine, number: number, name: string, fails: boolean) {
    this.#machine = machine;
    this.key = String(number).padEnd(32, '.');
    this.name = name;
    this.fails = fails;
    this.#partsLeft = !fails && number % 11 === 0 ? 1 + machine.random.below(40) : 0;
    this.isLong = this.#partsLeft > 0;
    this.results = resultsToKeep(this.key, new Uint8Array(60 + (number % 90)));
  }

  check(): Check {
    return { lockKeys: [this.name], reliesOn: [], plan: this, results: this.results };
  }
  intent(): Uint8Array {
    const evidence = new Uint8Array(8);
    const args = new Uint8Array(30 + (this.name.length % 3) * 40);
    return encodeIntentRecord({ key: this.key, procedure: 8, identity: nobody, args, evidence });
  }
  refuse(): never {
    throw new Error('there is room');
  }
  applyPart(): boolean {
    this.#begin();
    this.#partsLeft -= 1;
    return this.#partsLeft >= 0;
  }
  apply(flushes: { add: (file: never) => void }): Uint8Array {
    if (this.fails) return this.results;
    if (this.#machine.flushing) this.#machine.overlapped += 1;
    this.#begin();
    flushes.add(undefined as never);
    return this.results;
  }
  #begin(): void {
    if (!this.#begun) this.#machine.executed.push(this);
    this.#begun = true;
  }
}

/** Where everything is. */
class Machine {
  readonly directory = mkdtempSync(join(tmpdir(), 'filerpair-queue-'));
  readonly random: Random;
  device: Buffer[] = [];
  durable: Buffer[] = [];
  #snapshots = 0;
  #durableSnapshot = 0;
  /** In the order of execution. */
  readonly executed: Operation[] = [];
  durableCount = 0;
  flushing = false;
  /** Executed while a group before was flushed. */
  overlapped = 0;
  /** In the order of their answers. */
  readonly answered = new Set<Operation>();

  constructor(random: Random) {
    this.random = random;
  }

  files(): Buffer[] {
    return NAMES.map((name) => readFileSync(join(this.directory, name)));
  }

  later(work: () => void, turnsMax = 6): void {
    const turns = this.random.below(turnsMax);
    const wait = (left: number): void => {
      if (left === 0) work();
      else setImmediate(wait, left - 1);
    };
    setImmediate(wait, turns);
  }

  writeOut(fd: number, from: number, size: number, done: (result: number) => void): void {
    const number = NAMES.indexOf(basename(readlinkSync(`/proc/self/fd/${fd}`)));
    this.later(() => {
      this.files()[number]!.copy(this.device[number]!, from, from, from + size);
      done(0);
    });
  }

  /** Of the device now; what it returns makes it durable. Where two flushes overlap, what the later one saw stays. */
  snapshot(): () => void {
    const device = this.device.map((bytes) => Buffer.from(bytes));
    this.#snapshots += 1;
    const number = this.#snapshots;
    return () => {
      if (number < this.#durableSnapshot) return;
      this.#durableSnapshot = number;
      this.durable = device;
    };
  }

  /** What is on the device when it begins is durable when it ends. */
  flushDevice(done: () => void): void {
    const becomeDurable = this.snapshot();
    const count = this.executed.length;
    this.flushing = true;
    this.later(() => {
      this.flushing = false;
      becomeDurable();
      this.durableCount = Math.max(this.durableCount, count);
      done();
      // Long enough for the next group to be executed in several turns meanwhile, or a part of it.
    }, 16);
  }

  fdatasync(fd: number, done: (error: null) => void): void {
    const number = NAMES.indexOf(basename(readlinkSync(`/proc/self/fd/${fd}`)));
    this.files()[number]!.copy(this.device[number]!);
    // The journal's flush commits nothing of what was executed, as far as anybody knows.
    const becomeDurable = this.snapshot();
    this.later(() => {
      becomeDurable();
      done(null);
    });
  }

  /** The file system's own: what was executed becomes durable, and what was on the device before. */
  commit(): void {
    this.snapshot()();
    this.durableCount = this.executed.length;
  }

  /** Files after a crash now: what is durable, and of the rest any sectors. */
  crashed(): Buffer[] {
    const kept = this.random.below(4);
    return this.files().map((bytes, i) => {
      const result = Buffer.from(this.durable[i]!);
      for (let at = 0; at < bytes.length; at += SECTOR_SIZE)
        if (this.random.below(4) < kept) bytes.copy(result, at, at, at + SECTOR_SIZE);
      return result;
    });
  }
}

let machine: Machine;
vi.mock('../../system/write-out.ts', () => ({
  writeOut: (...args: Parameters<Machine['writeOut']>) => machine.writeOut(...args),
}));
vi.mock(import('node:fs'), async (original) => {
  const fs = await original();
  return {
    ...fs,
    fdatasync: ((fd: number, done: (error: null) => void) => {
      // To read what a crash left: nothing of it matters.
      if (fs.readlinkSync(`/proc/self/fd/${fd}`).startsWith(machine.directory)) machine.fdatasync(fd, done);
      else done(null);
    }) as typeof fs.fdatasync,
    fdatasyncSync: (fd: number) => {
      const number = NAMES.indexOf(basename(fs.readlinkSync(`/proc/self/fd/${fd}`)));
      machine.files()[number]!.copy(machine.device[number]!);
      machine.snapshot()();
    },
  };
});
vi.mock('../flush/flush-set.ts', () => ({
  FlushSet: class {
    #count = 0;
    add(): void {
      this.#count += 1;
    }
    flush(done: (result: number, issued: boolean) => void): void {
      const issued = this.#count > 0;
      this.#count = 0;
      if (issued) machine.flushDevice(() => done(0, true));
      else done(0, false);
    }
  },
}));

let looked: string;
beforeEach(() => {
  looked = mkdtempSync(join(tmpdir(), 'filerpair-crashed-'));
});
afterEach(() => {
  rmSync(looked, { recursive: true, force: true });
  rmSync(machine.directory, { recursive: true, force: true });
});

/** What the next owner would find after a crash now. */
async function lookAfterCrash(answersMax: number): Promise<void> {
  if (machine.random.below(2) === 0) machine.commit();
  const durable = machine.executed.slice(0, machine.durableCount);
  const answered = new Set(machine.answered);
  // Answers are forgotten one day, intents only when there is an answer.
  const mayBeForgotten = new Set([...answered].slice(0, -answersMax / 2));
  for (const [i, bytes] of machine.crashed().entries()) writeFileSync(join(looked, NAMES[i]!), bytes);
  const replay = await openJournal(looked, uuid, SEGMENT_SIZE);
  const open = new Set(replay.intents.map((payload) => decodeIntentRecord(payload).key));
  replay.journal.close();
  const latest = new Map(durable.map((operation) => [operation.name, operation.key]));
  for (const operation of durable) {
    if (mayBeForgotten.has(operation)) continue;
    const known = open.has(operation.key) || replay.answers.has(operation.key);
    expect(known, `operation ${operation.key} is on the disk, and nobody knows of it`).toBe(true);
    // Recovery would look at what another one has left.
    const misjudged = open.has(operation.key) && latest.get(operation.name) !== operation.key;
    expect(misjudged, `${operation.key} has no answer, and its name was changed since`).toBe(false);
  }
  const lost = [...answered].find((operation) => !operation.fails && !durable.includes(operation));
  expect(lost, 'answered, and not on the disk').toBe(undefined);
}

/** Safety does not depend on it. */
function anyPacing(random: Random): Pacing {
  return {
    mayOverlap: () => random.below(2) === 0,
    gatherMs: () => (random.below(16) === 0 ? 1 : 0),
    noteAnswered: () => {},
    noteFlush: () => {},
    noteExecution: () => {},
  };
}

const MODES = ['writeOut', 'flush'] as const;
/** With few answers a new segment has everything at once, while two groups are under way. */
const KEPT = [200, 8] as const;
const CASES = MODES.flatMap((intents) =>
  KEPT.flatMap((answersMax) => [1, 2].map((seed) => [intents, answersMax, seed] as const)),
);

test.each(CASES)(
  'intents by %s, %i answers kept, seed %i',
  async (intents, answersMax, seed) => {
    const random = new SeededRandom(seed);
    machine = new Machine(random);
    await createJournal(OPEN, machine.directory, SEGMENT_SIZE);
    machine.device = machine.files();
    machine.durable = machine.files();
    const { journal } = await openJournal(machine.directory, uuid, SEGMENT_SIZE);
    journal.begin({ intents: () => [], replies: () => [] }, OPEN);
    const volume = {
      spec: { name: 'v' },
      journal,
      changing: new CountedKeys(),
      reserve: { lend: () => false, shortage: null },
      failed: false,
      fail: (_reason: string, message: string) => {
        throw new Error(message);
      },
      isOurs: () => true,
    } as unknown as Volume;
    const cache = new DuplicateRequestCache({ answersMax, bytesMax: 40_000, ageMaxMs: 1e9 }, () => 0);
    const hooks = {
      mayServe: () => true,
      onStopped: () => {},
      onStep: () => {},
      // Of those in parts; then execute() does what is left.
      settle: () => ({ outcome: 'notBegun' }) as const,
      onBug: (_whose: string, error: unknown) => {
        throw error;
      },
      intents,
      journalDisabled: false,
    };
    const queue = new OperationLog(volume, {} as FileTable, cache, hooks, anyPacing(random));
    // Of this machine, also when the test has failed and the queue goes on.
    const { answered } = machine;
    let count = 0;
    for (let burst = 0; burst < 400; burst++) {
      for (let i = random.below(30); i > 0; i--) {
        const operation = new Operation(machine, count++, `name ${random.below(60)}`, random.below(20) === 0);
        cache.admit(operation.key, () => answered.add(operation));
        queue.submit(operation);
      }
      // Now and then everything that takes long ends before the next burst.
      for (let turns = random.below(random.below(20) === 0 ? 300 : 8); turns > 0; turns--)
        await new Promise((resolve) => setImmediate(resolve));
      if (random.below(10) === 0) machine.commit();
      if (random.below(2) === 0) await lookAfterCrash(answersMax);
    }
    await new Promise<void>((resolve) => queue.whenIdle(resolve));
    expect(answered.size).toBe(count);
    expect(volume.changing.size).toBe(0);
    expect(journal.compactionCount).toBeGreaterThan(5);
    expect(machine.overlapped).toBeGreaterThan(100);
    await lookAfterCrash(answersMax);
    journal.close();
  },
  60_000,
);
