/** A share of a processor that processes have together at most: a control group of the kernel, of version 1 or 2. Root only. */
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

const ROOT = '/sys/fs/cgroup';
const PERIOD_US = 100_000;
const FREE_MS_MAX = 5_000;

/** Where groups for processor time are made; null: nowhere on this machine. */
function parent(): { readonly path: string; readonly version: 1 | 2 } | null {
  if (process.geteuid!() !== 0) return null;
  if (existsSync(join(ROOT, 'cpu/cpu.cfs_quota_us'))) return { path: join(ROOT, 'cpu'), version: 1 };
  const control = join(ROOT, 'cgroup.subtree_control');
  if (!existsSync(control) || !readFileSync(control, 'utf8').split(/\s/).includes('cpu')) return null;
  return { path: ROOT, version: 2 };
}

export class ProcessorLimit {
  readonly #path: string;
  readonly #version: 1 | 2;

  private constructor(path: string, version: 1 | 2) {
    this.#path = path;
    this.#version = version;
    mkdirSync(path);
  }

  /** Null: this machine has no control groups for that, or this process may not make one. */
  static make(): ProcessorLimit | null {
    const found = parent();
    return found === null
      ? null
      : new ProcessorLimit(join(found.path, `filerpair-starved-${process.pid}`), found.version);
  }

  add(pid: number): void {
    writeFileSync(join(this.#path, 'cgroup.procs'), String(pid));
  }

  /** @param share of one processor; null: all that there is */
  set(share: number | null): void {
    const quota = share === null ? null : Math.round(share * PERIOD_US);
    if (this.#version === 2) writeFileSync(join(this.#path, 'cpu.max'), `${quota ?? 'max'} ${PERIOD_US}`);
    else writeFileSync(join(this.#path, 'cpu.cfs_quota_us'), String(quota ?? -1));
  }

  /** Periods of 100 ms in which they had less than they wanted, since the beginning. */
  get throttled(): number {
    const stat = readFileSync(join(this.#path, 'cpu.stat'), 'utf8');
    return Number(/^nr_throttled (\d+)$/m.exec(stat)?.[1] ?? 0);
  }

  /** When all its processes have ended. */
  async remove(): Promise<void> {
    for (const until = performance.now() + FREE_MS_MAX; ; await delay(50)) {
      try {
        rmdirSync(this.#path);
        return;
      } catch (error) {
        if (performance.now() > until) throw error;
      }
    }
  }
}
