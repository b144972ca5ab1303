/** One server process at a time in a run directory, and the name of that place. */
import { createHash } from 'node:crypto';
import { closeSync, constants, fstatSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { ConfigError } from './config/config.ts';
import { tryLock } from './system/flock.ts';

// A restart in the same place proves that the earlier runs have ended (R5), so it must be true that two runs never
// overlap. On Kubernetes the kubelet sees to it; here a lock does, everywhere: it is held for the life of the process,
// and the kernel gives it back when the last thread has gone. Locked is the very directory that the place is named after.
// A lock on a file in it could be removed with the file, and a second process would lock another one in the same place.

/**
 * Takes the lock for the rest of this process's life, and returns the name of the place. Throws ConfigError if another
 * process has it, SystemCallError where the file system of `runDir` has no locks on directories (NFS).
 */
export function lockRunDirectory(runDir: string): string {
  // Never closed: closing would unlock.
  const directory = openSync(runDir, constants.O_RDONLY | constants.O_DIRECTORY);
  const file = openLockFile(runDir);
  if (!tryLock(directory) || (file !== null && !tryLock(file))) {
    const holder = file === null ? '' : readFileSync(file, 'utf8').trim();
    closeSync(directory);
    throw new ConfigError(
      `runDir: ${runDir} is in use by another server process (pid ${holder || 'unknown'}); give each server its own.`,
    );
  }
  if (file !== null) leavePid(file);
  return placeOf(directory);
}

/** The file that earlier versions locked; it tells people which process runs. Null: the disk is full, and the file does not exist yet. */
function openLockFile(runDir: string): number | null {
  try {
    return openSync(join(runDir, 'server.lock'), 'a+', 0o600);
  } catch (error) {
    if (isFull(error)) return null;
    throw error;
  }
}

function leavePid(file: number): void {
  try {
    ftruncateSync(file);
    writeSync(file, `${process.pid}\n`);
  } catch (error) {
    if (!isFull(error)) throw error;
  }
}

function isFull(error: unknown): boolean {
  return ['ENOSPC', 'EDQUOT'].includes((error as NodeJS.ErrnoException).code ?? '');
}

/**
 * Names the place where no two servers run at once: this directory, on this machine, since it was booted. Different
 * machines never share the name, cloned ones included: that would declare a living server dead. After a reboot the
 * name is another one, which only costs the proof, not the safety.
 */
function placeOf(directory: number): string {
  const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  const { dev, ino } = fstatSync(directory);
  const id = createHash('sha256').update(`${bootId} ${dev} ${ino}`).digest('hex').slice(0, 12);
  return `${hostname().replace(/[^A-Za-z0-9.-]/g, '-')}-${id}`.replace(/^[^A-Za-z0-9]+/, '');
}
