/**
 * The owner is killed at a random moment under load, again and again: see crash-run.fixture.ts. `make crashes` does it thousands
 * of times.
 */
import { existsSync, readdirSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { crashAgainAndAgain } from './crash-run.fixture.ts';
import { temporaryDirectory } from './data-thread.fixture.ts';

let directory: { path: string; remove: () => void };
beforeEach(() => {
  directory = temporaryDirectory(existsSync('/dev/shm') ? '/dev/shm' : undefined);
});
afterEach(() => directory.remove());

const KILLS = 12;
const TIMEOUT_MS = 120_000;

test(
  'killed at random moments under load, some successors as they take over: every call succeeds, exactly once',
  async () => {
    const { failure, kills, killsAgain, resent } = await crashAgainAndAgain(directory.path, {}, KILLS);
    expect({ failure, kills, killsAgain }).toEqual({ failure: null, kills: KILLS, killsAgain: KILLS / 3 });
    // Most kills leave a call of every chain without an answer.
    expect(resent).toBeGreaterThan(KILLS);
    expect(readdirSync(directory.path)).toEqual(['.filerpair']);
  },
  TIMEOUT_MS,
);

test(
  'without the journal the same test fails (so it can)',
  async () => {
    const { failure } = await crashAgainAndAgain(directory.path, { journalDisabled: true }, KILLS);
    expect(failure).toMatch(/NFS3ERR_(NOENT|EXIST|NOT_SYNC)/);
  },
  TIMEOUT_MS,
);
