/** The Lease of one disk set, as the witness keeps it, and the only five ways in which it may change. */
import type { Incarnation, ServerName } from './incarnation.ts';

//   release      holder -> nobody, same epoch           by the holder, after its last write
//   claim        nobody or another -> me, epoch + 1      by whoever may (rules R3 and R5)
//   renew        me -> me, solo                          by the holder; a confirmation
//   pair         me -> me, acknowledger := X             by the holder; a confirmation
//   create       (absent) -> nobody, epoch 0             by the operator, or the embedded witness
//
// Every change is a compare-and-swap on the version. `renewal` grows with every change by a server, so that
// two different states never look alike. Their contents tell "unchanged", and annotations that others
// put beside it (a death proof, a request) do not look like a heartbeat of the holder.

/** Evidence that a process can write no more (rule R5). It names the incarnation and the epoch it held. */
export interface DeathProof {
  readonly incarnation: Incarnation;
  /** Epoch of this disk set that the dead incarnation held. */
  readonly epoch: number;
  /** For people: who saw what, e.g. "sentinel: process 17 has exited". */
  readonly evidence: string;
}

/** Whom the Lease names, at which epoch. */
export interface LeaseParties {
  readonly holder: Incarnation | null;
  readonly epoch: number;
  readonly acknowledger: Incarnation | null;
}

/** Request of an administrator (or of the operator for them) to move this disk set. */
export interface TransferRequest {
  /** The asker chooses it; the answer carries it. */
  readonly id: string;
  readonly kind: 'takeover' | 'giveback';
  readonly reason: string;
  /**
   * An administrator's confirmation, for want of proof, that the acknowledger which the Lease names can act no more. It shortens
   * no wait: a claimer on it has seen the Lease unchanged for lease + guard since it saw the request.
   */
  readonly force?: boolean;
  /**
   * State of the Lease that the administrator of a forced request spoke about: the request does not count for a later one.
   * Absent: the state that the server sees first together with the request.
   */
  readonly about?: LeaseParties;
  /** Vetoes (transfer-policy.ts) that the asker has seen and overrides, by name. */
  readonly override?: readonly string[];
}

/** Nothing on the volumes is to change for a moment: for copies of all of them at one point in time. */
export interface Freeze {
  /** The asker chooses it; the answer carries it. */
  readonly id: string;
  /** At another epoch nobody obeys it. */
  readonly epoch: number;
  /** It ends by itself after this time. */
  readonly msMax: number;
  /** It shall end now. */
  readonly over: boolean;
}

/** The ownership record of this epoch was written on all volumes of the disk set. */
export interface WrittenVolumes {
  readonly epoch: number;
  /** UUIDs, by name. */
  readonly volumes: Readonly<Record<string, string>>;
}

/** R6: a server that owned the disk set found a volume that has been served at this epoch, by somebody else. */
export interface VolumesAhead {
  /** Epoch of the volume: at least that of the Lease. */
  readonly epoch: number;
  /** A sentence: which volume, and what was found. */
  readonly message: string;
}

/** Which of the two to keep: what was written once stays written, so a note that arrives late lowers nothing. */
export function laterWritten(before: WrittenVolumes | undefined, note: WrittenVolumes): WrittenVolumes {
  return before !== undefined && before.epoch > note.epoch ? before : note;
}

export interface LeaseRecord {
  /** The owning incarnation; null after a release, and before the first claim. */
  readonly holder: Incarnation | null;
  /** Grows by one with every claim; 0 means that nobody has ever owned the disk set. */
  readonly epoch: number;
  /** The one incarnation whose acknowledgements count (paired); null: the holder renews by itself (solo). */
  readonly acknowledger: Incarnation | null;
  /** Grows by one with every write by a server. */
  readonly renewal: number;
  /** After a release: the server that it was meant for; null if for nobody in particular. */
  readonly releasedTo: ServerName | null;
  /**
   * The holder's lease + guard, ms, by its own configuration: no server claims on silence any sooner, whatever its own says.
   * Null: there is no holder, or it is of a version that does not say.
   */
  readonly claimAfterMs: number | null;
  /**
   * Written with the release by a server that a volume refused: the verdict holds for later runs and for the partner too. It can
   * only refuse. Null: the last owner found nothing of the kind.
   */
  readonly volumesAhead: VolumesAhead | null;
  /** Written beside the ownership by the operator; never by a server. */
  readonly deathProof: DeathProof | null;
  /** Written beside the ownership by the operator or the CLI; never by a server. */
  readonly request: TransferRequest | null;
  /** Why nothing may move by itself now; null: normal operation. Written beside the ownership. */
  readonly maintenance: string | null;
  /** Why the disk set is not to go back to its home server by itself; absent: it may. */
  readonly drain?: string;
  /** With disks that move: the directory in which they are mounted now, as the operator says; absent: not known. */
  readonly disks?: string;
  /** Written beside the ownership by the operator; no lease depends on it. */
  readonly freeze?: Freeze;
  /** Written beside the ownership by a server that serves; no lease depends on it. Absent: not known. */
  readonly written?: WrittenVolumes;
}

/** A record as read from the witness. `version` is opaque (Kubernetes: resourceVersion). */
export interface LeaseSighting {
  readonly version: string;
  readonly record: LeaseRecord;
}

/** The part of the Lease that a server writes. Whatever else the witness keeps beside it (proofs, requests) stays as it was. */
export interface LeaseOwnership {
  readonly holder: Incarnation | null;
  readonly epoch: number;
  readonly acknowledger: Incarnation | null;
  readonly renewal: number;
  readonly releasedTo: ServerName | null;
  readonly claimAfterMs: number | null;
  readonly volumesAhead: VolumesAhead | null;
}

export const emptyLease: LeaseRecord = {
  holder: null,
  epoch: 0,
  acknowledger: null,
  renewal: 0,
  releasedTo: null,
  claimAfterMs: null,
  volumesAhead: null,
  deathProof: null,
  request: null,
  maintenance: null,
};

/** True if no server wrote between the two: the test of rule R3 ("seen unchanged"). */
export function sameOwnership(a: LeaseOwnership, b: LeaseOwnership): boolean {
  return (
    a.renewal === b.renewal &&
    a.epoch === b.epoch &&
    a.holder === b.holder &&
    a.acknowledger === b.acknowledger &&
    a.releasedTo === b.releasedTo
  );
}

/** True if both name the same holder, epoch and acknowledger. */
export function sameParties(a: LeaseParties, b: LeaseParties): boolean {
  return a.holder === b.holder && a.epoch === b.epoch && a.acknowledger === b.acknowledger;
}

/** True if `a` cannot be older than `b`. A watch may deliver what a read has already overtaken. */
export function notOlder(a: LeaseOwnership, b: LeaseOwnership): boolean {
  return a.epoch > b.epoch || (a.epoch === b.epoch && a.renewal >= b.renewal);
}

/** Claim by `me` at the next epoch (R3). `claimAfterMs`: the silence, ms, after which others may claim from `me`. */
export function claimed(
  before: LeaseRecord,
  me: Incarnation,
  acknowledger: Incarnation | null,
  claimAfterMs: number,
): LeaseOwnership {
  return {
    holder: me,
    epoch: before.epoch + 1,
    acknowledger,
    renewal: before.renewal + 1,
    releasedTo: null,
    claimAfterMs,
    volumesAhead: null,
  };
}

/** Renewal by the holder; `acknowledger` null is solo, otherwise paired with it from now on. */
export function renewed(before: LeaseRecord, acknowledger: Incarnation | null): LeaseOwnership {
  return {
    holder: before.holder,
    epoch: before.epoch,
    acknowledger,
    renewal: before.renewal + 1,
    releasedTo: null,
    claimAfterMs: before.claimAfterMs,
    volumesAhead: null,
  };
}

/** Release by the holder, same epoch. `to`: the server that is to claim; null: no particular one. */
export function released(
  before: LeaseRecord,
  to: ServerName | null,
  volumesAhead: VolumesAhead | null = null,
): LeaseOwnership {
  return {
    holder: null,
    epoch: before.epoch,
    acknowledger: null,
    renewal: before.renewal + 1,
    releasedTo: to,
    claimAfterMs: null,
    volumesAhead,
  };
}

/**
 * What is known of the volumes after the Lease was read: the higher of two verdicts. A verdict ends when
 *
 * - the Lease has a higher epoch;
 * - the Lease has that very epoch, and another incarnation than `me` holds it or has released it without such a verdict: then the owner
 *   that the volume knows has written the Lease again, or it was only later than `me`.
 */
export function volumesAheadOf(
  record: LeaseRecord,
  known: VolumesAhead | null,
  me: Incarnation,
): VolumesAhead | null {
  const written = record.volumesAhead;
  const verdict = known === null || (written !== null && written.epoch > known.epoch) ? written : known;
  if (verdict === null || record.epoch > verdict.epoch) return null;
  const byAnother = record.holder !== me && (record.holder !== null || written === null);
  return record.epoch === verdict.epoch && byAnother ? null : verdict;
}
