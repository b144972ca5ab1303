// The plan of attempts: how a client finds the port at which its disk set is served, before, during and after a
// failover. Pure: `now` and what happened go in, effects come out as data; the driver (failover-connection.ts)
// owns sockets and timers.
//
// The idea: at most one of the two ports is open, and nobody tells the client which. So it asks both, again and
// again, until one answers. A refusal is an answer (this one not, now), silence is not: a closed Kubernetes
// Service port swallows most connection requests, and the kernel repeats a swallowed one only after a second. So
// attempts overlap: the next starts while earlier ones still wait, and the first that answers is adopted.
//
//   serving  -- silent -->  doubting  -- the other port answers ----------------> serving (there)
//      ^                       |  |   -- adopted connection heard again --------> serving (here)
//      |                       |   `---- silent too long, same port answers ----> serving (new connection)
//      |                       v lost
//      `--- one answers --- seeking  <-- lost -- serving;  start
//
// An answer is the reply to an NFS NULL call, not the opened connection: the kernel of a stopped server still
// opens connections.
//
// Why the same port's answer does not win at once while doubting: the server is alive then, and only slow. A new
// connection would carry a WRITE again while the first copy may still sit unread in the server's receive buffer,
// to be executed after a later WRITE to the same place. So the old connection gets a second of a server that is
// known to live: counted from the first answer, not from the doubt, since a server may have been frozen for longer
// than that and come back this instant. (FilerPair leaves it: protocol/succession.ts. Other servers do
// not.) The *other* port's answer does win at once: it proves that
// the earlier owner is fenced and executes nothing any more.
import type { PortRole } from './transport-address.ts';

export interface AttemptsOptions {
  /** Silence with a call outstanding that starts the doubt, in ms. */
  readonly patienceMs: number;
  /**
   * A slow but living server is asked less and less often, down to once in this time; half of it if it does
   * answer calls. That costs nothing: a crash breaks the connection, and silence is no takeover before the lease
   * has run out.
   */
  readonly patienceMsMax: number;
  /** After this time without a doubt the patience is back where it began, in ms. */
  readonly calmMs: number;
  /**
   * A new connection to the same port replaces one that is still open when it has answered for so long, in ms, and
   * the old one has not: the time that a server that was frozen gets to answer what lies unread in its sockets.
   */
  readonly samePortPatienceMs: number;
  /**
   * Time between two attempts at one port: intervalMs for hastyMs, since most failovers are over by then; growing to
   * intervalMsMax until eagerMs have passed.
   */
  readonly intervalMs: number;
  readonly intervalMsMax: number;
  readonly hastyMs: number;
  readonly eagerMs: number;
  /** Interval at most when the search takes longer, or when adopted connections die without an answer. */
  readonly backOffMsMax: number;
  /** An attempt without an answer is abandoned after this time (covers round trips up to it). */
  readonly attemptMsMax: number;
  /** Attempts in flight at one port at most; the oldest makes room. */
  readonly inFlightMax: number;
  /** Spreads the clients of a failed server over time. Any number. */
  readonly seed: number;
}

export const ATTEMPTS_DEFAULTS: AttemptsOptions = {
  patienceMs: 50,
  patienceMsMax: 1000,
  calmMs: 5000,
  samePortPatienceMs: 1000,
  intervalMs: 20,
  intervalMsMax: 50,
  hastyMs: 500,
  eagerMs: 10_000,
  backOffMsMax: 500,
  attemptMsMax: 1000,
  inFlightMax: 24,
  seed: 0,
};

/** connecting: no answer to the connection request. asking: open, NULL not answered. standby: answered, not needed. */
export type AttemptPhase = 'connecting' | 'asking' | 'standby';

export interface Attempt {
  readonly id: number;
  readonly role: PortRole;
  readonly startedMs: number;
  readonly phase: AttemptPhase;
  /** When it answered NULL, ms; meaningful in phase standby. */
  readonly answeredMs: number;
}

export type Mode = 'stopped' | 'seeking' | 'serving' | 'doubting';

export interface AttemptsState {
  readonly mode: Mode;
  readonly roles: readonly PortRole[];
  /** The connection that carries the calls; null while seeking. */
  readonly adopted: { readonly id: number; readonly role: PortRole; readonly sinceMs: number } | null;
  /** Start of the present doubt or search. */
  readonly sinceMs: number;
  readonly attempts: readonly Attempt[];
  /** When the next attempt at each port is due; meaningful while doubting or seeking. */
  readonly due: Readonly<Record<PortRole, number>>;
  readonly interval: Readonly<Record<PortRole, number>>;
  readonly nextId: number;
  /** How long the adopted connection may be silent now. */
  readonly patienceMs: number;
  /** Adopted connections in a row that died young, before any call was answered on them. */
  readonly barren: number;
}

export type AttemptsInput =
  | { readonly kind: 'Start' }
  | { readonly kind: 'Stop' }
  | { readonly kind: 'Tick' }
  /** A call is outstanding and the adopted connection has said nothing for `patienceMs`. */
  | { readonly kind: 'Silent' }
  /** The adopted connection spoke. `progress`: it answered a call, not only our own NULL. */
  | { readonly kind: 'Heard'; readonly progress: boolean }
  /** A call begins to wait: whoever backed off hurries again. */
  | { readonly kind: 'Wanted' }
  | { readonly kind: 'Connected'; readonly id: number }
  | { readonly kind: 'Answered'; readonly id: number }
  /** A connection ended: refused, reset, closed, or a wrong answer; also the adopted one. */
  | { readonly kind: 'Lost'; readonly id: number };

export type AttemptsEffect =
  | { readonly kind: 'Connect'; readonly id: number; readonly role: PortRole }
  /** Send NULL on an attempt's connection that has just opened. */
  | { readonly kind: 'Ask'; readonly id: number }
  /** Send NULL on the adopted connection: alive, or only slow? */
  | { readonly kind: 'AskAdopted' }
  /** Destroy the connection; whatever still arrives on it is ignored. */
  | { readonly kind: 'Abandon'; readonly id: number }
  /** This connection carries the calls from now on: resend the unanswered ones, in order. */
  | { readonly kind: 'Adopt'; readonly id: number; readonly role: PortRole };

export interface AttemptsStep {
  readonly state: AttemptsState;
  /** In the order in which they are to be executed. */
  readonly effects: readonly AttemptsEffect[];
}

export function initialAttempts(roles: readonly PortRole[], options: AttemptsOptions): AttemptsState {
  return {
    mode: 'stopped',
    roles,
    adopted: null,
    sinceMs: 0,
    attempts: [],
    due: { primary: 0, secondary: 0 },
    interval: { primary: options.intervalMs, secondary: options.intervalMs },
    nextId: 1,
    patienceMs: options.patienceMs,
    barren: 0,
  };
}

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
    case 'Wanted':
      return hurry(state, now, options);
    case 'Connected':
      return connected(state, input.id);
    case 'Answered':
      return answered(state, input.id, now, options);
    case 'Lost':
      return lost(state, input.id, now, options);
    default:
      return assertNever(input);
  }
}

/** When the driver must send a Tick; null = not before something else happens. */
export function attemptsWakeAt(state: AttemptsState, options: AttemptsOptions): number | null {
  if (state.mode !== 'seeking' && state.mode !== 'doubting') return null;
  let wake = Number.POSITIVE_INFINITY;
  for (const role of state.roles) if (wantsAttempt(state, role)) wake = Math.min(wake, state.due[role]);
  for (const attempt of state.attempts) {
    const limit =
      attempt.phase === 'standby'
        ? attempt.answeredMs + options.samePortPatienceMs
        : expiry(attempt, options);
    wake = Math.min(wake, limit);
  }
  return Number.isFinite(wake) ? wake : null;
}

function seek(state: AttemptsState, now: number, options: AttemptsOptions): AttemptsStep {
  const fresh: AttemptsState = {
    ...state,
    mode: 'seeking',
    adopted: null,
    sinceMs: now,
    ...schedule(now + barrenPause(state.barren, options), options),
  };
  return proceed(fresh, now, options);
}

function doubt(state: AttemptsState, now: number, options: AttemptsOptions): AttemptsStep {
  const doubting: AttemptsState = { ...state, mode: 'doubting', sinceMs: now, ...schedule(now, options) };
  return after([{ kind: 'AskAdopted' }], proceed(doubting, now, options));
}

function stop(state: AttemptsState): AttemptsStep {
  const ids = state.attempts.map((attempt) => attempt.id);
  if (state.adopted) ids.push(state.adopted.id);
  return { state: { ...state, mode: 'stopped', adopted: null, attempts: [] }, effects: ids.map(abandon) };
}

function heard(state: AttemptsState, progress: boolean, now: number, options: AttemptsOptions): AttemptsStep {
  if (state.adopted === null) return unchanged(state);
  const doubted = state.mode === 'doubting';
  const patienceMs = patienceAfter(state, progress, now, options);
  const barren = progress ? 0 : state.barren;
  if (!doubted && patienceMs === state.patienceMs && barren === state.barren) return unchanged(state);
  return {
    state: { ...state, mode: 'serving', patienceMs, barren, attempts: [] },
    effects: state.attempts.map((attempt) => abandon(attempt.id)),
  };
}

function patienceAfter(
  state: AttemptsState,
  progress: boolean,
  now: number,
  options: AttemptsOptions,
): number {
  if (state.mode === 'doubting') {
    const limit = progress ? options.patienceMsMax / 2 : options.patienceMsMax;
    return Math.max(state.patienceMs, Math.min(state.patienceMs * 2, limit));
  }
  return progress && now - state.sinceMs >= options.calmMs ? options.patienceMs : state.patienceMs;
}

function hurry(state: AttemptsState, now: number, options: AttemptsOptions): AttemptsStep {
  if (state.mode !== 'seeking' || state.barren > 0 || now - state.sinceMs < options.eagerMs)
    return unchanged(state);
  return proceed({ ...state, sinceMs: now, ...schedule(now, options) }, now, options);
}

function connected(state: AttemptsState, id: number): AttemptsStep {
  const attempt = state.attempts.find((each) => each.id === id);
  if (attempt?.phase !== 'connecting') return unchanged(state);
  return { state: withAttempt(state, { ...attempt, phase: 'asking' }), effects: [{ kind: 'Ask', id }] };
}

function answered(state: AttemptsState, id: number, now: number, options: AttemptsOptions): AttemptsStep {
  const attempt = state.attempts.find((each) => each.id === id);
  if (!attempt || attempt.phase === 'standby') return unchanged(state);
  if (state.adopted === null || state.adopted.role !== attempt.role)
    return adopt(state, attempt, now, options);
  // One stands by; the others at this port have nothing to add.
  const others = state.attempts.filter((each) => each.role === attempt.role && each.id !== id);
  const rest = state.attempts.filter((each) => each.role !== attempt.role);
  const standing: AttemptsState = {
    ...state,
    attempts: [...rest, { ...attempt, phase: 'standby', answeredMs: now }],
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
  effects.push({ kind: 'Adopt', id: chosen.id, role: chosen.role });
  const adopted = { id: chosen.id, role: chosen.role, sinceMs: now };
  return {
    state: {
      ...state,
      mode: 'serving',
      adopted,
      attempts: [],
      patienceMs: options.patienceMs,
      barren: state.barren + 1,
    },
    effects,
  };
}

function lost(state: AttemptsState, id: number, now: number, options: AttemptsOptions): AttemptsStep {
  if (state.adopted?.id === id) {
    const standby = state.attempts.find((each) => each.phase === 'standby');
    const barren = now - state.adopted.sinceMs < options.backOffMsMax ? state.barren : 0;
    const without: AttemptsState = { ...state, adopted: null, barren };
    if (standby) return adopt(without, standby, now, options);
    // The search that the doubt began goes on; its start is the start of the doubt.
    if (state.mode === 'doubting') return proceed({ ...without, mode: 'seeking' }, now, options);
    return seek(without, now, options);
  }
  const attempts = state.attempts.filter((each) => each.id !== id);
  if (attempts.length === state.attempts.length) return unchanged(state);
  return proceed({ ...state, attempts }, now, options);
}

/** Starts what is due and ends what took too long. */
function proceed(state: AttemptsState, now: number, options: AttemptsOptions): AttemptsStep {
  if (state.mode !== 'seeking' && state.mode !== 'doubting') return unchanged(state);
  const standby = state.attempts.find((each) => each.phase === 'standby');
  if (standby && now >= standby.answeredMs + options.samePortPatienceMs)
    return adopt(state, standby, now, options);
  const effects: AttemptsEffect[] = [];
  const attempts: Attempt[] = [];
  for (const attempt of state.attempts) {
    if (now >= expiry(attempt, options)) effects.push(abandon(attempt.id));
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
  const effects: AttemptsEffect[] = [];
  let attempts = state.attempts;
  const mine = attempts.filter((each) => each.role === role);
  if (mine.length >= options.inFlightMax) {
    // The oldest, but rather one that is not even connected: an open connection may answer any moment.
    const oldest = mine.find((each) => each.phase === 'connecting') ?? mine[0]!;
    effects.push(abandon(oldest.id));
    attempts = attempts.filter((each) => each.id !== oldest.id);
  }
  const id = state.nextId;
  effects.push({ kind: 'Connect', id, role });
  const open = mine.some((each) => each.phase === 'asking');
  const interval = state.interval[role];
  const hasty = now - state.sinceMs < options.hastyMs;
  const grown = hasty ? interval : Math.min(interval * 1.25, intervalLimit(state, now, options));
  // An open connection that does not answer belongs to a stopped server: more of the same would only pile up.
  const wait = open ? Math.max(interval, options.attemptMsMax / 4) : interval;
  return {
    state: {
      ...state,
      nextId: id + 1,
      attempts: [...attempts, { id, role, startedMs: now, phase: 'connecting', answeredMs: 0 }],
      due: { ...state.due, [role]: now + wait * spread(id, options) },
      interval: { ...state.interval, [role]: grown },
    },
    effects,
  };
}

function intervalLimit(state: AttemptsState, now: number, options: AttemptsOptions): number {
  return now - state.sinceMs < options.eagerMs ? options.intervalMsMax : options.backOffMsMax;
}

/** Doubt needs one answer from the adopted port, not more. */
function wantsAttempt(state: AttemptsState, role: PortRole): boolean {
  return !state.attempts.some((each) => each.phase === 'standby' && each.role === role);
}

function expiry(attempt: Attempt, options: AttemptsOptions): number {
  return attempt.phase === 'standby' ? Number.POSITIVE_INFINITY : attempt.startedMs + options.attemptMsMax;
}

function schedule(first: number, options: AttemptsOptions): Pick<AttemptsState, 'due' | 'interval'> {
  return {
    due: { primary: first, secondary: first },
    interval: { primary: options.intervalMs, secondary: options.intervalMs },
  };
}

/**
 * A server that accepts, answers NULL and then closes on the first real call would be dialled in a tight loop.
 * One barren connection is normal (a port that closes as we come); from the second on the pause doubles.
 */
function barrenPause(barren: number, options: AttemptsOptions): number {
  if (barren < 2) return 0;
  return Math.min(options.intervalMs * 2 ** (barren - 2), options.backOffMsMax);
}

/** 0.8..1.2, different for each client and attempt, the same in every run with one seed. */
function spread(id: number, options: AttemptsOptions): number {
  let hash = Math.imul(options.seed ^ id, 0x9e3779b1);
  hash = Math.imul(hash ^ (hash >>> 15), 0x85ebca6b);
  return 0.8 + ((hash >>> 8) / 0x1000000) * 0.4;
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
