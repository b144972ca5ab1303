/**
 * Errors of a disk set's single files and of what the server lacks, as the data path tells them
 * (storage/failures/volume-errors.ts). They are kept for the status and the operator until none has come for a while, and said in
 * the log, but not for each of thousands.
 */
import type { VolumeErrorCount } from '../storage/failures/volume-errors.ts';

/** So long after its last error a volume counts as troubled. ms */
export const TROUBLED_MS = 600_000;
/** Between two lines in the log about errors of one kind. ms */
const LOG_EVERY_MS = 60_000;

export interface VolumeErrorStatus {
  /** Name of the volume. */
  readonly name: string;
  readonly call: string;
  /** "EIO" */
  readonly errno: string;
  /** Since the disk set was opened. */
  readonly count: number;
  /** Ms since the last of them. */
  readonly lastMs: number;
  /** Inode number of the object of the last of them that is known; null: of none. */
  readonly inode: string | null;
}

interface Kind {
  readonly volume: string;
  readonly call: string;
  readonly errno: string;
  count: number;
  inode: string | null;
  lastAt: number;
  loggedAt: number;
  loggedCount: number;
}

export class VolumeErrorLog {
  readonly #kinds = new Map<string, Kind>();

  /** Takes what a thread has told. now: ms on any steady clock. Returns the lines for the log. */
  add(volume: string, errors: readonly VolumeErrorCount[], now: number): string[] {
    const lines: string[] = [];
    for (const { call, errno, count, inode } of errors) {
      const key = `${volume}\n${call}\n${errno}`;
      const known = this.#kinds.get(key);
      const kind = known ?? {
        volume,
        call,
        errno,
        count: 0,
        inode: null,
        lastAt: now,
        loggedAt: Number.NEGATIVE_INFINITY,
        loggedCount: 0,
      };
      this.#kinds.set(key, kind);
      kind.count += count;
      kind.inode = inode ?? kind.inode;
      kind.lastAt = now;
      if (now - kind.loggedAt < LOG_EVERY_MS) continue;
      lines.push(
        `volume ${volume}: ${describe(kind, kind.count - kind.loggedCount)}; clients were told, the volume is served on`,
      );
      kind.loggedAt = now;
      kind.loggedCount = kind.count;
    }
    return lines;
  }

  /** The disk set is not served here any more, or is opened again. */
  forget(): void {
    this.#kinds.clear();
  }

  /** Those of volumes that are still troubled, the latest first. */
  recent(now: number): VolumeErrorStatus[] {
    const recent = [...this.#kinds.values()].filter(({ lastAt }) => now - lastAt < TROUBLED_MS);
    recent.sort((a, b) => b.lastAt - a.lastAt);
    return recent.map(({ volume, call, errno, count, inode, lastAt }) => ({
      name: volume,
      call,
      errno,
      count,
      lastMs: Math.max(0, Math.round(now - lastAt)),
      inode,
    }));
  }

  /** For people: what is wrong, as a sentence; null: nothing is. */
  sentence(now: number): string | null {
    const [latest, ...others] = this.recent(now);
    if (latest === undefined) return null;
    const more = others.length === 0 ? '' : `, and errors of ${others.length} other kinds`;
    return `volume ${latest.name}: ${describe(latest, latest.count)}${more}`;
  }
}

const SHORTAGES: readonly string[] = ['EMFILE', 'ENFILE', 'ENOMEM'];

function describe({ call, errno, inode }: Pick<Kind, 'call' | 'errno' | 'inode'>, count: number): string {
  const what = `${call} failed with ${errno} (${count === 1 ? 'once' : `${count} times`})`;
  if (SHORTAGES.includes(errno)) return `${what}: the server lacks descriptors or memory`;
  const where = inode === null ? '' : `, last for inode ${inode} (find -inum ${inode})`;
  return `${what}${where}: the disk or its file system may be damaged, see the kernel's log`;
}
