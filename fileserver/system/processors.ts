/** Processor facts for a thread that looks again instead of sleeping: how to give way, and whether time on them is rationed. */
import { readFileSync } from 'node:fs';
import koffi from 'koffi';

const c_sched_yield = koffi.load('libc.so.6').func('int sched_yield()') as () => number;

/**
 * sched_yield(2): other threads that want this processor have it before this one goes on. Comes back at once where nobody does:
 * half a microsecond.
 */
export function giveWay(): void {
  c_sched_yield();
}

/**
 * Has this container (or the service, or the user's session) a limit of processor time, in a control group of its own or
 * above it? There a thread that looks again uses up what the others need. `unknown` where the kernel does not say.
 */
export function processorTime(read: (path: string) => string = readText): 'rationed' | 'free' | 'unknown' {
  let own: string;
  try {
    own = read('/proc/self/cgroup');
  } catch {
    return 'unknown';
  }
  let answers = 0;
  for (const line of own.split('\n')) {
    const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (controllers === undefined || path === undefined) continue;
    const version1 = controllers.split(',').includes('cpu');
    if (!version1 && controllers !== '') continue;
    for (const limit of limitsAbove(path, version1, read)) {
      answers += 1;
      if (limit) return 'rationed';
    }
  }
  return answers > 0 ? 'free' : 'unknown';
}

/** Says for each group from the process's own up to the root whether there is a limit. Groups that say nothing are left out. */
function* limitsAbove(path: string, version1: boolean, read: (path: string) => string): Iterable<boolean> {
  const root = version1 ? '/sys/fs/cgroup/cpu' : '/sys/fs/cgroup';
  // In a container the path may be the host's, while the container's own group is what is mounted: that is the root here.
  const names = path.split('/').filter((name) => name !== '' && name !== '..');
  for (let depth = names.length; depth >= 0; depth--) {
    const group = [root, ...names.slice(0, depth)].join('/');
    try {
      // "max 100000", or a number of microseconds in each period; version 1 says -1 for none.
      if (version1) yield Number(read(`${group}/cpu.cfs_quota_us`)) > 0;
      else yield !read(`${group}/cpu.max`).startsWith('max');
    } catch {
      // The root group of version 2 has no such file, and neither has a group without this controller.
    }
  }
}

function readText(path: string): string {
  return readFileSync(path, 'latin1');
}
