/**
 * fsx inside a mount: random reads, writes, mappings, truncations and flushes of a file, each read compared with what was
 * written. For a minute, or as long as FSX_SECONDS says.
 */
import { randomInt } from 'node:crypto';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readConformancePrograms, readGuestImage } from '../environment.ts';
import { LocalPair } from '../harness/local-pair.ts';
import { inMount } from './mounted.ts';
import { recordResult } from './record-result.ts';

/** With each seed. */
const OPERATIONS = 1000;
/** For what was begun, in an emulated machine. */
const END_MS_MAX = 5 * 60_000;

const { fsx, fsxSeconds } = readConformancePrograms();
let pair: LocalPair;
beforeAll(async () => {
  pair = await LocalPair.start();
});
afterAll(() => pair?.stop());

test('every read is what was written', { timeout: fsxSeconds * 1000 + 2 * END_MS_MAX }, async () => {
  const seed = randomInt(1, 1_000_000_000);
  const said = await inMount(pair, {
    image: readGuestImage(),
    script: 'fsx.sh',
    settings: { SEED: seed, OPERATIONS, SECONDS_MAX: fsxSeconds },
    files: [fsx, join(import.meta.dirname, 'fsx.toml')],
    msMax: fsxSeconds * 1000 + END_MS_MAX,
  });
  expect(said).toContain('FSX ENDS');
  const rounds = said.match(/^FSX \d+ \d+ ok$/gm) ?? [];
  expect(rounds.length).toBeGreaterThan(0);
  recordResult('fsx', { operations: rounds.length * OPERATIONS, seconds: fsxSeconds, firstSeed: seed });
});
