/**
 * Any run of groups, any crash in it: the process killed (what was appended is there), or the machine (what a flush has covered
 * is there, of the rest any sectors). The next owner finds each operation's answer, or at least its intent.
 */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { SeededRandom } from '../../../testing/seeded-random.ts';
import { OPEN } from '../../system/open-gate.fixture.ts';
import { DuplicateRequestCache } from '../duplicate-requests/duplicate-request-cache.ts';
import type { Journal, JournalContents } from './journal.ts';
import { createJournal } from './journal-files.ts';
import { decodeIntentRecord, encodeIntentRecord, encodeReplyRecord } from './journal-payloads.ts';
import { openJournal } from './open-journal.ts';

vi.mock(import('node:fs'), async (original) => {
  const fs = await original();
  const sees = (fd: number): void => {
    const name = basename(fs.readlinkSync(`/proc/self/fd/${fd}`));
    if (NAMES.includes(name)) durable[NAMES.indexOf(name)] = readFileSync(join(directory, name));
  };
  return {
    ...fs,
    fdatasync: ((fd, done) => {
      sees(fd);
      fs.fdatasync(fd, done);
    }) as typeof fs.fdatasync,
    fdatasyncSync: (fd: number) => {
      sees(fd);
      fs.fdatasyncSync(fd);
    },
  };
});

const uuid = new Uint8Array(16).fill(9);
const SEGMENT_SIZE = 192 * 1024;
const LIMITS = { answersMax: 150, bytesMax: 40_000, ageMaxMs: 1e9 };
const SECTOR_SIZE = 512;
const NAMES = ['journal.0', 'journal.1', 'journal.2'];
const nothing = { uid: 0, gid: 0, groups: [] };

let directory: string;
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'filerpair-journal-'));
  await createJournal(OPEN, directory, SEGMENT_SIZE);
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const files = (): Buffer[] => NAMES.map((name) => readFileSync(join(directory, name)));
const put = (contents: readonly Buffer[]): void =>
  contents.forEach((bytes, i) => {
    writeFileSync(join(directory, NAMES[i]!), bytes);
  });

/** Of sectors written since `durable`, any. */
function torn(durable: readonly Buffer[], written: readonly Buffer[], random: SeededRandom): Buffer[] {
  const kept = random.below(4);
  return written.map((bytes, i) => {
    const result = Buffer.from(durable[i]!);
    for (let at = 0; at < bytes.length; at += SECTOR_SIZE) {
      if (random.below(4) < kept) bytes.copy(result, at, at, at + SECTOR_SIZE);
    }
    return result;
  });
}

/** Each file as its last flush left it. */
let durable: Buffer[];

/** An owner with its cache, as operation-log.ts and recovery.ts use the journal. */
class Owner {
  readonly cache = new DuplicateRequestCache(LIMITS, () => 0);
  journal!: Journal;
  /** Of the operations found without an answer. */
  found: string[] = [];

  async open(): Promise<void> {
    const replay = await openJournal(directory, uuid, SEGMENT_SIZE);
    this.cache.restore(replay.answers);
    this.found = replay.intents.map((payload) => decodeIntentRecord(payload).key);
    for (const key of this.found) this.cache.complete(key, new Uint8Array(4));
    this.journal = replay.journal;
  }

  /** false: dies before it has begun. */
  async begin(dies: boolean): Promise<boolean> {
    this.journal.begin(this.contents, OPEN);
    if (dies) return false;
    if (this.found.length > 0) await this.flush();
    return true;
  }

  flush(): Promise<void> {
    return new Promise((resolve, reject) =>
      this.journal.flush((error) => (error === null ? resolve() : reject(error))),
    );
  }

  get contents(): JournalContents {
    return {
      intents: () => [],
      replies: () => [...this.cache.replies()].map(({ key, results }) => encodeReplyRecord(key, results)),
    };
  }
}

test.each([1, 2, 3, 4])('seed %i', async (seed) => {
  const random = new SeededRandom(seed);
  let count = 0;
  /** Whose intent or answer a flush has covered, in order. */
  let promised: string[] = [];
  let segments = 0;
  durable = files();
  for (let run = 0; run < 60; run++) {
    const owner = new Owner();
    await owner.open();
    // All that must not be lost: the youngest, as many as the cache holds for certain.
    const young = promised.slice(-Math.floor(LIMITS.answersMax / 2));
    expect(young.filter((key) => owner.cache.find(key) === null)).toEqual([]);
    const began = await owner.begin(random.below(4) === 0);
    // Several owners in a row may come to nothing.
    const short = !began || random.below(2) === 0;
    const groups = short ? 0 : random.below(120);
    for (let group = 0; group < groups; group++) {
      const keys = Array.from({ length: 1 + random.below(12) }, () => String(count++).padEnd(32, '.'));
      const args = new Uint8Array(20 + random.below(300));
      const intents = keys.map((key) =>
        encodeIntentRecord({ key, procedure: 8, identity: nothing, args, evidence: new Uint8Array(8) }),
      );
      expect(owner.journal.append([], intents, owner.contents)).toBe(0);
      if (group === groups - 1 && random.below(2) === 0) break;
      await owner.flush();
      promised = [...promised, ...keys].slice(-1000);
      const replies = keys.map((key) => encodeReplyRecord(key, new Uint8Array(100 + random.below(200))));
      expect(owner.journal.append(replies, [], owner.contents)).toBe(0);
      for (const key of keys) owner.cache.complete(key, new Uint8Array(100));
    }
    segments += owner.journal.compactionCount;
    owner.journal.close();
    if (random.below(3) < (short ? 2 : 1)) continue;
    durable = torn(durable, files(), random);
    put(durable);
  }
  expect(segments).toBeGreaterThan(30);
});
