/** R3, R5, R6 and R8 with one clause left out: who may claim, when, and on whose word. */
import type { DiskSetState } from '../../pair/disk-set/state.ts';
import { serverOf } from '../../pair/incarnation.ts';
import type { LeaseRecord } from '../../pair/lease.ts';
import type { Holding } from '../../pair/messages.ts';
import type { ServerState } from '../../pair/server/state.ts';
import { silenceMs } from '../../pair/serving-lease.ts';
import type { Input, PairTiming } from '../../pair/types.ts';
import { answering, hearing, remembering, type Step, type Variant, type Wrap, withSets } from './variant.ts';

const LONG_AGO = Number.NEGATIVE_INFINITY;

/** Changes what the process believes about a disk set for the time of one step. */
function believing(change: (set: DiskSetState, state: ServerState) => Partial<DiskSetState> | null): Wrap {
  return (real) => (state, input, now) => {
    const believed = withSets(state, (set) => {
      if (set.seen === null || set.role.name !== 'observer') return set;
      const changed = change(set, state);
      return changed === null ? set : { ...set, ...changed };
    });
    const { state: next, effects } = real(believed, input, now);
    // Fields that the step has not touched are put back: the belief is about judging, not about what was seen.
    const restored = withSets(next, (set) => {
      const before = set.home === state.local.home ? state.local : state.partner;
      const meant = set.home === state.local.home ? believed.local : believed.partner;
      if (meant === before) return set;
      return {
        ...set,
        ...(set.seen === meant.seen ? { seen: before.seen } : {}),
        ...(set.unchangedSince === meant.unchangedSince ? { unchangedSince: before.unchangedSince } : {}),
        ...(set.acknowledgedAt === meant.acknowledgedAt ? { acknowledgedAt: before.acknowledgedAt } : {}),
        ...(set.role.name === 'claiming' && set.role.against === meant.seen
          ? { role: { ...set.role, against: before.seen! } }
          : {}),
      };
    });
    return { state: restored, effects };
  };
}

/** Claims on silence so many ms too early. */
function waitingShorter(byMs: (timing: PairTiming) => number): Wrap {
  return believing(({ unchangedSince, acknowledgedAt }, { identity: { timing } }) => ({
    unchangedSince: unchangedSince - byMs(timing),
    acknowledgedAt: acknowledgedAt - byMs(timing),
  }));
}

function seeing(set: DiskSetState, change: Partial<LeaseRecord>): Partial<DiskSetState> {
  const seen = set.seen!;
  return { seen: { ...seen, record: { ...seen.record, ...change } } };
}

/** Takes one input for a proof of death as well. */
function provenBy(
  died: (input: Input, state: ServerState) => Extract<Input, { kind: 'died' }>['died'] | null,
): Wrap {
  return (real: Step) => (state, input, now) => {
    const proof = died(input, state);
    const first = real(state, input, now);
    if (proof === null) return first;
    const second = real(first.state, { kind: 'died', died: proof }, now);
    return { state: second.state, effects: [...first.effects, ...second.effects] };
  };
}

const holdingsSeen = ({ local, partner }: ServerState) =>
  [local, partner].flatMap(({ home, seen }) => (seen === null ? [] : [{ home, epoch: seen.record.epoch }]));

export const claimVariants: readonly Variant[] = [
  {
    name: 'OlderNewsIgnored',
    rule: 'R4',
    clause: 'a witness that has gone back is believed, and not asked until it says something else',
    wrap: answering((result, before) => ({
      ...result,
      state: withSets(result.state, (set) => {
        const known = set.home === before.local.home ? before.local : before.partner;
        const news = set.wentBack !== null && known.wentBack === null;
        return news ? { ...known, readSince: null, lookup: true } : set;
      }),
    })),
  },
  {
    name: 'SilenceOfTheOtherCounts',
    rule: 'R3',
    clause: 'silence is that of one disk set: its own Lease unchanged, and no acknowledgement for it',
    wrap: believing((set, { local, partner }) => {
      const { unchangedSince, acknowledgedAt } = set.home === local.home ? partner : local;
      return { unchangedSince, acknowledgedAt };
    }),
  },
  {
    name: 'ClaimWithoutWaiting',
    rule: 'R3',
    clause: 'a claim on silence waits lease + guard',
    wrap: waitingShorter(() => Number.POSITIVE_INFINITY),
  },
  {
    name: 'GuardZero',
    rule: 'R3',
    clause: 'the guard: a process that was stopped lives longer than its right',
    wrap: waitingShorter((timing) => silenceMs(timing) - timing.leaseMs),
  },
  {
    name: 'SlewNotCounted',
    rule: 'R3',
    clause: 'clocks that are slewed in opposite directions',
    wrap: waitingShorter((timing) => silenceMs(timing) - timing.leaseMs - timing.guardMs),
  },
  {
    name: 'HolderTimesIgnored',
    rule: 'R3',
    clause: 'while lease times are being changed the wait is at least as long as the holder says',
    wrap: believing((set) =>
      set.seen!.record.claimAfterMs === null ? null : seeing(set, { claimAfterMs: null }),
    ),
  },
  {
    name: 'NoWaitForUnchangedLease',
    rule: 'R3',
    clause: 'the acknowledger too has seen the Lease unchanged for lease + guard',
    wrap: believing((set, { identity }) =>
      set.seen!.record.acknowledger === identity.me ? { unchangedSince: LONG_AGO } : null,
    ),
  },
  {
    name: 'FirstSightTakenAsOld',
    rule: 'R3',
    clause: 'unchanged is what this process has itself seen unchanged, from its first sight of the Lease on',
    wrap: (real) => (state, input, now) => {
      const { state: next, effects } = real(state, input, now);
      return {
        state: withSets(next, (set) => {
          const before = set.home === state.local.home ? state.local : state.partner;
          return before.seen === null && set.seen !== null ? { ...set, unchangedSince: LONG_AGO } : set;
        }),
        effects,
      };
    },
  },
  {
    name: 'SuccessorDoesNotWait',
    rule: 'R3',
    clause:
      'the successor claims lease + guard after it got the proof, and after the Lease was unchanged for as long',
    wrap: (real) => {
      const impatient = believing((set, { identity }) => {
        const { acknowledger } = set.seen!.record;
        return acknowledger !== null && acknowledger !== identity.me ? { unchangedSince: LONG_AGO } : null;
      })(real);
      return (state, input, now) => {
        const deaths = state.deaths.map((death) => ({ ...death, at: LONG_AGO }));
        return impatient({ ...state, deaths }, input, now);
      };
    },
  },
  {
    name: 'SuccessorWithoutProof',
    rule: 'R3',
    clause:
      'another incarnation of the acknowledger’s server claims only with proof that the named one can act no more',
    wrap: believing((set, { identity }) => {
      const { acknowledger } = set.seen!.record;
      if (acknowledger === null || acknowledger === identity.me) return null;
      return serverOf(acknowledger) === identity.server ? seeing(set, { acknowledger: null }) : null;
    }),
  },
  {
    name: 'ForcedWordKept',
    rule: 'R3',
    clause:
      'an administrator’s word that the acknowledger can act no more is about one holder, epoch and acknowledger',
    wrap: remembering((state) =>
      withSets(state, (set) =>
        set.asked === null || set.seen === null
          ? set
          : { ...set, asked: { ...set.asked, about: set.seen.record } },
      ),
    ),
  },
  {
    name: 'ProofNamesServerOnly',
    rule: 'R5',
    clause: 'a proof names incarnation and epoch, and the Lease still names both',
    wrap: remembering((state) => {
      const deaths = state.deaths.map((death) => {
        let { incarnation } = death;
        const holdings: Holding[] = [];
        for (const { home, seen } of [state.local, state.partner]) {
          const holder = seen?.record.holder ?? null;
          if (
            holder === null ||
            holder === state.identity.me ||
            serverOf(holder) !== serverOf(death.incarnation)
          )
            continue;
          incarnation = holder;
          holdings.push({ home, epoch: seen!.record.epoch });
        }
        const others = death.holdings.filter(({ home }) => holdings.every((one) => one.home !== home));
        return { ...death, incarnation, holdings: [...others, ...holdings] };
      });
      return { ...state, deaths };
    }),
  },
  {
    name: 'DisconnectTakenAsDeath',
    rule: 'R5',
    clause: 'the end of a connection proves nothing',
    wrap: provenBy((input, state) =>
      input.kind === 'partnerDisconnected'
        ? {
            kind: 'died',
            incarnation: input.incarnation,
            holdings: holdingsSeen(state),
            evidence: 'disconnected',
          }
        : null,
    ),
  },
  {
    name: 'UnreadLeaseTakenAsUnowned',
    rule: 'R8',
    clause: 'a Lease that could not be read is not a Lease without a holder',
    wrap: (real) => {
      const believer = believing((set, { identity }) => ({
        ...seeing(set, { holder: null, acknowledger: null, releasedTo: identity.server }),
        lookup: false,
        notBefore: LONG_AGO,
      }))(real);
      return (state, input, now) => {
        const first = real(state, input, now);
        if (input.kind !== 'leaseRead' || input.outcome.kind !== 'unknown') return first;
        const second = believer(first.state, { kind: 'tick' }, now);
        return { state: second.state, effects: [...first.effects, ...second.effects] };
      };
    },
  },
  {
    name: 'EpochKept',
    rule: 'R3',
    clause: 'a claim writes epoch + 1 together with the holder',
    wrap: (real) => (state, input, now) => {
      const { state: next, effects } = real(state, input, now);
      return {
        state: next,
        effects: effects.map((effect) => {
          if (effect.kind !== 'writeLease') return effect;
          const set = effect.home === next.local.home ? next.local : next.partner;
          return set.role.name === 'claiming' && effect.ownership.epoch > 1
            ? { ...effect, ownership: { ...effect.ownership, epoch: effect.ownership.epoch - 1 } }
            : effect;
        }),
      };
    },
  },
  {
    name: 'VerdictUntold',
    rule: 'R6',
    clause: 'that the volumes are ahead is written with the release, for later runs and for the partner',
    wrap: (real) => (state, input, now) => {
      const { state: next, effects } = real(state, input, now);
      return {
        state: next,
        effects: effects.map((effect) =>
          effect.kind === 'writeLease'
            ? { ...effect, ownership: { ...effect.ownership, volumesAhead: null } }
            : effect,
        ),
      };
    },
  },
  {
    name: 'WitnessSilenceUnheard',
    rule: 'R4',
    clause: 'whom the witness does not answer is not named while another one is there',
    wrap: hearing((input) => {
      if (input.kind !== 'message' || input.message.kind !== 'heartbeat') return input;
      const { witnessSilent: _, ...message } = input.message;
      return { ...input, message };
    }),
  },
];
