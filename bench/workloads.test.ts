/**
 * Every workload runs against our own server: the generator checks each reply's status and length itself, so a run that ends
 * without an error is one in which the server did what was asked.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runGenerator } from './comparison.ts';
import type { RunRequest } from './generator/messages.ts';
import { workloadNames } from './generator/messages.ts';
import { startFilerpair } from './servers/filerpair.ts';
import { memoryOf } from './servers/process-figures.ts';
import type { ServerUnderTest } from './servers/server-under-test.ts';

const directory = mkdtempSync(join(tmpdir(), 'filerpair-bench-'));
let server: ServerUnderTest;

beforeAll(async () => {
  server = await startFilerpair(directory, { nodeArguments: [] });
});

afterAll(async () => {
  await server?.stop();
  rmSync(directory, { recursive: true, force: true });
});

function requestFor(workload: RunRequest['workload'], exportPath = server.exportPath): RunRequest {
  const { host, port, mountPort } = server;
  const load = { connections: 2, depth: 4, fileSize: 2 * 1024 * 1024, warmUpMs: 20, measureMs: 200 };
  return { host, port, mountPort, exportPath, workload, ...load };
}

describe('a generator process', () => {
  test.each(workloadNames)('%s: the server answers, and the figures make sense', async (workload) => {
    const round = await runGenerator(requestFor(workload), server);
    expect(round.operations).toBeGreaterThan(0);
    expect(round.elapsedMs).toBeGreaterThanOrEqual(190);
    expect(round.latencyUs.p50).toBeGreaterThan(0);
    expect(round.latencyUs.p99).toBeGreaterThanOrEqual(round.latencyUs.p50);
    expect(round.latencyUs.max).toBeGreaterThanOrEqual(round.latencyUs.p99);
  });

  test('an export that does not exist is a failure that names workload, server and reason', async () => {
    const failure = runGenerator(requestFor('getattr', '/nowhere'), server);
    await expect(failure).rejects.toThrow(/^getattr on FilerPair failed: .*\/nowhere: MNT3ERR_/);
  });
});

test('the memory of a process is what the kernel says: a peak that is no less than the present', () => {
  const { resident, peak } = memoryOf(server.pid);
  expect(resident).toBeGreaterThan(10);
  expect(peak).toBeGreaterThanOrEqual(resident);
});
