/**
 * Operations about the same small tree that are under way together. Whatever is removed, moved, or closed to a user beside an
 * operation, it is executed once and its client is told so, wherever the owner is killed.
 */
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { afterEach, beforeAll, expect, test, vi } from 'vitest';
import { SeededRandom } from '../../testing/seeded-random.ts';
import { DuplicateRequestCache } from '../storage/duplicate-requests/duplicate-request-cache.ts';
import type { Journal } from '../storage/journal/journal.ts';
import { payloadAround } from '../storage/journal/journal-payloads.ts';
import { JournalReserve } from '../storage/journal/journal-reserve.ts';
import { Volume } from '../storage/volume/volume.ts';
import { identityCanChange, startIoPool } from '../system/thread-identity.ts';
import { type Arrival, Neighbours, type NeighboursOptions, PARTS, type Part } from './neighbours.fixture.ts';

/** A killed process loses nothing that the kernel has. */
const parent = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
const random = new SeededRandom(1);

beforeAll(startIoPool);
afterEach(() => {
  vi.restoreAllMocks();
});

async function check(
  all: readonly (readonly Part[])[],
  arrival: Arrival,
  options: NeighboursOptions = {},
): Promise<string[]> {
  const neighbours = await Neighbours.on(parent, options);
  try {
    const wrong: string[] = [];
    for (const parts of all) wrong.push(...(await neighbours.check(parts, arrival, random)));
    expect(neighbours.kills).toBeGreaterThan(all.length * 4);
    return wrong;
  } finally {
    await neighbours.close();
  }
}

// Without root the next owner opens nothing by a handle that is a directory of mode 0, or a file below one (docs/fileserver.md).
const closes = ({ title }: Part): boolean => title.startsWith('SETATTR mode 0 ');
const isClosed = (part: Part): boolean => closes(part) || /^LINK dir\/x|of dir\/x/.test(part.title);
const pairs = PARTS.flatMap((one, index) => PARTS.slice(index).map((other) => [one, other] as const)).filter(
  ([one, other]) =>
    identityCanChange || !((closes(one) && isClosed(other)) || (closes(other) && isClosed(one))),
);

// All of them, in both orders: make crashes.
test('pairs that come together, a quarter of them', { timeout: 600_000 }, async () => {
  expect(await check(oneOf(4, pairs), 'together')).toEqual([]);
});

test('pairs of which the second comes while the first is executed, a twelfth', {
  timeout: 600_000,
}, async () => {
  const some = oneOf(12, pairs).map(([one, other]) => [other, one]);
  expect(await check(some, 'later')).toEqual([]);
});

test('three that come together, some of them', { timeout: 600_000 }, async () => {
  const some = Array.from({ length: 6 }, () => [random.pick(PARTS), random.pick(PARTS), random.pick(PARTS)]);
  expect(await check(some, 'together')).toEqual([]);
});

function oneOf<T>(count: number, all: readonly T[]): T[] {
  return all.filter(() => random.chance(1 / count));
}

const of = (title: string): Part => PARTS.find((part) => part.title === title)!;

const FORGETS = 'without what operations rely on, the same finds operations that were executed and forgotten';
test(FORGETS, async () => {
  const known = [
    [of('REMOVE dir/x by the owner'), of('RMDIR dir by root')],
    [of('RENAME dir/x to other/x by the owner'), of('RMDIR dir by root')],
    [of('CREATE guarded dir/new by the owner'), of('SETATTR mode 0 of dir by root')],
    [of('REMOVE dir/x by the owner'), of('SETATTR mode 0 of dir by root')],
  ];
  for (const parts of known) expect(await check([parts], 'together', { carefully: false })).not.toEqual([]);
});

// It loses the intents with its journal, which counts from then on, and is killed before it has settled them.
const TOO_EARLY =
  'that an owner begins its journal before it has settled what it found shows when it is killed too';
test(TOO_EARLY, async () => {
  let journal!: Journal;
  let cache!: DuplicateRequestCache;
  const { takeRecoveredJournal } = Volume.prototype;
  vi.spyOn(Volume.prototype, 'takeRecoveredJournal').mockImplementation(function (this: Volume) {
    journal = this.journal;
    return takeRecoveredJournal.call(this);
  });
  const { restore } = DuplicateRequestCache.prototype;
  vi.spyOn(DuplicateRequestCache.prototype, 'restore').mockImplementation(function (
    this: DuplicateRequestCache,
    answers,
  ) {
    cache = this;
    restore.call(this, answers);
  });
  const { begin } = JournalReserve.prototype;
  vi.spyOn(JournalReserve.prototype, 'begin').mockImplementation(function (this: JournalReserve, gate) {
    begin.call(this, gate);
    const replies = Array.from(cache.replies(), ({ key, results }) => payloadAround(key, results));
    journal.begin({ intents: () => [], replies: () => replies }, gate);
  });
  const parts = [of('CREATE guarded dir/new by the owner'), of('REMOVE dir/x by the owner')];
  expect(await check([parts], 'together', { killedAgain: 0 })).toEqual([]);
  // One run draws one moment of the second kill for each of the first; not every draw shows it.
  const often = Array.from({ length: 10 }, () => parts);
  expect(await check(often, 'together', { killedAgain: 1 })).not.toEqual([]);
});
