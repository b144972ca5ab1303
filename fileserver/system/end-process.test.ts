/** A process ends, with real threads that hang: one in a system call, and the one that should see to the end. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';

const module = JSON.stringify(new URL('./end-process.ts', import.meta.url).href);
const directory = mkdtempSync(join(tmpdir(), 'filerpair-end-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** Exit code and signal of a process that runs `body`. */
function endOf(body: string): Promise<unknown[]> {
  const program = `import { endProcess, endWithin } from ${module};\n${body}`;
  return once(
    spawn(process.execPath, ['--input-type=module', '--eval', program], { stdio: 'ignore' }),
    'exit',
  );
}

test('does not wait for a call in the pool that nothing answers', async () => {
  const fifo = join(directory, 'fifo');
  execFileSync('mkfifo', [fifo]);
  // open(2) of a FIFO that nobody writes to: process.exit() would wait for it.
  const hangs = `import { open } from 'node:fs';
    open(${JSON.stringify(fifo)}, 'r', () => {});
    setTimeout(() => endProcess(3), 100);`;
  expect(await endOf(hangs)).toEqual([3, null]);
});

test('within a limit it ends by the kernel, though its thread never runs again', async () => {
  const blocked = 'endWithin(100); Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);';
  expect(await endOf(blocked)).toEqual([null, 'SIGKILL']);
});

test('a later limit replaces the one before', async () => {
  expect(await endOf('endWithin(100); endWithin(60_000); setTimeout(() => endProcess(4), 400);')).toEqual([
    4,
    null,
  ]);
});
