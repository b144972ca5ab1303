// POSIX through the Linux kernel's NFS client: pjdfstest inside the mount, compared with pjdfstest on the file system
// that the server serves. `make test` runs a part of it, as the guest is emulated; `make conformance` all.
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { readConformancePrograms, readGuestImage } from '../environment.ts';
import { LOCAL_EXPORT, LocalPair } from '../harness/local-pair.ts';
import { Guest, HOST_IN_GUEST } from '../linux/guest.ts';
import { outcomeOf } from '../machine/command.ts';
import { reasonFor } from './forced-by-nfsv3.ts';
import { differences, outcomesOf } from './outcome.ts';
import { writeReport } from './report.ts';

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
  const programs = readConformancePrograms();
  const configuration = join(import.meta.dirname, 'pjdfstest.toml');
  const command = [programs.pjdfstest, '-c', configuration, '-p', directory, ...PATTERNS];
  const local = outcomesOf((await outcomeOf(command, { timeoutMs: MS_MAX })).stdout);
  const settings = [
    `HOST=${HOST_IN_GUEST} PORT=${pair.stage.primaryPort('filer-a')} EXPORT=${LOCAL_EXPORT}`,
    `PATTERNS="${PATTERNS.join(' ')}"`,
  ].join(' ');
  const script = readFileSync(join(import.meta.dirname, 'scripts/suites.sh'), 'utf8');
  const files = [programs.pjdfstest, configuration];
  const guest = await Guest.boot(readGuestImage(), `${settings}\n${script}`, files);
  try {
    const code = await guest.exitCode(MS_MAX);
    expect(code, guest.output()).toBe(0);
    expect(guest.output()).toContain('PJDFSTEST ENDS');
    const mounted = outcomesOf(guest.output());
    // Not a comparison of nothing with nothing.
    expect([...mounted.keys()]).toEqual([...local.keys()]);
    expect([...mounted.values()].filter(({ verdict }) => verdict === 'ok').length).toBeGreaterThan(50);
    const found = differences(local, mounted);
    writeReport({ patterns: PATTERNS, local, mounted, found });
    expect(found.filter(({ name }) => reasonFor(name) === null)).toEqual([]);
  } finally {
    await guest.discard();
  }
});
