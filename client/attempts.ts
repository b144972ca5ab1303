/**
 * The plan of attempts: how a client finds the port at which its disk set is served, before, during and after a failover. Pure:
 * `now` and what happened go in, effects come out as data; the driver (failover-connection.ts) owns sockets and timers.
 */
import {
  adoptionTime,
  askPause,
  expiry,
  fruitlessPause,
  intervalLimit,
  isCalm,
  patienceAfter,
  schedule,
  spread,
} from './attempts-pace.ts';
import type {
  Attempt,
  AttemptsEffect,
  AttemptsInput,
  AttemptsOptions,
  AttemptsState,
  AttemptsStep,
} from './attempts-state.ts';
import type { PortRole } from './transport-address.ts';

// The idea: at most one of the two ports is open, and nobody tells the client which. So it asks both, again and
// again, until one answers. A refusal is an answer (this one not, now), silence is not: a closed Kubernetes
// Service port swallows most connection requests, and the kernel repeats a swallowed one only after a second. So
// attempts overlap: the next starts while earlier ones still wait, and the first that answers is adopted.
//
//   serving  -- silent -->  suspect  -- the other port answers ----------------> serving (there)
//      ^                       |  |   -- adopted connection heard again --------> serving (here)
//      |                       |   `---- silent too long, same port answers ----> serving (new connection)
//      |                       v lost
//      `--- one answers --- searching  <-- lost -- serving;  start
//
// An answer is the reply to an NFS NULL call and, once a file handle of the disk set is known, the proof that the
// server holds it (disk-set-identity.ts). An opened connection is no answer: the kernel of a stopped server still
// opens connections.
//
// Why the same port's answer does not win at once while suspect: the server is alive then, and only slow. A new connection would
// carry a WRITE again while the first copy may still sit unread in the server's receive buffer, to be executed after a later
// WRITE to the same place. (FilerPair leaves it: protocol/succession.ts. Other servers do not.) It wins after
// `samePortPatienceMs` in which the adopted connection has carried no byte, counted from its first answer and not from the doubt.
// A server may have been frozen for longer than that and come back this instant. Each time it wins, that patience doubles: what
// was slow is not helped by having everything sent again. The *other* port's answer does win at once: it proves that the earlier
// owner is fenced and executes nothing any more.
//
// Before a file handle is known nothing can be proven, and the failover name may lead to a server that serves other
// disks at the secondary port. An unproven answer from the secondary port therefore waits until the primary port has
// refused, or has been silent for `unprovenWaitMs`.

/** The next state and what to do. `now` in ms of any monotonic clock, never decreasing. */
export function stepAttempts(
  state: AttemptsState,
  input: AttemptsInput,
  now: number,
  options: AttemptsOptions,
): AttemptsStep {
  switch (input.kind) {
    case 'Start':
      return state.mode === 'stopped' ? seek(state, now, options) : unchanged(state);
    case 'Stop':
      return stop(state);
    case 'Tick':
      return proceed(state, now, options);
    case 'Silent':
      return state.mode === 'serving' ? doubt(state, now, options) : unchanged(state);
    case 'Heard':
      return heard(state, input.progress, now, options);
    case 'Sent':
      return sent(state, now);
    case 'Wanted':
      return hurry(state, now, options);
    case 'Connected':
      return connected(state, input.id);
    case 'Answered':
      return answered(state, input.id, input.proven, now, options);
    case 'Lost':
      return lost(state, input.id, now, options);
    default:
      return assertNever(input);
  }
}

/** When the driver must send a Tick; null = not before something else happens. */
export function attemptsWakeAt(state: AttemptsState, options: AttemptsOptions): number | null {
  if (state.mode !== 'searching' && state.mode !== 'suspect') return null;
  let wake = Number.POSITIVE_INFINITY;
  for (const role of state.roles) if (wantsAttempt(state, role)) wake = Math.min(wake, state.due[role]);
  for (const attempt of state.attempts) {
    wake = Math.min(wake, attempt.adoptAtMs, expiry(state, attempt, options));
  }
  return wake;
}

function seek(state: AttemptsState, now: number, options: AttemptsOptions): AttemptsStep {
  const fresh: AttemptsState = {
    ...state,
    mode: 'searching',
    adopted: null,
    sinceMs: now,
    hurrySinceMs: now,
    primaryDenied: false,
    ...schedule(now + fruitlessPause(state.fruitless, options), options),
  };
  return proceed(fresh, now, options);
}

function doubt(state: AttemptsState, now: number, options: AttemptsOptions): AttemptsStep {
  const suspect: AttemptsState = {
    ...state,
    mode: 'suspect',
    sinceMs: now,
    hurrySinceMs: now,
    primaryDenied: false,
    ...schedule(now, options),
  };
  return after([{ kind: 'AskAdopted' }], proceed(suspect, now, options));
}

function stop(state: AttemptsState): AttemptsStep {
  const ids = state.attempts.map((attempt) => attempt.id);
  if (state.adopted) ids.push(state.adopted.id);
  return { state: { ...state, mode: 'stopped', adopted: null, attempts: [] }, effects: ids.map(abandon) };
}

function heard(state: AttemptsState, progress: boolean, now: number, options: AttemptsOptions): AttemptsStep {
  if (state.adopted === null) return unchanged(state);
  const doubted = state.mode === 'suspect';
  const patienceMs = patienceAfter(state, progress, now, options);
  const calm = progress && !doubted && isCalm(state, now, options);
  const samePortPatienceMs = calm ? options.samePortPatienceMs : state.samePortPatienceMs;
  const fruitless = progress ? 0 : state.fruitless;
  const same =
    patienceMs === state.patienceMs &&
    samePortPatienceMs === state.samePortPatienceMs &&
    fruitless === state.fruitless;
  if (!doubted && same) return unchanged(state);
  return {
    state: { ...state, mode: 'serving', patienceMs, samePortPatienceMs, fruitless, attempts: [] },
    effects: state.attempts.map((attempt) => abandon(attempt.id)),
  };
}

/** A server's machine takes data as long as its buffers have room, so the search goes on; but nothing is restarted. */
function sent(state: AttemptsState, now: number): AttemptsStep {
  if (state.mode !== 'suspect') return unchanged(state);
  const adoptAtMs = now + state.samePortPatienceMs;
  const attempts = state.attempts.map((each) =>
    each.phase === 'standby' && each.role === state.adopted?.role ? { ...each, adoptAtMs } : each,
  );
  return { state: { ...state, attempts }, effects: [] };
}

function hurry(state: AttemptsState, now: number, options: AttemptsOptions): AttemptsStep {
  if (state.mode !== 'searching' || state.fruitless > 0 || now - state.hurrySinceMs < options.searchWindowMs)
    return unchanged(state);
  return proceed({ ...state, hurrySinceMs: now, ...schedule(now, options) }, now, options);
}

function connected(state: AttemptsState, id: number): AttemptsStep {
  const attempt = state.attempts.find((each) => each.id === id);
  if (attempt?.phase !== 'connecting') return unchanged(state);
  return { state: withAttempt(state, { ...attempt, phase: 'asking' }), effects: [{ kind: 'Ask', id }] };
}

function answered(
  state: AttemptsState,
  id: number,
  proven: boolean,
  now: number,
  options: AttemptsOptions,
): AttemptsStep {
  const attempt = state.attempts.find((each) => each.id === id);
  if (!attempt || attempt.phase === 'standby') return unchanged(state);
  const adoptAtMs = adoptionTime(state, attempt.role, proven, now, options);
  if (now >= adoptAtMs) return adopt(state, attempt, now, options);
  // One stands by; the others at this port have nothing to add.
  const others = state.attempts.filter((each) => each.role === attempt.role && each.id !== id);
  const rest = state.attempts.filter((each) => each.role !== attempt.role);
  const standing: AttemptsState = {
    ...state,
    attempts: [...rest, { ...attempt, phase: 'standby', adoptAtMs }],
  };
  return after(
    others.map((each) => abandon(each.id)),
    proceed(standing, now, options),
  );
}

function adopt(state: AttemptsState, chosen: Attempt, now: number, options: AttemptsOptions): AttemptsStep {
  const effects: AttemptsEffect[] = [];
  // The old connection ends before the new one speaks: two must never carry calls at once.
  if (state.adopted) effects.push(abandon(state.adopted.id));
  for (const attempt of state.attempts) if (attempt.id !== chosen.id) effects.push(abandon(attempt.id));
  const again = state.adopted?.role === chosen.role;
  effects.push({ kind: 'Adopt', id: chosen.id, role: chosen.role, fruitless: again || state.fruitless > 0 });
  const adopted = { id: chosen.id, role: chosen.role, sinceMs: now };
  const doubled = Math.min(state.samePortPatienceMs * 2, options.samePortPatienceMsMax);
  return {
    state: {
      ...state,
      mode: 'serving',
      adopted,
      attempts: [],
      // The same server, which was slow, is not faster now.
      patienceMs: again ? state.patienceMs : options.patienceMs,
      samePortPatienceMs: again ? Math.max(state.samePortPatienceMs, doubled) : state.samePortPatienceMs,
      fruitless: state.fruitless + 1,
    },
    effects,
  };
}

function lost(state: AttemptsState, id: number, now: number, options: AttemptsOptions): AttemptsStep {
  if (state.adopted?.id === id) {
    const standby = state.attempts.find(
      (each) => each.phase === 'standby' && each.role === state.adopted?.role,
    );
    const fruitless = now - state.adopted.sinceMs < options.backOffMsMax ? state.fruitless : 0;
    const without: AttemptsState = { ...state, adopted: null, fruitless };
    if (standby) return adopt(without, standby, now, options);
    // The search that the doubt began goes on; its start is the start of the doubt.
    if (state.mode === 'suspect') {
      const searching: AttemptsState = { ...without, mode: 'searching' };
      return proceed(
        state.adopted.role === 'primary' ? primaryDenied(searching, now) : searching,
        now,
        options,
      );
    }
    return seek(without, now, options);
  }
  const gone = state.attempts.find((each) => each.id === id);
  if (gone === undefined) return unchanged(state);
  const { role, phase } = gone;
  // A connection that was open may have ended with its server, whose successor listens in a moment.
  const soon = Math.min(state.due[role], now + state.interval[role]);
  const without: AttemptsState = {
    ...state,
    attempts: state.attempts.filter((each) => each.id !== id),
    due: phase === 'asking' ? { ...state.due, [role]: soon } : state.due,
  };
  return proceed(role === 'primary' ? primaryDenied(without, now) : without, now, options);
}

/** The unproven answer from the secondary port need not wait any longer. */
function primaryDenied(state: AttemptsState, now: number): AttemptsState {
  const attempts = state.attempts.map((each) =>
    each.phase === 'standby' && each.role === 'secondary' && state.adopted?.role !== 'secondary'
      ? { ...each, adoptAtMs: now }
      : each,
  );
  return { ...state, primaryDenied: true, attempts };
}

/** Starts what is due and ends what took too long. */
function proceed(state: AttemptsState, now: number, options: AttemptsOptions): AttemptsStep {
  if (state.mode !== 'searching' && state.mode !== 'suspect') return unchanged(state);
  const standby = state.attempts.find((each) => now >= each.adoptAtMs);
  if (standby) return adopt(state, standby, now, options);
  const effects: AttemptsEffect[] = [];
  const attempts: Attempt[] = [];
  for (const attempt of state.attempts) {
    if (now >= expiry(state, attempt, options)) effects.push(abandon(attempt.id));
    else attempts.push(attempt);
  }
  let next: AttemptsState = { ...state, attempts };
  for (const role of state.roles) {
    if (!wantsAttempt(next, role) || now < next.due[role]) continue;
    const begun = begin(next, role, now, options);
    next = begun.state;
    effects.push(...begun.effects);
  }
  return { state: next, effects };
}

function begin(state: AttemptsState, role: PortRole, now: number, options: AttemptsOptions): AttemptsStep {
  const superfluous = superfluousAttempt(state, role, options);
  const id = state.nextId;
  const effects: AttemptsEffect[] = [{ kind: 'Connect', id, role }];
  if (superfluous !== null) effects.unshift(abandon(superfluous.id));
  const attempts = state.attempts.filter((each) => each !== superfluous);
  const interval = state.interval[role];
  const fastRetry = now - state.hurrySinceMs < options.fastRetryMs;
  const grown = fastRetry ? interval : Math.min(interval * 1.25, intervalLimit(state, now, options));
  const wait = Math.max(interval, askPause(state, role, now, options));
  return {
    state: {
      ...state,
      nextId: id + 1,
      attempts: [
        ...attempts,
        { id, role, startedMs: now, phase: 'connecting', adoptAtMs: Number.POSITIVE_INFINITY },
      ],
      due: { ...state.due, [role]: now + wait * spread(id, options) },
      interval: { ...state.interval, [role]: grown },
    },
    effects,
  };
}

/** Which attempt has to make room for another one at this port; null: there is room. */
function superfluousAttempt(state: AttemptsState, role: PortRole, options: AttemptsOptions): Attempt | null {
  const mine = state.attempts.filter((each) => each.role === role);
  const asking = mine.filter((each) => each.phase === 'asking');
  if (asking.length >= options.askingMax) return leastMissed(asking);
  if (mine.length < options.inFlightMax) return null;
  // The oldest, but rather one that is not even connected: an open connection may answer any moment.
  return mine.find((each) => each.phase === 'connecting') ?? mine[0]!;
}

/**
 * The oldest stays, since it is the next to be answered; so does the newest. Of the others the one goes that leaves the
 * smallest gap: the ages of those that stay are spread evenly over short and long times. In the order of their start.
 */
function leastMissed(asking: readonly Attempt[]): Attempt {
  let found = asking[asking.length - 1]!;
  let smallest = Number.POSITIVE_INFINITY;
  for (let i = 1; i < asking.length - 1; i++) {
    const gap = asking[i + 1]!.startedMs - asking[i - 1]!.startedMs;
    if (gap < smallest) {
      smallest = gap;
      found = asking[i]!;
    }
  }
  return found;
}

/** Doubt needs one answer from the adopted port, not more. */
function wantsAttempt(state: AttemptsState, role: PortRole): boolean {
  return !state.attempts.some((each) => each.phase === 'standby' && each.role === role);
}

function withAttempt(state: AttemptsState, changed: Attempt): AttemptsState {
  return { ...state, attempts: state.attempts.map((each) => (each.id === changed.id ? changed : each)) };
}

function abandon(id: number): AttemptsEffect {
  return { kind: 'Abandon', id };
}

function after(effects: readonly AttemptsEffect[], step: AttemptsStep): AttemptsStep {
  return { state: step.state, effects: [...effects, ...step.effects] };
}

function unchanged(state: AttemptsState): AttemptsStep {
  return { state, effects: [] };
}

function assertNever(input: never): never {
  throw new Error(`unknown input ${JSON.stringify(input)}`);
}
