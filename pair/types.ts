/**
 * Inputs and effects of the pair's state machine. The machine is `step` in server.ts: (state, input, now) ->
 * (state, effects). It reads no clock and does no I/O.
 */
import type { Incarnation, ServerName } from './incarnation.ts';
import type { LeaseOwnership, LeaseSighting, TransferRequest, WrittenVolumes } from './lease.ts';
import type { DiedMessage, Holding, PairMessage } from './messages.ts';

// Every `now` and every `...At` is in milliseconds on the server's own CLOCK_BOOTTIME: monotonic, and it
// counts the time a machine was suspended. Times of different servers are never compared.
//
// Order of effects: the driver executes them in the order given. Where one must have *happened* before the
// next (a lease cut before a port closes), the machine waits for the input that reports it instead.

/** The two disk sets of a pair as one server sees them: the one whose home it is (primary port), and its partner's (secondary port). */
export const DISK_SET_SIDES = ['local', 'partner'] as const;
export type DiskSetSide = (typeof DISK_SET_SIDES)[number];

export interface PairTiming {
  /** T: a lease lasts this long after the confirmation that gave it. */
  readonly leaseMs: number;
  /** Added to T before anyone claims on silence. Covers clock drift; its first half is the dead man's. */
  readonly guardMs: number;
  readonly heartbeatMs: number;
}

/** Actions that need no administrator. */
export interface PairPolicy {
  readonly takeover: 'Automatic' | 'Manual';
  readonly giveback: {
    readonly mode: 'Automatic' | 'Manual';
    /** The home server has been heard without a gap for this long. */
    readonly afterMs: number;
    /** Further attempts after one that the home server did not complete; each waits twice as long. */
    readonly retries: number;
    /** So many takeovers within `windowMs` end automatic givebacks: the disk set would only go to and fro. */
    readonly takeoversMax: number;
    readonly windowMs: number;
  };
}

/** Identity of this server. Constant for the life of the process. */
export interface PairIdentity {
  readonly me: Incarnation;
  /** Name of this server = name of its own disk set. */
  readonly server: ServerName;
  /** Name of the other server = name of its disk set. */
  readonly partner: ServerName;
  readonly timing: PairTiming;
  /** Default: takeovers by themselves, givebacks by an administrator. */
  readonly policy?: PairPolicy;
}

/** Why a takeover happened; the words of status.lastTransition.cause. */
export const TransitionCause = {
  /** The failed side sent an error message: it gave up a volume, or its sentinel saw the process end. */
  PartnerSaidSo: 'PartnerSaidSo',
  /** The owner announced that it would release it, and did: a planned stop, a drain, a rollout, a request. */
  Released: 'Released',
  /** No heartbeat for lease + guard. */
  Silent: 'Silent',
  /** The operator saw the container terminated. */
  OperatorProof: 'OperatorProof',
  /** This process is a later run of the container that held it. */
  Restarted: 'Restarted',
  /** An administrator asked. */
  Requested: 'Requested',
  /** Nobody has ever owned it, or a released disk set that its addressee did not take. */
  Unowned: 'Unowned',
} as const;
export type TransitionCause = (typeof TransitionCause)[keyof typeof TransitionCause];

/** Kinds of a change of owner, and the causes that each can have. Counters of them exist from the beginning. */
export const TRANSITIONS: readonly (readonly [
  kind: 'Takeover' | 'Giveback' | 'Start',
  causes: readonly TransitionCause[],
])[] = [
  ['Takeover', Object.values(TransitionCause)],
  ['Giveback', ['Requested', 'PartnerSaidSo', 'Silent', 'OperatorProof']],
  ['Start', ['Unowned', 'Restarted']],
];

/** True for a change of owner that was wanted: no failure preceded it. `cause`: of a status or a Lease, so perhaps a later version's. */
export function isPlanned(cause: string): boolean {
  return cause === TransitionCause.Released || cause === TransitionCause.Requested;
}

// ------------------------------------------------------------------------------------------------ inputs

export type LeaseReadOutcome =
  | { readonly kind: 'found'; readonly sighting: LeaseSighting }
  /** No answer, or not one that can be understood. Never "it does not exist". */
  | { readonly kind: 'unknown' };

export type LeaseWriteOutcome =
  | { readonly kind: 'applied'; readonly sighting: LeaseSighting }
  /** For sure not written: the version was not the current one. */
  | { readonly kind: 'conflict' }
  /** For sure not written: the request never left, or was refused (forbidden, throttled). */
  | { readonly kind: 'refused'; readonly message: string }
  /** May or may not have been written, now or later. */
  | { readonly kind: 'unknown' };

export type Input =
  /** Time passed. The driver gives one at the latest at `nextWakeAt(state)`. */
  | { readonly kind: 'tick' }
  /** The watch delivered the Lease of this disk set. */
  | { readonly kind: 'leaseSeen'; readonly home: ServerName; readonly sighting: LeaseSighting }
  /** Answer to effect `readLease`. */
  | { readonly kind: 'leaseRead'; readonly home: ServerName; readonly outcome: LeaseReadOutcome }
  /** Answer to effect `writeLease` with the same token. The driver always gives one, in bounded time. */
  | {
      readonly kind: 'leaseWritten';
      readonly home: ServerName;
      readonly token: number;
      readonly outcome: LeaseWriteOutcome;
    }
  /** A read of the Lease that the machine has not asked for was not answered. One that was comes with `leaseSeen`. */
  | { readonly kind: 'witnessSilent' }
  /** An authenticated connection with the partner's server process stands. */
  | { readonly kind: 'partnerConnected'; readonly incarnation: Incarnation }
  /** No connection with that incarnation is left. Proves nothing. */
  | { readonly kind: 'partnerDisconnected'; readonly incarnation: Incarnation }
  | { readonly kind: 'message'; readonly from: Incarnation; readonly message: PairMessage }
  | { readonly kind: 'died'; readonly died: DiedMessage }
  /** Answers to effect `openDiskSet`. */
  | { readonly kind: 'diskSetOpened'; readonly home: ServerName; readonly epoch: number }
  | {
      readonly kind: 'diskSetOpenFailed';
      readonly home: ServerName;
      readonly epoch: number;
      readonly reason: string;
      readonly message: string;
      /** The epoch on a volume, if it is higher (R6). */
      readonly epochFound?: number;
    }
  /** Answer to effect `closeDiskSet`: no thread of this process will write to it or answer for it any more. */
  | { readonly kind: 'diskSetClosed'; readonly home: ServerName }
  /**
   * After a cut of the lease: no change of its volumes is under way, so none will be made. It may take long until the data path
   * is closed: threads have to get the processor first, and disks to answer.
   */
  | { readonly kind: 'changesEnded'; readonly home: ServerName }
  /** The disk set cannot go on being served here (EIO, read-only, journal full, epoch ahead on the disk). */
  | {
      readonly kind: 'diskSetFault';
      readonly home: ServerName;
      readonly reason: string;
      readonly message: string;
    }
  /**
   * A volume's disk has not answered for `waitedMs`. It holds a thread of this process inside the kernel, so the disk
   * set can move only as a whole. Told again while it lasts.
   */
  | {
      readonly kind: 'volumeStalled';
      readonly home: ServerName;
      readonly volume: string;
      readonly waitedMs: number;
    }
  /** An administrator asked this server through its control socket. Requests in the Lease come with `leaseSeen`. */
  | { readonly kind: 'request'; readonly home: ServerName; readonly request: TransferRequest }
  /** Planned stop (SIGTERM): release everything to the partner if it is there. `stopped` says when done. */
  | { readonly kind: 'stop' };

// ----------------------------------------------------------------------------------------------- effects

export type Effect =
  /** Send over the interconnect to that incarnation; lost without notice if it is not connected. */
  | { readonly kind: 'send'; readonly to: Incarnation; readonly message: PairMessage }
  | { readonly kind: 'readLease'; readonly home: ServerName }
  /** Compare-and-swap against `version`. */
  | {
      readonly kind: 'writeLease';
      readonly home: ServerName;
      readonly token: number;
      readonly version: string;
      readonly ownership: LeaseOwnership;
    }
  /**
   * This process may serve the disk set until `until` (exclusive), or not at all (null).
   * The dead man's switch goes with it, in an order that driver.ts keeps (R10); it stays armed until `disarm`.
   */
  | { readonly kind: 'setServingLease'; readonly home: ServerName; readonly until: number | null }
  /**
   * The lease is cut, and nothing is changed any more: the data path is closed, or says that no change is under way. The dead
   * man's switch may be disarmed.
   */
  | { readonly kind: 'disarm'; readonly home: ServerName }
  /** A claim at this epoch was sent: what is read to open the volumes may be read now. Null: the claim failed. */
  | { readonly kind: 'prepareDiskSet'; readonly home: ServerName; readonly epoch: number | null }
  /** Verify the volumes, write the ownership record at this epoch, replay the journal, listen. */
  | {
      readonly kind: 'openDiskSet';
      readonly home: ServerName;
      readonly epoch: number;
      /** The Lease's entries for the volumes; absent: there are none. */
      readonly written?: WrittenVolumes;
    }
  | { readonly kind: 'closeDiskSet'; readonly home: ServerName; readonly mode: 'quiesce' | 'fence' }
  /** Nothing on its volumes changes until `thawDiskSet`, for `msMax` at most. */
  | { readonly kind: 'freezeDiskSet'; readonly home: ServerName; readonly id: string; readonly msMax: number }
  | { readonly kind: 'thawDiskSet'; readonly home: ServerName; readonly id: string }
  /** Where volumes that move from node to node are mounted (null: nowhere), and whether the partner could serve them. */
  | {
      readonly kind: 'disksAt';
      readonly home: ServerName;
      readonly directory: string | null;
      readonly partnerCouldServe: boolean;
    }
  /**
   * The endpoint of the failover name, which shows clients the way to the partner's disk set. `openGate`: this server
   * claims at this epoch, or serves. `withdrawGate`: nothing will be served at it here. `closeGate`: no longer.
   */
  | { readonly kind: 'openGate' | 'withdrawGate' | 'closeGate'; readonly epoch: number }
  /**
   * Tell the sentinel every disk set whose Lease names this process: its proof of death must name the epoch.
   * Comes before the openDiskSet that it is about.
   */
  | { readonly kind: 'holdings'; readonly holdings: readonly Holding[] }
  /** Answer to a request of an administrator. */
  | {
      readonly kind: 'requestAnswered';
      readonly home: ServerName;
      readonly requestId: string;
      readonly result: 'done' | 'refused';
      readonly message: string;
    }
  /** The witness has lost writes that this process had seen: readers of the Lease are to know it. */
  | {
      readonly kind: 'witnessWentBack';
      readonly home: ServerName;
      readonly epoch: number;
      readonly message: string;
    }
  /** For log, status and events; changes nothing. */
  | { readonly kind: 'trace'; readonly home: ServerName; readonly event: TraceEvent }
  /** After input `stop`: everything is released or fenced; the process may exit. */
  | { readonly kind: 'stopped' };

export type TraceEvent =
  /** A reason to act was found: the first phase of a transition. */
  | { readonly name: 'detected'; readonly cause: TransitionCause; readonly message: string }
  /** There is a reason to claim, but it waits for an administrator. */
  | { readonly name: 'deferred'; readonly cause: TransitionCause; readonly message: string }
  | { readonly name: 'claiming'; readonly epoch: number; readonly cause: TransitionCause }
  | { readonly name: 'owned'; readonly epoch: number; readonly cause: TransitionCause }
  | { readonly name: 'serving'; readonly epoch: number }
  | { readonly name: 'claimLost'; readonly message: string }
  | { readonly name: 'paired'; readonly epoch: number; readonly acknowledger: Incarnation }
  | { readonly name: 'solo'; readonly epoch: number; readonly message: string }
  /** The witness has lost writes that this process had seen. */
  | { readonly name: 'wentBack'; readonly epoch: number; readonly message: string }
  /** A volume's disk does not answer, and no partner is connected to whom it might. */
  | { readonly name: 'stalled'; readonly epoch: number; readonly message: string }
  | { readonly name: 'fenced'; readonly epoch: number; readonly message: string }
  | {
      readonly name: 'quiescing';
      readonly epoch: number;
      readonly to: ServerName | null;
      readonly message: string;
    }
  | { readonly name: 'released'; readonly epoch: number; readonly to: ServerName | null }
  | { readonly name: 'openFailed'; readonly epoch: number; readonly message: string };
