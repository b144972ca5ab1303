/**
 * The basic and special tests that NFS implementers meet with (interoperability/), on the file system that the server serves
 * and in a mount of it.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readConformancePrograms, readGuestImage } from '../environment.ts';
import { LocalPair } from '../harness/local-pair.ts';
import { outcomeOf } from '../machine/command.ts';
import { inMount } from './mounted.ts';
import { outcomesOf } from './outcome.ts';
import { recordResult } from './record-result.ts';

const MS_MAX = 10 * 60_000;

let pair: LocalPair;
let directory: string;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'filerpair-interoperability-'));
  pair = await LocalPair.start();
});
afterAll(async () => {
  await pair?.stop();
  rmSync(directory, { recursive: true, force: true });
});

test('all of them succeed, here and there', { timeout: MS_MAX }, async () => {
  const { interoperability } = readConformancePrograms();
  const here = outcomesOf((await outcomeOf([interoperability, directory])).stdout);
  expect([...here].filter(([, { verdict }]) => verdict !== 'ok')).toEqual([]);
  const said = await inMount(pair, {
    image: readGuestImage(),
    script: 'interoperability.sh',
    files: [interoperability],
    msMax: MS_MAX,
  });
  expect(said).toContain('INTEROPERABILITY ENDS');
  const there = outcomesOf(said);
  // Not a comparison of nothing with nothing.
  expect(there.size).toBeGreaterThan(20);
  expect([...there.keys()]).toEqual([...here.keys()]);
  recordResult('interoperability', Object.fromEntries(there));
  expect([...there].filter(([, { verdict }]) => verdict !== 'ok')).toEqual([]);
});
