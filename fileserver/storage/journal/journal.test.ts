import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { OPEN } from '../../system/open-gate.fixture.ts';
import type { Journal } from './journal.ts';
import { createJournal, SEGMENT_SIZE } from './journal-files.ts';
import { encodeIntentRecord, encodeReplyRecord } from './journal-payloads.ts';
import { JournalCorruptError, openJournal, type Replay } from './open-journal.ts';

const uuid = new Uint8Array(16).fill(3);
const NOTHING = { intents: () => [], *replies(): Iterable<Uint8Array> {} };
const key = (i: number): string => `key-${i}`.padEnd(16, '.');
const reply = (i: number, size = 8): Uint8Array => encodeReplyRecord(key(i), new Uint8Array(size).fill(i));
const intent = (i: number): Uint8Array =>
  encodeIntentRecord({
    key: key(i),
    procedure: 8,
    identity: { uid: 1, gid: 2, groups: [3] },
    args: new Uint8Array([i]),
    evidence: new Uint8Array(0),
  });

let directory: string;
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'filerpair-journal-'));
  await createJournal(OPEN, directory);
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

function flushed(journal: Journal): Promise<void> {
  return new Promise((resolve, reject) => journal.flush((error) => (error ? reject(error) : resolve())));
}

/** Payloads, oldest first. */
function answersOf({ answers }: Replay): Uint8Array[] {
  return [...answers.entries()].map(({ key, results }) => encodeReplyRecord(key, results));
}

async function begun(): Promise<Journal> {
  const { journal } = await openJournal(directory, uuid);
  journal.begin(NOTHING, OPEN);
  return journal;
}

test('gives the next owner the answers, and the intents that have none', async () => {
  const journal = await begun();
  journal.append([], [intent(1), intent(2)], NOTHING);
  await flushed(journal);
  journal.append([reply(1)], [intent(3)], NOTHING);
  await flushed(journal);
  journal.close();
  const replay = await openJournal(directory, uuid);
  expect(answersOf(replay)).toEqual([reply(1)]);
  expect(replay.intents).toEqual([intent(2), intent(3)]);
  replay.journal.close();
});

test.each<[string, boolean, (owner: Journal) => void]>([
  ['nothing', false, () => {}],
  ['a record', true, (owner) => owner.append([], [intent(2)], NOTHING)],
  ['the largest record', true, (owner) => owner.append([reply(2, 65_000)], [], NOTHING)],
  [
    'a new segment, and no more',
    true,
    (owner) => {
      while (owner.compactionCount === 1) owner.append([], [intent(2)], NOTHING);
    },
  ],
  [
    'all of a segment, to its end',
    true,
    (owner) => {
      while (owner.compactionCount < 5) owner.append([reply(2, 60_000)], [], NOTHING);
    },
  ],
  ['a new segment of a new owner', true, (owner) => owner.begin(NOTHING, OPEN)],
])('knows whether anybody has appended to it since it was read: %s', async (_, grown, appends) => {
  const owner = await begun();
  owner.append([reply(1)], [intent(1)], NOTHING);
  const { journal } = await openJournal(directory, uuid);
  expect(await journal.hasGrown(directory)).toBe(false);
  appends(owner);
  expect(await journal.hasGrown(directory)).toBe(grown);
  owner.close();
  journal.close();
});

test('full, it goes on in the other file with what still counts, any number of times', async () => {
  const journal = await begun();
  const kept = Array.from({ length: 10 }, (_, i) => reply(i));
  const contents = {
    intents: () => [],
    *replies() {
      yield* kept;
    },
  };
  const large = reply(99, 60_000);
  const rounds = Math.ceil((SEGMENT_SIZE / 60_000) * 3.5);
  for (let i = 0; i < rounds; i++) expect(journal.append([large], [intent(7)], contents)).toBe(0);
  expect(journal.compactionCount).toBeGreaterThanOrEqual(4);
  await flushed(journal);
  journal.close();
  const replay = await openJournal(directory, uuid);
  expect(answersOf(replay).slice(0, 10)).toEqual(kept);
  expect(replay.intents).toEqual([intent(7)]);
  replay.journal.close();
});

test('until a new segment has everything, the one before counts too', async () => {
  const journal = await begun();
  journal.append([], [intent(1)], NOTHING);
  await flushed(journal);
  const filler = encodeReplyRecord(key(2), new Uint8Array(60_000));
  const kept = Array.from({ length: 5000 }, (_, i) => reply(i + 100, 100));
  const contents = { intents: () => [], replies: () => kept };
  const before = journal.compactionCount;
  for (let count = 0; journal.compactionCount === before; count++) {
    expect(count).toBeLessThan(SEGMENT_SIZE / filler.length);
    journal.append([filler], [], contents);
  }
  // Its answer is in the new segment, of which the disk gets only the header and what comes first.
  const end = journal.usedSize;
  journal.append([reply(1)], [], contents);
  journal.close();
  for (const name of ['journal.0', 'journal.1', 'journal.2']) {
    const bytes = readFileSync(join(directory, name));
    if (bytes.readBigUInt64LE(24) !== 2n) continue;
    bytes.fill(0, end);
    writeFileSync(join(directory, name), bytes);
  }
  const replay = await openJournal(directory, uuid);
  expect(replay.intents).toEqual([intent(1)]);
  replay.journal.close();
});

test('an owner that flushes more than 2^32 times loses nothing', async () => {
  const { journal } = await openJournal(directory, uuid);
  // Some days of a busy server.
  journal.batch = 2 ** 32 - 2;
  journal.begin(NOTHING, OPEN);
  const numbers = Array.from({ length: 10 }, (_, i) => i);
  for (const i of numbers) {
    journal.append([reply(i)], [intent(i + 100)], NOTHING);
    await flushed(journal);
  }
  journal.close();
  const replay = await openJournal(directory, uuid);
  expect(answersOf(replay)).toEqual(numbers.map((i) => reply(i)));
  expect(replay.intents).toEqual(numbers.map((i) => intent(i + 100)));
  replay.journal.close();
});

test('a record without results ends an intent, is no answer, and ends what was answered before; sent again, it is one', async () => {
  const journal = await begun();
  journal.append([reply(2), reply(3)], [intent(1), intent(2)], NOTHING);
  await flushed(journal);
  journal.append([reply(1, 0), reply(2, 0), reply(3, 0)], [intent(2)], NOTHING);
  journal.append([reply(3)], [], NOTHING);
  journal.close();
  const replay = await openJournal(directory, uuid);
  expect(answersOf(replay)).toEqual([reply(3)]);
  expect(replay.intents).toEqual([intent(2)]);
  replay.journal.close();
});

test('what is written out needs no flush of the journal to be read again', async () => {
  const journal = await begun();
  journal.append([], [intent(1)], NOTHING);
  await new Promise<void>((resolve, reject) =>
    journal.writeOut((error) => (error ? reject(error) : resolve())),
  );
  journal.flushed();
  journal.append([reply(1)], [intent(2)], NOTHING);
  await new Promise<void>((resolve, reject) =>
    journal.writeOut((error) => (error ? reject(error) : resolve())),
  );
  expect(journal.flushCount).toBe(0);
  journal.close();
  const replay = await openJournal(directory, uuid);
  expect([answersOf(replay), replay.intents]).toEqual([[reply(1)], [intent(2)]]);
  replay.journal.close();
});

test('a segment whose beginning was torn leaves the one before it in charge', async () => {
  const journal = await begun();
  journal.append([reply(1)], [], NOTHING);
  await flushed(journal);
  journal.close();
  const next = await openJournal(directory, uuid);
  next.journal.begin(
    {
      intents: () => [],
      *replies() {
        yield* answersOf(next);
      },
    },
    OPEN,
  );
  next.journal.close();
  // The second began in the other file. Its snapshot is torn in the middle:
  for (const name of ['journal.0', 'journal.1', 'journal.2']) {
    const bytes = readFileSync(join(directory, name));
    if (bytes.readBigUInt64LE(24) !== 2n) continue;
    bytes.fill(0, 520);
    writeFileSync(join(directory, name), bytes);
  }
  const replay = await openJournal(directory, uuid);
  expect(answersOf(replay)).toEqual([reply(1)]);
  replay.journal.close();
});

test('a record lost in the middle is not taken for the end', async () => {
  const journal = await begun();
  for (let i = 1; i <= 4; i++) {
    journal.append([reply(i)], [], NOTHING);
    await flushed(journal);
  }
  journal.close();
  for (const name of ['journal.0', 'journal.1', 'journal.2']) {
    const bytes = readFileSync(join(directory, name));
    const at = bytes.indexOf(key(2));
    if (at < 0) continue;
    bytes[at] = 0;
    writeFileSync(join(directory, name), bytes);
  }
  await expect(openJournal(directory, uuid)).rejects.toThrow(JournalCorruptError);
});

test("another volume's journal is an empty one", async () => {
  const journal = await begun();
  journal.append([reply(1)], [], NOTHING);
  await flushed(journal);
  journal.close();
  const replay = await openJournal(directory, new Uint8Array(16));
  expect([answersOf(replay), replay.intents]).toEqual([[], []]);
  replay.journal.close();
});
