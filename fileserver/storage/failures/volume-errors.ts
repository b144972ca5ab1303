/**
 * Errors of a volume's system calls that clients were told of and that say something of the disk or of the server
 * (errno-outcomes.ts `told`). They are counted until they are taken, once a second, for the agent. One thread's.
 */
import type { SystemCall } from '../../system/system-calls.ts';
import { errnoName } from './errno-outcomes.ts';

/** Errors of one kind, since they were told last. */
export interface VolumeErrorCount {
  /** The system call: see storage/failures/errno-outcomes.ts. */
  readonly call: string;
  /** "EIO" */
  readonly errno: string;
  readonly count: number;
  /** Inode number of the object of the last of them; null: not known. */
  readonly inode: string | null;
}

export class VolumeErrors {
  /** All that were ever noted. */
  total: number;
  #counts: Map<string, VolumeErrorCount>;

  constructor() {
    this.total = 0;
    this.#counts = new Map();
  }

  /** errno: positive. */
  note(call: SystemCall, errno: number, inode: bigint | null): void {
    this.total += 1;
    const name = errnoName(errno);
    const key = `${call} ${name}`;
    const known = this.#counts.get(key);
    const object = inode === null ? (known?.inode ?? null) : String(inode);
    this.#counts.set(key, { call, errno: name, count: (known?.count ?? 0) + 1, inode: object });
  }

  /** Those since the last time. */
  take(): readonly VolumeErrorCount[] {
    if (this.#counts.size === 0) return NONE;
    const taken = [...this.#counts.values()];
    this.#counts = new Map();
    return taken;
  }
}

const NONE: readonly VolumeErrorCount[] = [];
