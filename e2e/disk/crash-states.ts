/**
 * States in which a disk with a volatile cache may be after a crash, from what it was asked to do. Everything that a flush has
 * covered is there; of what was written since, any part, in units of what a disk writes as a whole.
 */
import type { SeededRandom } from '../../testing/seeded-random.ts';
import type { DiskEvent } from './disk-log.ts';

export interface CrashPoint {
  /** The crash comes after so many events. */
  readonly events: number;
  /** How likely a write that no flush has covered is on the disk: 0 to 1. */
  readonly kept: number;
  /** Writes may be on the disk in part. */
  readonly torn: boolean;
}

/** In the order of time. Half of them come just before a flush ends, when most is undecided. */
export function crashPoints(
  events: readonly DiskEvent[],
  from: number,
  count: number,
  random: SeededRandom,
): CrashPoint[] {
  const flushes: number[] = [];
  for (let i = from; i < events.length; i++) if (events[i]!.kind === 'flushed') flushes.push(i);
  const points = Array.from({ length: count }, (_, i): CrashPoint => {
    const anywhere = from + random.below(events.length - from);
    const at = i % 2 === 0 ? anywhere : (flushes[random.below(flushes.length)] ?? anywhere);
    return { events: at, kept: [0, 0.5, 0.5, 0.9, 1][random.below(5)]!, torn: random.chance(0.3) };
  });
  return points.sort((a, b) => a.events - b.events);
}

/** Events before this number are durable at the crash. */
export function durableBefore(events: readonly DiskEvent[], crash: number): number {
  for (let i = crash - 1; i >= 0; i--) {
    const event = events[i]!;
    // Flushes end in the order in which they began.
    if (event.kind === 'flushed') return event.covers;
  }
  return 0;
}

/** Bytes that a disk writes whole or not at all. */
const SECTOR_SIZE = 512;

/** Where a file system trusts it to write more than that. */
export interface Superblock {
  readonly offset: number;
  readonly size: number;
}

export type WriteTo = (offset: number, data: Uint8Array) => void;

/** What is durable, of the events from `from` on. */
export function applyAll(events: readonly DiskEvent[], from: number, to: number, write: WriteTo): void {
  for (let i = from; i < to; i++) {
    const event = events[i]!;
    if (event.kind === 'write') write(event.offset, event.data);
  }
}

/** A random part of the writes from `from` on. `superblock`: the file system's; null: it is one sector. */
export function applySome(
  events: readonly DiskEvent[],
  from: number,
  point: CrashPoint,
  superblock: Superblock | null,
  random: SeededRandom,
  write: WriteTo,
): void {
  for (let i = from; i < point.events; i++) {
    const event = events[i]!;
    if (event.kind !== 'write') continue;
    if (!point.torn) {
      if (random.chance(point.kept)) write(event.offset, event.data);
      continue;
    }
    for (let at = 0; at < event.data.length; ) {
      const offset = event.offset + at;
      const size = offset === superblock?.offset ? superblock.size : SECTOR_SIZE;
      if (random.chance(point.kept)) write(offset, event.data.subarray(at, at + size));
      at += size;
    }
  }
}
