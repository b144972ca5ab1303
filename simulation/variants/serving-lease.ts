/** R1 with one clause left out: what gives a right to serve, and what must not. */
import type { DiskSetState, Holder } from '../../pair/disk-set/state.ts';
import type { Incarnation } from '../../pair/incarnation.ts';
import type { Holding } from '../../pair/messages.ts';
import type { ServerState } from '../../pair/server/state.ts';
import type { Effect, Input } from '../../pair/types.ts';
import {
  answering,
  hearing,
  isAcknowledgement,
  remembering,
  type Variant,
  type Wrap,
  withHolders,
  withSets,
} from './variant.ts';

/** Rides on the role: the machine copies what it does not know. */
interface Remembering extends Holder {
  readonly dropped?: Incarnation | null;
}

/** Remembers whose acknowledgements counted last. */
function noteDropped(before: ServerState, after: ServerState): ServerState {
  return withHolders(after, (role, set) => {
    const old = (before.local.home === set.home ? before.local : before.partner).role;
    const dropped =
      old.name === 'holder' && old.accepts !== null && role.accepts === null ? old.accepts : null;
    return dropped === null ? role : ({ ...role, dropped } as Remembering);
  });
}

/** Counts acknowledgements of the incarnation that was dropped, while `still` holds. */
function acceptingTheDropped(still: (role: Holder) => boolean): Wrap {
  return (real) => (state, input, now) => {
    let told = state;
    if (isAcknowledgement(input)) {
      told = withHolders(state, (role) => {
        const { dropped } = role as Remembering;
        return role.accepts === null && dropped === input.from && still(role)
          ? { ...role, accepts: dropped }
          : role;
      });
    }
    const { state: next, effects } = real(told, input, now);
    const forgotten = withHolders(next, (role, set) => {
      const old = (state.local.home === set.home ? state.local : state.partner).role;
      return told !== state && old.name === 'holder' && old.accepts === null && role.write === old.write
        ? { ...role, accepts: null }
        : role;
    });
    return { state: noteDropped(state, forgotten), effects };
  };
}

/** A step whose input is changed when it tells of an unknown outcome of a write by a disk set in this role. */
function unknownWrite(
  roles: readonly DiskSetState['role']['name'][],
  told: (
    set: DiskSetState,
    write: Extract<Effect, { kind: 'writeLease' }>,
  ) => Extract<Input, { kind: 'leaseWritten' }>['outcome'],
): Wrap {
  type Writing = DiskSetState & { readonly lastWrite?: Extract<Effect, { kind: 'writeLease' }> };
  return (real) => (state, input, now) => {
    let heard = input;
    if (input.kind === 'leaseWritten' && input.outcome.kind === 'unknown') {
      const set = input.home === state.local.home ? state.local : state.partner;
      const { lastWrite } = set as Writing;
      if (roles.includes(set.role.name) && lastWrite?.token === input.token)
        heard = { ...input, outcome: told(set, lastWrite) };
    }
    const { state: next, effects } = real(state, heard, now);
    const writes = effects.filter((effect) => effect.kind === 'writeLease');
    return {
      state: withSets(next, (set) => {
        const lastWrite = writes.find(({ home }) => home === set.home);
        return lastWrite === undefined ? set : ({ ...set, lastWrite } as Writing);
      }),
      effects,
    };
  };
}

const applied = (set: DiskSetState, write: Extract<Effect, { kind: 'writeLease' }>) => ({
  kind: 'applied' as const,
  sighting: { version: String(write.ownership.renewal), record: { ...set.seen!.record, ...write.ownership } },
});

/** Stands by every holding of a heartbeat for which `also` holds. */
export function acknowledging(
  also: (set: DiskSetState, from: Incarnation, holding: Holding, state: ServerState) => boolean,
): Wrap {
  return answering(({ state, effects }, before, input, now) => {
    if (input.kind !== 'message' || input.message.kind !== 'heartbeat') return { state, effects };
    const { from, message } = input;
    const given = message.holdings.filter((holding) => {
      const set = holding.home === before.local.home ? before.local : before.partner;
      return also(set, from, holding, before);
    });
    const homes = given.map(({ home }) => home);
    return {
      state: withSets(state, (set) => (homes.includes(set.home) ? { ...set, acknowledgedAt: now } : set)),
      effects: effects.map((effect) => {
        if (effect.kind !== 'send' || effect.message.kind !== 'acknowledgement') return effect;
        const others = effect.message.holdings.filter(({ home }) => !homes.includes(home));
        return { ...effect, message: { ...effect.message, holdings: [...others, ...given] } };
      }),
    };
  });
}

export const servingLeaseVariants: readonly Variant[] = [
  {
    name: 'AcknowledgementDatedByReceipt',
    rule: 'R1',
    clause: 'an acknowledgement counts from when its heartbeat was sent',
    wrap: remembering((state, input, at) => {
      if (!isAcknowledgement(input)) return state;
      const { seq } = input.message;
      return { ...state, sentAt: state.sentAt.map((sent) => (sent.seq === seq ? { seq, at } : sent)) };
    }),
  },
  {
    name: 'WriteDatedByReceipt',
    rule: 'R1',
    clause: 'a write of the Lease counts from when it was sent',
    wrap: remembering((state, input, sentAt) => {
      if (input.kind !== 'leaseWritten') return state;
      return withSets(state, (set) => {
        const { role } = set;
        if (!('write' in role) || role.write?.token !== input.token) return set;
        return { ...set, role: { ...role, write: { ...role.write, sentAt } } } as DiskSetState;
      });
    }),
  },
  {
    name: 'AcceptAnyAcknowledgement',
    rule: 'R1',
    clause: 'only the acknowledgements of the incarnation that the Lease names count',
    wrap: hearing((input, { local, partner }) => {
      if (!isAcknowledgement(input)) return input;
      let { from } = input;
      const holdings: Holding[] = [];
      for (const { home, role } of [local, partner]) {
        if (role.name !== 'holder' || role.accepts === null) continue;
        from = role.accepts;
        holdings.push({ home, epoch: role.epoch });
      }
      return { ...input, from, message: { ...input.message, holdings } };
    }),
  },
  {
    name: 'AcceptWhileGoingSolo',
    rule: 'R1',
    clause: 'from before the write that drops it is sent, nothing of the dropped incarnation counts',
    wrap: acceptingTheDropped((role) => role.write !== null),
  },
  {
    name: 'AcceptAfterGoingSolo',
    rule: 'R1',
    clause: 'a solo holder counts nobody’s acknowledgements, however late they come',
    wrap: acceptingTheDropped(() => true),
  },
  {
    name: 'UnknownRenewalTakenAsSuccess',
    rule: 'R1',
    clause: 'a write whose outcome is unknown confirms nothing',
    wrap: unknownWrite(['holder', 'regaining'], applied),
  },
  {
    name: 'UnknownModeChangeTakenAsFailure',
    rule: 'R1',
    clause:
      'after a write with unknown outcome the old acknowledger does not count until another write is applied',
    wrap: (real) => (state, input, now) => {
      const { state: next, effects } = real(state, input, now);
      const noted = noteDropped(state, next);
      if (input.kind !== 'leaseWritten' || input.outcome.kind !== 'unknown') return { state: noted, effects };
      return {
        state: withHolders(noted, (role, set) => {
          const { dropped } = role as Remembering;
          return set.home === input.home && role.accepts === null && role.write === null && dropped
            ? { ...role, accepts: dropped }
            : role;
        }),
        effects,
      };
    },
  },
  {
    name: 'AcknowledgeUnnamed',
    rule: 'R1',
    clause:
      'an incarnation acknowledges only a holder and epoch of a Lease that it has read and that names it',
    wrap: acknowledging((set) => set.role.name !== 'claiming'),
  },
  {
    name: 'AcknowledgementForgotten',
    rule: 'R3',
    clause: 'the acknowledger waits lease + guard from its own last acknowledgement',
    wrap: answering(({ state, effects }) => ({
      state: withSets(state, (set) =>
        set.acknowledgedAt === Number.NEGATIVE_INFINITY
          ? set
          : { ...set, acknowledgedAt: Number.NEGATIVE_INFINITY },
      ),
      effects,
    })),
  },
  {
    name: 'UnknownClaimTakenAsSuccess',
    rule: 'R4',
    clause: 'nobody owns what the witness has not confirmed',
    wrap: unknownWrite(['claiming'], applied),
  },
  {
    name: 'UnknownClaimTakenAsFailure',
    rule: 'R3',
    clause:
      'a claim whose outcome is unknown is looked up and repeated before anything is acknowledged again',
    wrap: unknownWrite(['claiming'], () => ({ kind: 'conflict' })),
  },
  {
    name: 'AcknowledgeWhileClaiming',
    rule: 'R3',
    clause: 'from the moment it considers a claim until the outcome is known a server acknowledges nothing',
    wrap: acknowledging(
      (set, from, { epoch }, { identity }) =>
        set.role.name === 'claiming' &&
        set.seen?.record.holder === from &&
        set.seen.record.epoch === epoch &&
        set.seen.record.acknowledger === identity.me,
    ),
  },
];
