/**
 * One or two disk sets, a few incarnations, their Leases: everything that the explorer needs to know of one moment, as a value.
 * The servers' part of it is the real state of pair/; the rest is what a driver and the world around it hold.
 */
import type { Incarnation, ServerName } from '../../pair/incarnation.ts';
import type { LeaseRecord } from '../../pair/lease.ts';
import type { Holding } from '../../pair/messages.ts';
import type { ServerState } from '../../pair/server/state.ts';
import type { Effect, Input, PairTiming } from '../../pair/types.ts';

// Time moves in steps of `QUANTUM`, and lease, guard and heartbeat are multiples of it, so that every limit that the rules are
// built for is a moment of its own. The limits are the end of a lease, the dead man's kill, the end of the guard.

export const HOME = 'filer-a';
export const PARTNER = 'filer-b';
export const QUANTUM = 5;
export const TIMING: PairTiming = { leaseMs: 30, guardMs: 5, heartbeatMs: 10 };
/** A call of the witness without an answer is given up after two fifths of the lease, as fileserver/main.ts does. */
export const CALL_MS = 12;

/** Something on its way. Unless a fault holds it up it happens before time goes on, in the order of sending. */
export type PendingEvent =
  | { readonly kind: 'input'; readonly to: Incarnation; readonly input: Input; readonly sentAt: number }
  /** A call on its way to the witness. `silent`: its sender has been told "unknown" already. */
  | {
      readonly kind: 'call';
      readonly from: Incarnation;
      readonly effect: Extract<Effect, { kind: 'readLease' | 'writeLease' }>;
      readonly sentAt: number;
      readonly silent: boolean;
    }
  /** The operator's proof, on its way to the Lease. */
  | {
      readonly kind: 'proof';
      readonly home: ServerName;
      readonly incarnation: Incarnation;
      readonly epoch: number;
    }
  /** The thread of one of several volumes has come to the end of its system call. */
  | {
      readonly kind: 'thread';
      readonly to: Incarnation;
      readonly home: ServerName;
      readonly epoch: number;
      readonly volume: number;
    };

/** A thread that makes the changes of one volume. `ending`: told to, and not out of its system call yet. */
export type Thread = 'opening' | 'open' | 'ending' | 'ended';

/** A process's part of one disk set. */
export interface DiskSetPath {
  /** Epoch of a write that was checked and is in the kernel's hands, or will be with the next instruction. */
  readonly inHand: number | null;
  /**
   * `fencing`: the lease is cut, and a thread that had checked it has not made its system call. `still`: it has made the call.
   * `failing`: one thread could not open its volume, another has checked the lease and may write its ownership record until `closed`.
   * `halted`: a thread has stopped all others; the agent may not have heard of it.
   */
  readonly open: {
    readonly epoch: number;
    readonly phase: 'opening' | 'open' | 'quiescing' | 'fencing' | 'still' | 'failing' | 'halted';
    /** One thread for each of several volumes of a disk set. Those of a single volume are not told apart. */
    readonly threads: readonly Thread[];
    /** Its machine was paused since: only the record on the volume tells it that its lease is over. */
    readonly paused?: true;
  } | null;
  readonly leaseEnd: number | null;
  /** When the kernel kills the process. */
  readonly switchAt: number | null;
}

export const NO_PATH: DiskSetPath = { inHand: null, open: null, leaseEnd: null, switchAt: null };

export interface Process {
  readonly me: Incarnation;
  readonly server: ServerName;
  readonly state: ServerState;
  readonly alive: boolean;
  /** Stopped by SIGSTOP or a frozen cgroup: nothing runs, what arrives waits. */
  readonly paused: boolean;
  /** Its whole machine is: clock and dead man's switch stand still. */
  readonly clockStands: boolean;
  /** How far its clock is behind, for machines that were paused. ms */
  readonly behindMs: number;
  readonly waiting: readonly PendingEvent[];
  /** By home, of the disk sets that are explored. */
  readonly paths: Readonly<Record<ServerName, DiskSetPath>>;
  /** Holdings that the sentinel has been told. */
  readonly registered: readonly Holding[];
}

export interface World {
  readonly now: number;
  /** By home, of the disk sets that are explored. Those of others never answer. */
  readonly leases: Readonly<Record<ServerName, LeaseRecord>>;
  /** Volumes of each disk set. */
  readonly volumes: number;
  /** By home: the epoch of the ownership record on the volumes. */
  readonly records: Readonly<Record<ServerName, number>>;
  readonly processes: readonly Process[];
  readonly queue: readonly PendingEvent[];
  readonly held: readonly PendingEvent[];
  /** Directions in which nothing gets through although a connection stands, as "sender>receiver". */
  readonly cut: readonly string[];
  /** Pairs of incarnations without a connection, as "a b". */
  readonly apart: readonly string[];
  readonly withoutApi: readonly Incarnation[];
  /** How often each fault may still strike, by name (faults/registry.ts); what is not named may not. */
  readonly left: Readonly<Record<string, number>>;
  /** Number of runs that were started, for their names. */
  readonly runs: number;
  readonly requests: number;
  /** Violation in the step to this world; null: there was none. */
  readonly violation: string | null;
}

export function processOf(world: World, me: Incarnation): Process | undefined {
  return world.processes.find((process) => process.me === me);
}

export function withProcess(world: World, changed: Process): World {
  return {
    ...world,
    processes: world.processes.map((process) => (process.me === changed.me ? changed : process)),
  };
}

/** On the process's own clock. */
export function nowOf({ now }: World, { behindMs }: Process): number {
  return now - behindMs;
}

/** Homes of the disk sets that are explored. */
export function homesIn({ leases }: World): readonly ServerName[] {
  return Object.keys(leases);
}

export function withLease(world: World, home: ServerName, changed: Partial<LeaseRecord>): World {
  return { ...world, leases: { ...world.leases, [home]: { ...world.leases[home]!, ...changed } } };
}

export function withPath(
  world: World,
  me: Incarnation,
  home: ServerName,
  changed: Partial<DiskSetPath>,
): World {
  const process = processOf(world, me)!;
  const path = { ...process.paths[home]!, ...changed };
  return withProcess(world, { ...process, paths: { ...process.paths, [home]: path } });
}

export function queued(world: World, ...events: readonly PendingEvent[]): World {
  return events.length === 0 ? world : { ...world, queue: [...world.queue, ...events] };
}

export function connected(world: World, a: Incarnation, b: Incarnation): boolean {
  return !world.apart.includes(pairName(a, b));
}

export function pairName(a: Incarnation, b: Incarnation): string {
  return a < b ? `${a} ${b}` : `${b} ${a}`;
}

/** Executes the writes that the process had in hand. */
export function withoutInHand(world: World, me: Incarnation): World {
  let next = world;
  for (const home of homesIn(world))
    if (processOf(world, me)!.paths[home]!.inHand !== null) next = withPath(next, me, home, { inHand: null });
  return next;
}

export function inputFor(world: World, to: Incarnation, input: Input): PendingEvent {
  return { kind: 'input', to, input, sentAt: world.now };
}
