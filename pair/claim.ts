/** May this server claim a disk set that it does not hold, and should it? Rules R3, R4, R5. */
import type { Incarnation, ServerName } from './incarnation.ts';
import { isEarlierRunOfMyContainer, serverOf } from './incarnation.ts';
import type { LeaseRecord, LeaseSighting } from './lease.ts';
import { silenceMs } from './serving-lease.ts';
import { type PairIdentity, type PairTiming, TransitionCause } from './types.ts';

// A claim is safe without this function: it is a compare-and-swap on the version that was seen, so it fails if the holder has written
// since. This function decides when a claim may be tried:
//
// - T + guard after the holder's last write: its own renewals have expired (R3);
// - T + guard after our last acknowledgement: the lease that we extended has expired (R3);
// - at once, if the holder is proven dead (R5).

/** A proof of death as this process got it. */
export interface KnownDead {
  readonly incarnation: Incarnation;
  /** Epoch of this disk set that the proof names; null if the dead process did not hold it. */
  readonly epoch: number | null;
  readonly evidence: string;
  /** When this process got it. */
  readonly at: number;
}

export interface ClaimView {
  readonly identity: PairIdentity;
  readonly home: ServerName;
  readonly seen: LeaseSighting;
  /** Since when this process has seen the ownership unchanged. */
  readonly unchangedSince: number;
  /** The ownership is as this process has found it when it started. */
  readonly asFound: boolean;
  /** When this process last acknowledged a holder of this disk set; -Infinity if never. */
  readonly acknowledgedAt: number;
  /** Its release to this server was announced beforehand: a planned hand-over. */
  readonly announced: boolean;
  readonly dead: readonly KnownDead[];
  /** True while an incarnation of the partner is connected that is not known to be dead. */
  readonly partnerThere: boolean;
  /** An administrator said that the acknowledger can act no more: when this process saw it, and why. Null: nobody did. */
  readonly forced: { readonly since: number; readonly reason: string } | null;
}

export type ClaimVerdict =
  | { readonly kind: 'now'; readonly cause: TransitionCause; readonly message: string }
  /** Not before `at`, if nothing changes until then. */
  | {
      readonly kind: 'wait';
      readonly until: number;
      readonly cause: TransitionCause;
      readonly message: string;
    }
  | { readonly kind: 'no'; readonly message: string };

/** Rules R3 to R5. `now`: ms on CLOCK_BOOTTIME, the clock of all times in `view`. */
export function mayClaim(view: ClaimView, now: number): ClaimVerdict {
  const verdict = judge(view);
  if (verdict.kind === 'wait' && now >= verdict.until) {
    return { kind: 'now', cause: verdict.cause, message: verdict.message };
  }
  return verdict;
}

/** First finding wins. Order: nobody's, mine, proven dead, then silence by who the Lease names. */
function judge(view: ClaimView): ClaimVerdict {
  const { holder } = view.seen.record;
  if (holder === null) return unowned(view);
  if (holder === view.identity.me) return { kind: 'no', message: 'this process is the holder' };
  return holderProvenDead(view, holder) ?? holderSilent(view, holder);
}

/** Nobody holds it, so anyone may take it at once; who should is a matter of order, not of safety. */
function unowned(view: ClaimView): ClaimVerdict {
  const { home, identity, unchangedSince, asFound, announced } = view;
  const { epoch, releasedTo } = view.seen.record;
  const isLocal = home === identity.server;
  // A release that this process has found when it started was meant for an earlier run: home comes first.
  if (releasedTo === identity.server && (isLocal || !asFound)) {
    const planned = announced ? TransitionCause.Released : TransitionCause.PartnerSaidSo;
    return {
      kind: 'now',
      cause: isLocal ? TransitionCause.Requested : planned,
      message: `${home} was released to this server`,
    };
  }
  if (epoch === 0) {
    return isLocal
      ? { kind: 'now', cause: TransitionCause.Unowned, message: `${home} has never been owned` }
      : { kind: 'no', message: `${home} has never been owned; only its home server sets it up` };
  }
  if ((releasedTo === null || asFound) && isLocal) {
    return { kind: 'now', cause: TransitionCause.Unowned, message: `nobody owns ${home}` };
  }
  return {
    kind: 'wait',
    until: unchangedSince + silenceMs(identity.timing),
    cause: TransitionCause.Unowned,
    message: `${releasedTo ?? home} did not take ${home} after its release`,
  };
}

/** R5: the proof names the incarnation and the epoch, and the Lease still names both. */
function holderProvenDead(view: ClaimView, holder: Incarnation): ClaimVerdict | null {
  const { identity, home } = view;
  const { epoch, deathProof } = view.seen.record;
  const known = view.dead.find((dead) => dead.incarnation === holder && dead.epoch === epoch);
  if (known !== undefined) {
    return { kind: 'now', cause: TransitionCause.PartnerSaidSo, message: known.evidence };
  }
  if (deathProof !== null && deathProof.incarnation === holder && deathProof.epoch === epoch) {
    return { kind: 'now', cause: TransitionCause.OperatorProof, message: deathProof.evidence };
  }
  if (isEarlierRunOfMyContainer(holder, identity.me)) {
    const message = `${holder} was an earlier run of this container`;
    // The partner's disk set is better off on its home server; give it the time to take it.
    return home === identity.server || !view.partnerThere
      ? { kind: 'now', cause: TransitionCause.Restarted, message }
      : {
          kind: 'wait',
          until: view.unchangedSince + silenceMs(identity.timing),
          cause: TransitionCause.Restarted,
          message,
        };
  }
  return null;
}

/**
 * How long a claim on silence waits, ms. While lease times are being changed the holder's are not ours: it may write for as
 * long as its own say.
 */
export function silenceBeforeClaimMs(timing: PairTiming, { claimAfterMs }: LeaseRecord): number {
  return Math.max(silenceMs(timing), claimAfterMs ?? 0);
}

/** R3. */
function holderSilent(view: ClaimView, holder: Incarnation): ClaimVerdict {
  const { identity, unchangedSince, acknowledgedAt } = view;
  const { acknowledger } = view.seen.record;
  const silence = silenceBeforeClaimMs(identity.timing, view.seen.record);
  const message = `no heartbeat of ${holder} for ${silence} ms`;
  const cause = TransitionCause.Silent;
  if (acknowledger === null) {
    return { kind: 'wait', until: unchangedSince + silence, cause, message };
  }
  if (acknowledger === identity.me) {
    return { kind: 'wait', until: Math.max(unchangedSince, acknowledgedAt) + silence, cause, message };
  }
  if (view.forced !== null && acknowledger !== identity.me) {
    const forced = `forced: ${view.forced.reason}; ${message}, and ${acknowledger} is said to act no more`;
    const until = Math.max(unchangedSince, view.forced.since) + silence;
    return { kind: 'wait', until, cause: TransitionCause.Requested, message: forced };
  }
  if (serverOf(acknowledger) !== identity.server) {
    return { kind: 'no', message: `the Lease names ${acknowledger} as acknowledger` };
  }
  const successorSince = successorProvenSince(view, acknowledger);
  if (successorSince === null) {
    return { kind: 'no', message: `${acknowledger} is the acknowledger and not known to be dead` };
  }
  // The successor waits too: the holder's lease may come from the write that named the dead acknowledger.
  return { kind: 'wait', until: Math.max(unchangedSince, successorSince) + silence, cause, message };
}

/** When this process got proof that its predecessor, the named acknowledger, can act no more; null: never. */
function successorProvenSince(view: ClaimView, acknowledger: Incarnation): number | null {
  const known = view.dead.find((dead) => dead.incarnation === acknowledger);
  if (known !== undefined) return known.at;
  // Running at all is the proof, so it is as old as the first sight of a Lease that names the earlier run.
  return isEarlierRunOfMyContainer(acknowledger, view.identity.me) ? view.unchangedSince : null;
}
