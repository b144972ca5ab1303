/** A server's process: its output in a file, its end as a promise, stopped by its process id and nothing else. */

import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { setTimeout as elapsed } from 'node:timers/promises';

const STOP_TIMEOUT_MS = 5000;

export interface StartedProcess {
  pid: number;
  /** null while it runs; then a sentence with the end of what it wrote. */
  gone(): string | null;
  /** SIGTERM, and SIGKILL if that does not help within 5 seconds. */
  stop(): Promise<void>;
}

export async function startProcess(
  command: string,
  args: string[],
  logFile: string,
  environment: NodeJS.ProcessEnv = {},
): Promise<StartedProcess> {
  const log = openSync(logFile, 'w');
  const env = { ...process.env, ...environment };
  const child = spawn(command, args, { stdio: ['ignore', log, log], env });
  closeSync(log);
  await once(child, 'spawn');
  return {
    pid: child.pid!,
    gone: () => (hasEnded(child) ? `${command} ended early: ${tail(logFile)}` : null),
    stop: () => stop(child),
  };
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

async function stop(child: ChildProcess): Promise<void> {
  if (hasEnded(child)) return;
  const exit = once(child, 'exit');
  child.kill('SIGTERM');
  const abort = new AbortController();
  const timeout = elapsed(STOP_TIMEOUT_MS, 'timeout', { signal: abort.signal }).catch(() => 'exited');
  if ((await Promise.race([exit, timeout])) === 'timeout') child.kill('SIGKILL');
  await exit;
  abort.abort();
}

function tail(logFile: string): string {
  return readFileSync(logFile, 'utf8').trim().split('\n').slice(-5).join('\n');
}
