/**
 * Serving a disk set: the lease begins with a write that was applied, each confirmation extends it, and it ends by a cut (R2) or after a
 * planned hand-over. What the data path reports decides which.
 */

import type { Incarnation, ServerName } from '../incarnation.ts';
import { leaseUntil, silenceMs } from '../serving-lease.ts';
import { policyOf, tookOver } from '../transfer-policy.ts';
import type { Input } from '../types.ts';
import { answerAwaiting, carriedOut, refuse } from './answers.ts';
import {
  type Context,
  type DiskSetState,
  gate,
  type Holder,
  type Leaving,
  type PendingWrite,
  type Role,
  trace,
} from './state.ts';

/** The Lease no longer names this process. The request is answered when the addressee has claimed. */
export function gone(
  state: DiskSetState,
  role: Extract<Role, { name: 'releasing' }>,
  context: Context,
): DiskSetState {
  const { requestId, to } = role.leaving;
  trace(state, { name: 'released', epoch: role.epoch, to }, context);
  const gave = { epoch: role.epoch, automatic: role.leaving.automatic === true };
  const observer: DiskSetState = { ...state, role: { name: 'observer' }, memory: { ...state.memory, gave } };
  if (requestId === null || to === null) return observer;
  const awaiting: DiskSetState = { ...observer, awaiting: { requestId, to } };
  const { holder } = state.seen!.record;
  return holder === null ? awaiting : answerAwaiting(awaiting, holder, context);
}

/** A planned stop hands over to the partner if it is there, and otherwise to the server that claims first. */
export function stopping(state: DiskSetState, context: Context): Leaving {
  const maintained = state.seen !== null && state.seen.record.maintenance !== null;
  const there = context.connected.length > 0 && !context.partnerStops;
  const to = there && !maintained ? context.identity.partner : null;
  return { to, requestId: null, message: 'this server stops' };
}

/** The Lease names this process by a write of its own that was applied: the lease begins at its sending. */
export function becomeHolder(state: DiskSetState, write: PendingWrite, context: Context): DiskSetState {
  const record = state.seen!.record;
  const until = leaseUntil(write.sentAt, context.identity.timing);
  if (context.stopping) {
    return {
      ...state,
      role: { name: 'releasing', epoch: record.epoch, leaving: stopping(state, context), write: null },
    };
  }
  if (context.now >= until) {
    // The answer took longer than the lease that it brought. Nothing was opened; try again as an observer.
    return { ...state, role: { name: 'observer' } };
  }
  context.emit({ kind: 'setServingLease', home: state.home, until });
  const { written } = record;
  const known = written === undefined ? {} : { written };
  context.emit({ kind: 'openDiskSet', home: state.home, epoch: record.epoch, ...known });
  gate('openGate', state.home, record.epoch, context);
  if (state.local !== null) carriedOut(state, state.local, context);
  // Its addressee did not take it, and it comes back.
  if (state.awaiting !== null) answerAwaiting(state, context.identity.me, context);
  return {
    ...state,
    detected: null,
    ahead: null,
    awaiting: null,
    local: null,
    memory:
      state.home === context.identity.server
        ? state.memory
        : tookOver(state.memory, record.epoch, policyOf(context.identity).giveback, context.now),
    role: {
      name: 'holder',
      epoch: record.epoch,
      port: 'opening',
      accepts: record.acknowledger,
      named: record.acknowledger,
      doubt: null,
      confirmedAt: write.sentAt,
      writtenAt: write.sentAt,
      write: null,
      leaving: null,
      quiescedAt: 0,
      droppedAt: Number.NEGATIVE_INFINITY,
    },
  };
}

/** A write of the holder was applied: it confirms as of its sending, and the Lease names the acknowledger that counts (R1). */
export function confirmWrite(
  state: DiskSetState,
  role: Holder,
  write: PendingWrite,
  context: Context,
): DiskSetState {
  const { acknowledger } = state.seen!.record;
  if (acknowledger !== null) {
    trace(state, { name: 'paired', epoch: role.epoch, acknowledger }, context);
  }
  const confirmed: Holder = {
    ...role,
    accepts: acknowledger,
    named: acknowledger,
    doubt: null,
    writtenAt: write.sentAt,
    write: null,
  };
  return confirm(state, confirmed, write.sentAt, context);
}

/** An acknowledgement of the holding by `from`, for a heartbeat that was sent at `sentAt`. */
export function acknowledged(
  state: DiskSetState,
  from: Incarnation,
  epoch: number,
  sentAt: number,
  context: Context,
): DiskSetState {
  const { role } = state;
  if (role.name !== 'holder' || role.epoch !== epoch || role.accepts !== from) return state;
  return confirm(state, role, sentAt, context);
}

/**
 * Extends the lease; a confirmation that is older than the newest one gives nothing. A lease that has run
 * out is not revived: its end may have been acted upon already.
 */
function confirm(state: DiskSetState, role: Holder, sentAt: number, context: Context): DiskSetState {
  const { timing } = context.identity;
  const expired = context.now >= leaseUntil(role.confirmedAt, timing);
  if (expired || sentAt <= role.confirmedAt) return { ...state, role };
  context.emit({ kind: 'setServingLease', home: state.home, until: leaseUntil(sentAt, timing) });
  return { ...state, role: { ...role, confirmedAt: sentAt } };
}

/** All volumes have the ownership record of `epoch`: clients are served. */
export function diskSetOpened(state: DiskSetState, epoch: number, context: Context): DiskSetState {
  const { role } = state;
  if (role.name !== 'holder' || role.epoch !== epoch || role.port !== 'opening') return state;
  trace(state, { name: 'serving', epoch }, context);
  return { ...state, role: { ...role, port: 'open' } };
}

/** A volume could not be opened: the holder gives the disk set up. `epochFound`: of a volume that a newer owner has served (R6). */
export function diskSetOpenFailed(
  state: DiskSetState,
  { epoch, message, epochFound }: Extract<Input, { kind: 'diskSetOpenFailed' }>,
  context: Context,
): DiskSetState {
  const { role } = state;
  const ahead = epochFound === undefined ? state.ahead : { epoch: epochFound, message };
  // While fencing it ends nothing: one thread could not open its volume, another may be inside a system call. Only `closed`
  // says that all have stopped. What was found on a volume is as true then.
  if (role.name === 'fencing' && role.epoch === epoch) return { ...state, ahead };
  if (role.name !== 'holder' || role.epoch !== epoch) return state;
  trace(state, { name: 'openFailed', epoch, message }, context);
  return giveUpHere({ ...state, ahead }, role, message, context);
}

/** The data path cannot trust a volume any more: the holder gives the disk set up. */
export function fault(state: DiskSetState, reason: string, message: string, context: Context): DiskSetState {
  const { role } = state;
  return role.name === 'holder' ? giveUpHere(state, role, `${reason}: ${message}`, context) : state;
}

/**
 * A hanging disk holds a thread of this process in the kernel: only the whole disk set can be given up. Worth it if there
 * is a partner to whom the disk may answer; otherwise the other volumes are served on.
 */
export function volumeStalled(
  state: DiskSetState,
  volume: string,
  waitedMs: number,
  context: Context,
): DiskSetState {
  const { role } = state;
  if (role.name !== 'holder') return state;
  const message = `volume ${volume} has not answered for ${Math.round(waitedMs / 1000)} s`;
  if (context.connected.length > 0) return giveUpHere(state, role, `VolumeStalled: ${message}`, context);
  trace(state, { name: 'stalled', epoch: role.epoch, message }, context);
  return state;
}

/** This server cannot serve the volumes now: let the partner try, and do not claim for a while. */
function giveUpHere(state: DiskSetState, role: Holder, message: string, context: Context): DiskSetState {
  const to = context.connected.length > 0 ? context.identity.partner : null;
  const cannotServeUntil = context.now + silenceMs(context.identity.timing) * 4;
  return fence({ ...state, cannotServeUntil }, role, { to, requestId: null, message }, message, context);
}

/** No thread serves or changes the disk set any more. Only this ends fencing and allows the release (R2). */
export function diskSetClosed(state: DiskSetState, context: Context): DiskSetState {
  const { role } = state;
  if (role.name === 'fencing') {
    context.emit({ kind: 'disarm', home: state.home });
    if (role.leaving === null) return { ...state, role: { name: 'observer' }, lookup: true };
    return { ...state, role: { name: 'releasing', epoch: role.epoch, leaving: role.leaving, write: null } };
  }
  if (role.name === 'holder' && role.port === 'quiescing' && role.leaving !== null) {
    // Everything is answered and flushed. Cut the lease before the release is sent: after it, nothing.
    context.emit({ kind: 'setServingLease', home: state.home, until: null });
    context.emit({ kind: 'disarm', home: state.home });
    return { ...state, role: { name: 'releasing', epoch: role.epoch, leaving: role.leaving, write: null } };
  }
  return state;
}

/**
 * The switch is for the thread that has checked the lease and not yet made its system call: there is none. The wait for the
 * data path to close goes on.
 */
export function changesEnded(state: DiskSetState, context: Context): DiskSetState {
  if (state.role.name === 'fencing') context.emit({ kind: 'disarm', home: state.home });
  return state;
}

/** Stop serving at once (R2). What is under way is not answered. */
export function fence(
  state: DiskSetState,
  role: Holder,
  leaving: Leaving | null,
  message: string,
  context: Context,
): DiskSetState {
  context.emit({ kind: 'setServingLease', home: state.home, until: null });
  close(state.home, role.epoch, 'fence', context);
  trace(state, { name: 'fenced', epoch: role.epoch, message }, context);
  if (leaving === null && role.leaving !== null && role.leaving.requestId !== null) {
    refuse(state, role.leaving.requestId, `interrupted: ${message}`, context);
  }
  return { ...state, role: { name: 'fencing', epoch: role.epoch, leaving } };
}

function close(home: ServerName, epoch: number, mode: 'quiesce' | 'fence', context: Context): void {
  context.emit({ kind: 'closeDiskSet', home, mode });
  gate('closeGate', home, epoch, context);
}

/** Freezes or thaws the disk set as the Lease asks, at the epoch that is meant only: a later owner knows nothing of it. */
export function freezeOrThaw(state: DiskSetState, context: Context): DiskSetState {
  const { role, home, freeze } = state;
  const wanted = state.seen?.record.freeze;
  if (wanted === undefined || role.name !== 'holder' || role.epoch !== wanted.epoch) return state;
  if (role.port === 'opening') return state;
  const { id, msMax, over } = wanted;
  const begun = freeze?.id === id;
  if (over === (begun ? freeze.over : true)) return state;
  context.emit(over ? { kind: 'thawDiskSet', home, id } : { kind: 'freezeDiskSet', home, id, msMax });
  return { ...state, freeze: { id, over } };
}

/** Begins a planned hand-over: finish what runs, then release. The lease goes on being renewed meanwhile. The port is open. */
export function leave(state: DiskSetState, role: Holder, leaving: Leaving, context: Context): DiskSetState {
  const { home } = state;
  trace(state, { name: 'quiescing', epoch: role.epoch, to: leaving.to, message: leaving.message }, context);
  if (leaving.to !== null) {
    const message = { kind: 'handingOver' as const, home, epoch: role.epoch };
    for (const to of context.connected) context.emit({ kind: 'send', to, message });
  }
  close(home, role.epoch, 'quiesce', context);
  return { ...state, role: { ...role, port: 'quiescing', leaving, quiescedAt: context.now } };
}

/** R2: the lease is over when its time is over, whatever else is under way. */
export function enforceLease(state: DiskSetState, role: Holder, context: Context): DiskSetState {
  const { timing } = context.identity;
  if (context.now >= leaseUntil(role.confirmedAt, timing)) {
    const message = `no confirmation for ${Math.round(context.now - role.confirmedAt)} ms (lease ${timing.leaseMs} ms)`;
    return fence(state, role, role.leaving, message, context);
  }
  if (role.port === 'quiescing' && context.now - role.quiescedAt > timing.leaseMs * 2) {
    return fence(
      state,
      role,
      role.leaving,
      `${state.home} could not be quiesced in ${timing.leaseMs * 2} ms`,
      context,
    );
  }
  return state;
}
