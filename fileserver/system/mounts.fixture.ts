/** File systems of a test's own, mounted on this machine: for root only. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Mounting needs root, and not every container's root may. */
export const mayMount = ((): boolean => {
  try {
    execFileSync('unshare', ['--mount', 'true'], { stdio: 'ignore' });
    return process.geteuid?.() === 0;
  } catch {
    return false;
  }
})();

export class MountedPlaces {
  readonly root = mkdtempSync(join(tmpdir(), 'filerpair-mounts-'));
  readonly #mounted: string[] = [];

  /** A directory of the temporary one. */
  directory(name: string): string {
    const path = join(this.root, name);
    mkdirSync(path, { recursive: true });
    return path;
  }

  /** An empty file system of its own at a directory that is made for it. */
  fileSystem(name: string): string {
    return this.mount(['-t', 'tmpfs', 'none'], this.directory(name));
  }

  bind(from: string, to: string): string {
    return this.mount(['--bind', from], to);
  }

  mount(what: readonly string[], at: string): string {
    execFileSync('mount', [...what, at]);
    this.#mounted.push(at);
    return at;
  }

  unmount(at: string): void {
    execFileSync('umount', [at], { stdio: 'pipe' });
  }

  /** Takes everything away, also what a test that failed has left there. */
  remove(): void {
    for (const path of this.#mounted.toReversed())
      try {
        execFileSync('umount', ['--lazy', path], { stdio: 'ignore' });
      } catch {
        // It is not mounted any more.
      }
    rmSync(this.root, { recursive: true, force: true });
  }
}
