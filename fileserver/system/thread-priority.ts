/**
 * The thread that keeps a lease alive, or reports a death, goes before others on a busy machine; it needs next to
 * nothing of it. On Linux the nice value belongs to the calling thread and to those that it starts later, not to the
 * process.
 */
import { setPriority } from 'node:os';

const NICENESS = -10;

/** False if the process may not do so (no CAP_SYS_NICE); it is a comfort, nothing rests on it. */
export function preferThisThread(): boolean {
  try {
    setPriority(NICENESS);
    return true;
  } catch {
    return false;
  }
}
