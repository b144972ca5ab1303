/** Things that take minutes to build, kept on this machine by the hash of everything that goes into them. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
} from 'node:fs';
import { join } from 'node:path';
import { start } from './command.ts';
import { say } from './stage.ts';

// The cache lies outside the clone, so that a second clone on the same machine starts where the first one ended.
// An entry is a directory, made under another name and renamed when it is whole: a build that was interrupted
// leaves nothing that looks finished. Two runs at once: the second waits for the first and takes what it made.

/** Entries of the same name that nobody has used for this long are removed when a new one is made. */
const UNUSED_DAYS_MAX = 30;
/** A run that waits for another one says so after this time. */
const LOCK_PATIENCE_MS = 1_000;

export interface Cache {
  /** Directory of all entries. */
  readonly root: string;
}

/** First 12 hexadecimal digits of the SHA-256 of the inputs, each with its length in front. */
export function contentHash(inputs: readonly (string | Buffer)[]): string {
  const hash = createHash('sha256');
  for (const input of inputs) hash.update(`${input.length}:`).update(input);
  return hash.digest('hex').slice(0, 12);
}

/** The contents of all files under a directory with their paths and whether they are executable, as hash input. */
export function directoryInputs(directory: string): Buffer[] {
  const names = readdirSync(directory, { recursive: true, encoding: 'utf8' }).sort();
  return names.flatMap((name) => {
    const status = statSync(join(directory, name));
    if (!status.isFile()) return [];
    return [Buffer.from(`${name} ${status.mode & 0o111}`), readFileSync(join(directory, name))];
  });
}

export function cacheIn(root: string): Cache {
  mkdirSync(root, { recursive: true });
  return { root };
}

/**
 * The directory of an entry, which `make` fills if it is not there.
 *
 * @param inputs everything that the result depends on: versions, file contents, options
 */
export async function cached(
  cache: Cache,
  name: string,
  inputs: readonly (string | Buffer)[],
  make: (directory: string) => Promise<void>,
): Promise<string> {
  const path = join(cache.root, `${name}-${contentHash(inputs)}`);
  if (existsSync(path)) {
    touch(path);
    return path;
  }
  return withLock(`${path}.lock`, name, async () => {
    if (existsSync(path)) return path;
    const unfinished = `${path}.unfinished`;
    rmSync(unfinished, { recursive: true, force: true });
    mkdirSync(unfinished, { recursive: true });
    await make(unfinished);
    renameSync(unfinished, path);
    removeUnused(cache, name, path);
    return path;
  });
}

/**
 * Runs `work` while no other process holds the lock.
 *
 * flock(1) holds it for us and lets go when its standard input is closed, which the kernel does for us if this
 * process dies: there are no stale locks to judge.
 */
export async function withLock<T>(path: string, what: string, work: () => Promise<T>): Promise<T> {
  const holder = start(['flock', '--exclusive', path, 'sh', '-c', 'echo locked; exec cat']);
  const ended = once(holder, 'close');
  const waiting = setTimeout(
    () => say(`waiting for another run that is busy with ${what}`),
    LOCK_PATIENCE_MS,
  );
  try {
    await Promise.race([
      once(holder.stdout!, 'data'),
      ended.then(() => Promise.reject(new Error(`cannot lock ${path}`))),
    ]);
    clearTimeout(waiting);
    return await work();
  } finally {
    clearTimeout(waiting);
    holder.stdin!.end();
    await ended;
  }
}

/** The time of last use is the modification time of the directory. */
function touch(path: string): void {
  const now = new Date();
  try {
    utimesSync(path, now, now);
  } catch (error) {
    // An entry of another user can be read but not marked.
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') throw error;
  }
}

function removeUnused(cache: Cache, name: string, keep: string): void {
  const limit = Date.now() - UNUSED_DAYS_MAX * 24 * 3600 * 1000;
  for (const entry of readdirSync(cache.root)) {
    const path = join(cache.root, entry);
    if (path === keep || !new RegExp(`^${name}-[0-9a-f]{12}$`).test(entry)) continue;
    if (statSync(path).mtimeMs < limit) rmSync(path, { recursive: true, force: true });
  }
}
