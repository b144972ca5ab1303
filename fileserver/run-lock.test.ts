/** The lock of the run directory, with processes that really live in it. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';

let directory: string;
let runDir: string;
const children: ChildProcess[] = [];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'filerpair-run-'));
  runDir = join(directory, 'run');
  mkdirSync(runDir);
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  rmSync(directory, { recursive: true, force: true });
});

/**
 * Takes the lock and stays. Resolves with what it says: the place, or why it cannot have it.
 *
 * @param bootId as if the machine had been booted anew
 */
async function lock(bootId?: string): Promise<string> {
  const module = new URL('./run-lock.ts', import.meta.url).href;
  const program = `
    import fs from 'node:fs';
    import { syncBuiltinESMExports } from 'node:module';
    const { readFileSync } = fs;
    const bootId = process.argv[2];
    if (bootId !== undefined) {
      fs.readFileSync = (path, ...more) => String(path).endsWith('/boot_id') ? bootId : readFileSync(path, ...more);
      syncBuiltinESMExports();
    }
    const { lockRunDirectory } = await import(${JSON.stringify(module)});
    try { console.log('place ' + lockRunDirectory(process.argv[1])); setInterval(() => {}, 1000); }
    catch (error) { console.log(error.message); }`;
  const child = spawn(process.execPath, [
    '--input-type=module',
    '-e',
    program,
    runDir,
    ...(bootId === undefined ? [] : [bootId]),
  ]);
  children.push(child);
  const [said] = await once(child.stdout, 'data');
  return String(said).trim();
}

it('is refused while the holder lives, and is had in the same place after it', async () => {
  const first = await lock();
  expect(first).toMatch(/^place \S+$/);
  expect(await lock()).toContain(`is in use by another server process (pid ${children[0]!.pid})`);
  children[0]!.kill('SIGKILL');
  await once(children[0]!, 'exit');
  expect(await lock()).toBe(first);
});

it('is not taken away with the files of the directory', async () => {
  await lock();
  rmSync(join(runDir, 'server.lock'));
  expect(await lock()).toContain('is in use by another server process');
});

it('another directory of the same path is another place', async () => {
  const first = await lock();
  renameSync(runDir, join(directory, 'moved'));
  mkdirSync(runDir);
  const second = await lock();
  expect(second).toMatch(/^place \S+$/);
  expect(second).not.toBe(first);
});

it('after a reboot it is another place: files that were there before prove nothing of who lives', async () => {
  const places: string[] = [];
  for (const bootId of ['one', 'other', 'one']) {
    places.push(await lock(bootId));
    const child = children.at(-1)!;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  expect(places[0]).toMatch(/^place \S+$/);
  expect(places[1]).not.toBe(places[0]);
  expect(places[2]).toBe(places[0]);
});

it('respects the lock that an earlier version has on a file in it', async () => {
  writeFileSync(join(runDir, 'server.lock'), '4711\n');
  const earlier = spawn('flock', [join(runDir, 'server.lock'), 'sleep', '60'], { detached: true });
  try {
    await expect
      .poll(() => {
        try {
          execFileSync('flock', ['-n', join(runDir, 'server.lock'), 'true']);
          return 'free';
        } catch {
          return 'locked';
        }
      })
      .toBe('locked');
    expect(await lock()).toContain('(pid 4711)');
  } finally {
    process.kill(-earlier.pid!, 'SIGKILL');
  }
});

it.runIf(process.getuid!() === 0)('is had on a full disk, without the message for people', async () => {
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16k', 'tmpfs', runDir]);
  try {
    expect(() => writeFileSync(join(runDir, 'fill'), Buffer.alloc(64 * 1024))).toThrow('ENOSPC');
    expect(await lock()).toMatch(/^place \S+$/);
    expect(readFileSync(join(runDir, 'server.lock'), 'utf8')).toBe('');
    expect(await lock()).toContain('(pid unknown)');
  } finally {
    for (const child of children.splice(0)) {
      // The one that was refused has ended by itself.
      if (child.kill('SIGKILL')) await once(child, 'exit');
    }
    execFileSync('umount', [runDir]);
  }
});
