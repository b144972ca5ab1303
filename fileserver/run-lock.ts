/**
 * One server process at a time in a run directory, and the name of that place.
 *
 * A restart in the same place proves that the earlier runs have ended (R5), so it must be true that two runs never
 * overlap. On Kubernetes the kubelet sees to it; here a lock on a file does, everywhere: it is held for the life of
 * the process, and the kernel gives it back when the last thread has gone.
 */
import { createHash } from 'node:crypto';
import { closeSync, ftruncateSync, openSync, readFileSync, statSync, writeSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { ConfigError } from './config.ts';
import { tryLock } from './system/flock.ts';

/** Takes the lock for the rest of this process's life. Throws ConfigError if another process has it. */
export function lockRunDirectory(runDir: string): void {
  const path = join(runDir, 'server.lock');
  // Never closed: closing would unlock.
  const fd = openSync(path, 'a+', 0o600);
  if (!tryLock(fd)) {
    const holder = readFileSync(path, 'utf8').trim();
    closeSync(fd);
    throw new ConfigError(
      `runDir: ${runDir} is in use by another server process (pid ${holder || 'unknown'}); give each server its own.`,
    );
  }
  ftruncateSync(fd);
  writeSync(fd, `${process.pid}\n`);
}

/**
 * Names the place where no two servers run at once: this directory, on this machine, since it was booted. Different
 * machines never share the name, cloned ones included: that would declare a living server dead. After a reboot the
 * name is another one, which only costs the proof, not the safety.
 */
export function placeOf(runDir: string): string {
  const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  const { dev, ino } = statSync(runDir);
  const id = createHash('sha256').update(`${bootId} ${dev} ${ino}`).digest('hex').slice(0, 12);
  return `${hostname().replace(/[^A-Za-z0-9.-]/g, '-')}-${id}`.replace(/^[^A-Za-z0-9]+/, '');
}
