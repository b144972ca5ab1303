/**
 * POSIX through the Linux kernel's NFS client: pjdfstest inside the mount, compared with pjdfstest on the file system that the
 * server serves. `make test` runs a part of it, as the guest is emulated; `make conformance` all.
 */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { readConformancePrograms, readGuestImage } from '../environment.ts';
import { LocalPair } from '../harness/local-pair.ts';
import { outcomeOf } from '../machine/command.ts';
import { reasonFor } from './forced-by-nfsv3.ts';
import { inMount } from './mounted.ts';
import { countsOf, differences, outcomesOf } from './outcome.ts';
import { recordResult } from './record-result.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** Of pjdfstest's names; empty: all. */
    readonly patterns?: readonly string[];
  }
}

const PATTERNS = inject('patterns') ?? ['rename', 'unlink', 'utimensat'];
const MS_MAX = 30 * 60_000;

let pair: LocalPair;
let directory: string;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'filerpair-posix-'));
  chmodSync(directory, 0o755);
  pair = await LocalPair.start();
});
afterAll(async () => {
  await pair?.stop();
  rmSync(directory, { recursive: true, force: true });
});

test('what the local file system does, the mount does, but for what NFSv3 forbids', {
  timeout: MS_MAX,
}, async () => {
  const { pjdfstest } = readConformancePrograms();
  const configuration = join(import.meta.dirname, 'pjdfstest.toml');
  const command = [pjdfstest, '-c', configuration, '-p', directory, ...PATTERNS];
  const local = outcomesOf((await outcomeOf(command, { timeoutMs: MS_MAX })).stdout);
  const said = await inMount(pair, {
    image: readGuestImage(),
    script: 'posix.sh',
    settings: { PATTERNS: PATTERNS.join(' ') },
    files: [pjdfstest, configuration],
    msMax: MS_MAX,
  });
  expect(said).toContain('PJDFSTEST ENDS');
  const mounted = outcomesOf(said);
  // Not a comparison of nothing with nothing.
  expect([...mounted.keys()]).toEqual([...local.keys()]);
  expect(countsOf(mounted)['ok']).toBeGreaterThan(50);
  const found = differences(local, mounted);
  const counts = { local: countsOf(local), mounted: countsOf(mounted) };
  recordResult('posix', { ...counts, differences: found });
  expect(found.filter(({ name }) => reasonFor(name) === null)).toEqual([]);
});
