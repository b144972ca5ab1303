import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, it } from 'vitest';
import { bootMs } from './boottime.ts';
import { Pidfd } from './pidfd.ts';

function sleeper(): ReturnType<typeof spawn> {
  return spawn('sleep', ['600'], { stdio: 'ignore' });
}

it('reports the end of a killed process at once, without news from a parent', async () => {
  const child = sleeper();
  await once(child, 'spawn');
  const pidfd = new Pidfd(child.pid!);
  expect(pidfd.exited()).toBe(false);
  const exit = pidfd.exit();
  const killedAt = bootMs();
  child.kill('SIGKILL');
  expect(await exit).toBe(true);
  expect(bootMs() - killedAt).toBeLessThan(1000);
  expect(pidfd.exited()).toBe(true);
  pidfd.close();
});

it('does not take a stopped process for a dead one', async () => {
  const child = sleeper();
  await once(child, 'spawn');
  const pidfd = new Pidfd(child.pid!);
  child.kill('SIGSTOP');
  const outcome = await Promise.race([pidfd.exit(), new Promise((r) => setTimeout(r, 600, 'still there'))]);
  expect(outcome).toBe('still there');
  child.kill('SIGKILL');
  await once(child, 'exit');
  pidfd.close();
});

it('says that nobody was there when the process had ended before', async () => {
  const child = spawn('true', { stdio: 'ignore' });
  await once(child, 'exit');
  expect(() => new Pidfd(child.pid!)).toThrow(/pidfd_open: ESRCH/);
});

it('gives up waiting when closed, and says so', async () => {
  const child = sleeper();
  await once(child, 'spawn');
  const pidfd = new Pidfd(child.pid!);
  const exit = pidfd.exit();
  pidfd.close();
  expect(await exit).toBe(false);
  child.kill('SIGKILL');
});

it('sees the end of every thread: a process whose main thread alone has gone is still alive', async () => {
  // The main thread leaves by the raw exit system call, which ends one thread; another goes on for a while.
  const program = `
    const { Worker } = require('node:worker_threads');
    const koffi = require('koffi');
    const exit = koffi.load('libc.so.6').func('long syscall(long number, long status)');
    const linger =
      'require("node:fs").writeSync(1, "lingering");' +
      'Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 400);' +
      'process.kill(process.pid, "SIGKILL");';
    new Worker(linger, { eval: true }).on('online', () => exit(process.arch === 'x64' ? 60 : 93, 0));`;
  const child = spawn(process.execPath, ['--eval', program], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'exit');
  await once(child.stdout!, 'data');
  const readyAt = bootMs();
  const pidfd = new Pidfd(child.pid!);
  expect(await pidfd.exit()).toBe(true);
  expect(bootMs() - readyAt).toBeGreaterThan(200);
  pidfd.close();
  await ended;
});
