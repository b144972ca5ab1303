/** State that one server has of one disk set, and how it says what is to be done about it. */
import type { KnownDead } from '../claim.ts';
import type { Incarnation, ServerName } from '../incarnation.ts';
import type { LeaseOwnership, LeaseParties, LeaseSighting, TransferRequest, VolumesAhead } from '../lease.ts';
import { leaseUntil } from '../serving-lease.ts';
import { NO_MEMORY, type TransferMemory } from '../transfer-policy.ts';
import type { Effect, Input, PairIdentity, TraceEvent, TransitionCause } from '../types.ts';

/** How long a request that was asked of this process waits for its answer, ms. Longer than any hand-over worth waiting for. */
export const REQUEST_MS = 30_000;

/** A compare-and-swap that is under way. */
export interface PendingWrite {
  readonly token: number;
  readonly sentAt: number;
}

/** Why a holder gives the disk set away. */
export interface Leaving {
  readonly to: ServerName | null;
  readonly requestId: string | null;
  readonly message: string;
  /** Without a request: the home server has been back for long enough. */
  readonly automatic?: boolean;
}

export interface Holder {
  readonly name: 'holder';
  readonly epoch: number;
  /** opening: the data path works on it. quiescing: it finishes what runs, then reports closed. */
  readonly port: 'opening' | 'open' | 'quiescing';
  /** The one incarnation whose acknowledgements count now. Null: solo, or a write is under way. */
  readonly accepts: Incarnation | null;
  /** Whom the Lease names for sure: by the last write that was applied, if no outcome is unknown since. */
  readonly named: Incarnation | null;
  /** Another acknowledger than `accepts` is wanted: has the witness answered a read since? Null: none is. */
  readonly doubt: 'asking' | 'answered' | null;
  /** When the request of the newest confirmation was sent. */
  readonly confirmedAt: number;
  /** When the last applied write was sent: what a solo holder's renewals are paced by. */
  readonly writtenAt: number;
  readonly write: PendingWrite | null;
  readonly leaving: Leaving | null;
  /** When quiescing began. */
  readonly quiescedAt: number;
  /** When an acknowledger was dropped last: one that cannot acknowledge is not named again at once. */
  readonly droppedAt: number;
}

export type Role =
  | { readonly name: 'observer' }
  | {
      readonly name: 'claiming';
      /** Null while the outcome of the last try is unknown and being looked up. */
      readonly write: PendingWrite | null;
      readonly against: LeaseSighting;
      readonly epoch: number;
      readonly cause: TransitionCause;
    }
  | { readonly name: 'regaining'; readonly write: PendingWrite }
  | Holder
  /** The lease is cut; waits for the data path. `leaving`: then release, else the Lease stays as it is. */
  | { readonly name: 'fencing'; readonly epoch: number; readonly leaving: Leaving | null }
  | {
      readonly name: 'releasing';
      readonly epoch: number;
      readonly leaving: Leaving;
      readonly write: PendingWrite | null;
    };

export interface DiskSetState {
  readonly home: ServerName;
  readonly seen: LeaseSighting | null;
  /** Since when the ownership in `seen` has been seen unchanged. */
  readonly unchangedSince: number;
  /** It is as this process has found it when it started. */
  readonly asFound: boolean;
  readonly role: Role;
  /** A read is under way since; null if none. */
  readonly readSince: number | null;
  /** News has come while it is under way: its answer may be older. */
  readonly readOvertaken: boolean;
  /** The witness has lost what this process had seen (a restored backup): since when, and what it says instead. */
  readonly wentBack: { readonly since: number; readonly found: LeaseOwnership } | null;
  /**
   * R6: the volumes have been served at a higher epoch than the Lease knows of. It holds until an administrator decides, and
   * is written with the release, so that it outlives this process.
   */
  readonly ahead: VolumesAhead | null;
  /** No write, claim or release may be sent before a read (or the watch) has brought news. */
  readonly lookup: boolean;
  /** No write before this time: pace of retries. */
  readonly notBefore: number;
  /** No claim or regain before this time: the volumes could not be opened here. */
  readonly cannotServeUntil: number;
  /** When this process last acknowledged a holder of this disk set (kept by `acknowledge` in server.ts). */
  readonly acknowledgedAt: number;
  /** The last request that this process has dealt with. */
  readonly handledRequest: string | null;
  /** A release of ours whose addressee has not claimed yet: the asker waits for the answer. */
  readonly awaiting: { readonly requestId: string; readonly to: ServerName } | null;
  /** The claim that was announced as detected, so that it is traced once. */
  readonly detected: TransitionCause | null;
  /** The request that stands in the Lease (or `local`), since when this process has seen it, and what it is about. */
  readonly asked: { readonly id: string; readonly since: number; readonly about: LeaseParties } | null;
  /** Asked of this process itself while it is not the owner; answered once it is, and after REQUEST_MS at the latest. */
  readonly local: TransferRequest | null;
  /** Memory of hand-overs: attempts, takeovers, the last release. */
  readonly memory: TransferMemory;
  /** Writes of the Lease that were sent and have no outcome yet, also those that the role has given up. */
  readonly writesUnderWay: number;
  /** News of the Lease that waits for the outcome of a write: see `stepDiskSet`. */
  readonly heldBack: readonly News[];
  /** The partner has announced that it releases its disk set to this server: the epoch of the claim, and for how long. */
  readonly announced: { readonly epoch: number; readonly until: number } | null;
  /** The freeze of the Lease that was begun last. */
  readonly freeze: { readonly id: string; readonly over: boolean } | null;
}

type News = Extract<Input, { kind: 'leaseSeen' | 'leaseRead' }>;

/** An observer that has seen nothing of the Lease. `now`: ms on CLOCK_BOOTTIME. */
export function initialDiskSet(home: ServerName, now: number): DiskSetState {
  return {
    home,
    seen: null,
    unchangedSince: now,
    asFound: true,
    role: { name: 'observer' },
    readSince: null,
    readOvertaken: false,
    wentBack: null,
    ahead: null,
    lookup: true,
    notBefore: now,
    cannotServeUntil: now,
    acknowledgedAt: Number.NEGATIVE_INFINITY,
    handledRequest: null,
    awaiting: null,
    detected: null,
    asked: null,
    local: null,
    memory: NO_MEMORY,
    writesUnderWay: 0,
    heldBack: [],
    announced: null,
    freeze: null,
  };
}

/** Facts about the rest of the server that a disk set needs in one step. */
export interface Context {
  readonly identity: PairIdentity;
  readonly now: number;
  readonly stopping: boolean;
  /** The partner's incarnation to name as acknowledger: connected, heard steadily, not known to be dead. */
  readonly steadyPartner: Incarnation | null;
  /** Since when it has been heard without a gap; null: there is none. */
  readonly steadySince: number | null;
  /** Disk sets that the partner says it could not serve now, by home. */
  readonly partnerCannotServe: readonly ServerName[];
  /** The partner's incarnations that are connected and not known to be dead. */
  readonly connected: readonly Incarnation[];
  /** Those of them who say that the witness does not answer them. */
  readonly cutOff: readonly Incarnation[];
  /** The partner has said that it stops: it will claim nothing. */
  readonly partnerStops: boolean;
  /** Proofs of death, with the epoch that each names for this disk set. */
  readonly dead: readonly KnownDead[];
  readonly nextToken: () => number;
  readonly emit: (effect: Effect) => void;
}

/** Until when this process may serve; null if not at all. */
export function currentServingLease(state: DiskSetState, identity: PairIdentity): number | null {
  return state.role.name === 'holder' ? leaseUntil(state.role.confirmedAt, identity.timing) : null;
}

/** Only the partner's disk set has a gate: clients find a server's own one under its own name. */
export function gate(
  kind: 'openGate' | 'withdrawGate' | 'closeGate',
  home: ServerName,
  epoch: number,
  { identity, emit }: Context,
): void {
  if (home !== identity.server) emit({ kind, epoch });
}

/**
 * Sends a compare-and-swap against the version in `seen`. `role` gets its token and the time of its sending, which dates a
 * confirmation (R1).
 */
export function send(
  state: DiskSetState,
  seen: LeaseSighting,
  ownership: LeaseOwnership,
  context: Context,
  role: (write: PendingWrite) => Role,
): DiskSetState {
  const token = context.nextToken();
  context.emit({ kind: 'writeLease', home: state.home, token, version: seen.version, ownership });
  const writesUnderWay = state.writesUnderWay + 1;
  return { ...state, writesUnderWay, role: role({ token, sentAt: context.now }) };
}

/** For log, metrics and status. No code acts on it. */
export function trace(state: DiskSetState, event: TraceEvent, context: Context): void {
  context.emit({ kind: 'trace', home: state.home, event });
}
