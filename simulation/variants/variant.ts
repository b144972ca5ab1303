/**
 * A deliberate fault: the real machine, its driver or their surroundings with one clause of one rule left out. A checker that
 * finds nothing proves nothing until it has found what is there, so every clause has a variant that must be caught.
 */
import type { DiskSetState, Holder } from '../../pair/disk-set/state.ts';
import type { DriverPorts } from '../../pair/driver.ts';
import type { ServerName } from '../../pair/incarnation.ts';
import type { ServerState } from '../../pair/server/state.ts';
import type { step } from '../../pair/server.ts';
import type { Effect, Input, PairTiming } from '../../pair/types.ts';

// A variant wraps the real `step` (what the machine is told, what it remembers, what comes out) or the ports of the real
// driver. So it breaks exactly one clause of the code that runs in production, and cannot drift away from it.

export type Step = typeof step;
/** From the real machine to a broken one. */
export type Wrap = (real: Step) => Step;
export interface StepResult {
  readonly state: ServerState;
  readonly effects: readonly Effect[];
}

/** Faults of what surrounds the driver: clock, witness, kubelet, sentinel, operator, volumes. */
export type SurroundingFault =
  /** The clock stands still while the process is stopped (CLOCK_MONOTONIC over a suspend). */
  | 'clockStopsInPause'
  /** Time is the wall clock, which somebody sets. */
  | 'wallClock'
  /** The time that the holder wrote into the Lease, on its wall clock, decides about silence. */
  | 'silenceByRenewTime'
  /** The witness writes whatever comes, whatever was seen. */
  | 'noCompareAndSwap'
  /** Every run of a server is taken for a later run of the same container. */
  | 'oneContainerForAll'
  /** The sentinel speaks for a process that does not answer. */
  | 'sentinelGuesses'
  /** The operator takes a pod that it cannot see for a dead one. */
  | 'operatorGuesses'
  /** The ownership record on the volume is written and never read. */
  | 'volumeEpochUnchecked'
  /** The data path halts a disk set and tells nobody. */
  | 'haltUntold'
  /** A data path of several volumes says that it is closed when its first thread has ended. */
  | 'closedByFirstThread'
  /** And that it is open when its first volume is. */
  | 'openedByFirstThread'
  /** Nobody looks at the ownership record while a disk set is served. */
  | 'ownerNotLookedAt'
  /** It is looked at before the first change of a group, and not behind its flush. */
  | 'lookedAtBeforeOnly'
  /** It is written to one of its two blocks. */
  | 'ownerRecordedOnce'
  /** The journal is read before the ownership record is written, and not looked at again. */
  | 'journalReadOnce'
  /** Nobody looks whose volume is mounted there. */
  | 'volumeIdentityUnchecked';

export interface Variant {
  readonly name: string;
  readonly rule: 'R1' | 'R2' | 'R3' | 'R4' | 'R5' | 'R6' | 'R8' | 'R10';
  /** The clause that is left out, as a sentence for docs/safety-proof.md. */
  readonly clause: string;
  readonly wrap?: Wrap;
  /** From the driver's ports to broken ones. */
  readonly ports?: (ports: DriverPorts, around: Around) => DriverPorts;
  readonly fault?: SurroundingFault;
}

/** The process around broken ports, as they see it. */
export interface Around {
  readonly timing: PairTiming;
  /** The homes of both disk sets. */
  readonly homes: readonly ServerName[];
  /** The data path has opened the disk set, and was not told to close it. */
  isOpen(home: ServerName): boolean;
  /** End of the lease that the data path knows of; null: none. */
  leaseEnd(home: ServerName): number | null;
  /** To the driver, later. */
  feed(input: Input): void;
}

type Sets = (diskSet: DiskSetState) => DiskSetState;

/** The state with both disk sets changed. */
export function withSets(state: ServerState, change: Sets): ServerState {
  const local = change(state.local);
  const partner = change(state.partner);
  return local === state.local && partner === state.partner ? state : { ...state, local, partner };
}

/** The state with every disk set changed that this process holds. */
export function withHolders(
  state: ServerState,
  change: (role: Holder, set: DiskSetState) => Holder,
): ServerState {
  return withSets(state, (set) => {
    if (set.role.name !== 'holder') return set;
    const role = change(set.role, set);
    return role === set.role ? set : { ...set, role };
  });
}

/** Changes the inputs of the machine. */
export function hearing(change: (input: Input, state: ServerState, now: number) => Input): Wrap {
  return (real) => (state, input, now) => real(state, change(input, state, now), now);
}

/** Changes the state of the machine before each step. */
export function remembering(change: (state: ServerState, input: Input, now: number) => ServerState): Wrap {
  return (real) => (state, input, now) => real(change(state, input, now), input, now);
}

/** Changes the results of the machine's steps. */
export function answering(
  change: (result: StepResult, before: ServerState, input: Input, now: number) => StepResult,
): Wrap {
  return (real) => (state, input, now) => change(real(state, input, now), state, input, now);
}

export function isAcknowledgement(
  input: Input,
): input is Extract<Input, { kind: 'message' }> & { message: { kind: 'acknowledgement' } } {
  return input.kind === 'message' && input.message.kind === 'acknowledgement';
}
