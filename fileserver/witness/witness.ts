/**
 * The witness decides who owns a disk set, by compare-and-swap on its Lease (docs/design.md, rules). A port with two
 * adapters: the Kubernetes API, and files on one machine for development, tests and the demo.
 */

import type { LeaseOwnership, LeaseSighting, WrittenVolumes } from '../../pair/lease.ts';
import type { LeaseReadOutcome, LeaseWriteOutcome } from '../../pair/types.ts';
import { nextTurn } from '../system/turns.ts';

/** One phase of a transition. */
export interface TransitionPhase {
  readonly name: string;
  /** Ms after the first phase began. */
  readonly atMs: number;
  readonly tookMs: number;
}

/** The last change of owner, and its durations; for people, status and history. */
export interface Transition {
  readonly kind: 'Takeover' | 'Giveback' | 'Start';
  /** A TransitionCause. */
  readonly cause: string;
  /** In words: what was found; of a forced takeover also what the person said. */
  readonly reason?: string;
  readonly epoch: number;
  /** Server that owns the disk set since then. */
  readonly to: string;
  /** RFC 3339 with milliseconds, the owner's wall clock: when the first phase began. */
  readonly at: string;
  readonly phases: readonly TransitionPhase[];
}

/** Answer to a request that stands in the Lease. */
export interface RequestResult {
  readonly id: string;
  readonly result: 'done' | 'refused';
  readonly message: string;
}

/** Notes that a server writes beside the ownership: for people, the operator and later owners. No lease depends on them. */
export interface LeaseNotes {
  readonly lastTransition?: Transition;
  /** The epoch for which the writer's secondary port serves this disk set; null: it does not. */
  readonly secondaryPortOpen?: number | null;
  readonly requestResult?: RequestResult;
  /** Why nothing shall move by itself; null: normal operation. The servers act by it. */
  readonly maintenance?: string | null;
  readonly takeoverCheck?: TakeoverCheckNote;
  readonly freezeAnswer?: FreezeAnswer;
  /** Comes back in the LeaseRecord, where a later epoch is never replaced by an earlier one. */
  readonly written?: WrittenVolumes;
  /** Why the writer could not open the disk set; null: it was opened. */
  readonly openFailure?: OpenFailureNote | null;
  /** Errors of which the writer's clients were told; null: none for a while. */
  readonly volumeErrors?: VolumeErrorsNote | null;
  /** Exports that the writer does not serve, as their directories are not there; null: it serves all. */
  readonly absentExports?: VolumeErrorsNote | null;
  /** The writer has seen the Lease lose what was written at this epoch; null: no more, for a while. */
  readonly witnessWentBack?: VolumeErrorsNote | null;
}

export interface VolumeErrorsNote {
  readonly server: string;
  readonly epoch: number;
  readonly message: string;
}

export interface OpenFailureNote {
  readonly server: string;
  readonly epoch: number;
  /** An OpenFailure (storage/volume/open-failure.ts). */
  readonly reason: string;
  readonly message: string;
}

/** Outcome of a freeze that the Lease asks for. */
export interface FreezeAnswer {
  readonly id: string;
  /** Broken: it has ended before it was to, or could not begin. */
  readonly state: 'Standing' | 'Whole' | 'Broken';
  /** Of Broken: why. */
  readonly message: string;
}

/** Whether the writer could take the disk set over now. */
export interface TakeoverCheckNote {
  readonly server: string;
  readonly possible: boolean;
  readonly missing: readonly { readonly name: string; readonly message: string }[];
}

export interface Witness {
  /** Never rejects; `unknown` after a time-out or an answer that makes no sense. */
  read(home: string): Promise<LeaseReadOutcome>;
  /**
   * Replaces the ownership if it is still the one seen as `version`. Never rejects, answers in bounded time:
   * `applied`; `conflict` and `refused` (for sure not written); `unknown` (may or may not take effect, even later).
   */
  compareAndSwap(home: string, version: string, ownership: LeaseOwnership): Promise<LeaseWriteOutcome>;
  /**
   * Calls `seen` with the Lease as it is, and after every change, soon. May repeat itself. Until close(). What `seen` throws
   * goes to the thread's listener (system/turns.ts).
   */
  watch(home: string, seen: (sighting: LeaseSighting) => void): void;
  /** Writes notes in the background, again until it works; newer ones replace older ones. */
  annotate(home: string, notes: LeaseNotes): void;
  /** Resolves once what annotate() was given last for `home` has been written (true), or was given up (false); perhaps never. */
  noted(home: string): Promise<boolean>;
  /** Ends watches; notes under way get `ms` to arrive. */
  close(ms: number): Promise<void>;
}

/** Bounds a write: after `ms` its outcome is unknown, whatever becomes of it later. `late` is told of that. */
export function writeWithin(
  ms: number,
  write: Promise<LeaseWriteOutcome>,
  late?: () => void,
): Promise<LeaseWriteOutcome> {
  return within(ms, write, { kind: 'unknown' }, late);
}

/** Bounds a read. */
export function readWithin(
  ms: number,
  read: Promise<LeaseReadOutcome>,
  late?: () => void,
): Promise<LeaseReadOutcome> {
  return within(ms, read, { kind: 'unknown' }, late);
}

async function within<T>(
  ms: number,
  work: Promise<T>,
  otherwise: T,
  late: () => void = () => {},
): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  let answered = false;
  // If this process was held up, the answer may wait unread: timers come before it, immediates after.
  const timeUp = new Promise<T>((resolve) => {
    const giveUp = (): void => {
      if (!answered) late();
      resolve(otherwise);
    };
    timer = setTimeout(() => nextTurn(giveUp), ms);
  });
  try {
    return await Promise.race([work, timeUp]);
  } finally {
    answered = true;
    clearTimeout(timer);
  }
}
