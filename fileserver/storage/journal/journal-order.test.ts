/** Before a segment is written over, what makes it superfluous is durable: the whole of the one behind it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { OPEN } from '../../system/open-gate.fixture.ts';
import type { Journal } from './journal.ts';
import { createJournal } from './journal-files.ts';
import { encodeReplyRecord } from './journal-payloads.ts';
import { openJournal } from './open-journal.ts';

const { synced } = vi.hoisted(() => ({ synced: vi.fn() }));
vi.mock('node:fs', async (original) => ({
  ...(await original<typeof import('node:fs')>()),
  fdatasyncSync: synced,
}));

const SEGMENT_SIZE = 256 * 1024;
const uuid = new Uint8Array(16).fill(3);
const NOTHING = { intents: () => [], *replies(): Iterable<Uint8Array> {} };
const reply = encodeReplyRecord('key'.padEnd(16, '.'), new Uint8Array(4096));

let directory: string;
let journal: Journal;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'filerpair-journal-'));
  await createJournal(OPEN, directory, SEGMENT_SIZE);
  ({ journal } = await openJournal(directory, uuid, SEGMENT_SIZE));
  journal.begin(NOTHING, OPEN);
  synced.mockClear();
});
afterEach(() => {
  journal.close();
  rmSync(directory, { recursive: true, force: true });
});

/** Until the next segment is begun. */
function fill(): void {
  const before = journal.compactionCount;
  for (let count = 0; journal.compactionCount === before; count++) {
    expect(count).toBeLessThan(SEGMENT_SIZE / reply.length);
    expect(journal.append([reply], [], NOTHING)).toBe(0);
  }
}

// What is appended while a flush runs is durable after the next one.
test.each([
  [0, 1],
  [1, 1],
  [2, 0],
])('after %i flushes since the segment was whole it is flushed %i times', async (flushes, times) => {
  for (let i = 0; i < flushes; i++)
    await new Promise<void>((resolve, reject) =>
      journal.flush((error) => (error ? reject(error) : resolve())),
    );
  fill();
  expect(synced).toHaveBeenCalledTimes(times);
});
