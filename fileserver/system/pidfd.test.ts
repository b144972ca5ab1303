import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { expect, it, vi } from 'vitest';
import { eventually } from '../../testing/eventually.ts';
import { Pidfd } from './pidfd.ts';

/** Of its main thread: S sleeps, T is stopped, Z has ended. */
function stateOf(pid: number): string {
  const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
  return text.charAt(text.lastIndexOf(')') + 2);
}

function sleeper(): ReturnType<typeof spawn> {
  return spawn('sleep', ['600'], { stdio: 'ignore' });
}

it('reports the end of a killed process, without news from a parent', async () => {
  const child = sleeper();
  await once(child, 'spawn');
  const pidfd = new Pidfd(child.pid!);
  expect(pidfd.exited()).toBe(false);
  const exit = pidfd.exit();
  child.kill('SIGKILL');
  expect(await exit).toBe(true);
  expect(pidfd.exited()).toBe(true);
  pidfd.close();
});

it('does not take a stopped process for a dead one', async () => {
  const child = sleeper();
  await once(child, 'spawn');
  const pidfd = new Pidfd(child.pid!);
  const exit = vi.fn();
  const exited = pidfd.exit().then(exit);
  child.kill('SIGSTOP');
  await eventually('it is stopped', 10_000, () => stateOf(child.pid!) === 'T');
  expect(pidfd.exited()).toBe(false);
  expect(exit).not.toHaveBeenCalled();
  child.kill('SIGKILL');
  await exited;
  expect(exit).toHaveBeenCalledExactlyOnceWith(true);
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
  // The main thread leaves by the raw exit system call, which ends one thread; another goes on until it is told.
  const program = `
    const { Worker } = require('node:worker_threads');
    const koffi = require('koffi');
    const exit = koffi.load('libc.so.6').func('long syscall(long number, long status)');
    const linger =
      'require("node:fs").writeSync(1, "lingering");' +
      'require("node:fs").readSync(0, Buffer.alloc(1));' +
      'process.kill(process.pid, "SIGKILL");';
    new Worker(linger, { eval: true }).on('online', () => exit(process.arch === 'x64' ? 60 : 93, 0));`;
  const child = spawn(process.execPath, ['--eval', program], { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = once(child, 'exit');
  await once(child.stdout!, 'data');
  await eventually('its main thread has gone', 10_000, () => stateOf(child.pid!) === 'Z');
  const pidfd = new Pidfd(child.pid!);
  expect(pidfd.exited()).toBe(false);
  child.stdin!.write('!');
  expect(await pidfd.exit()).toBe(true);
  pidfd.close();
  await ended;
});
