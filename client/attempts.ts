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
// An answer is the reply to an NFS NULL call and, once a file handle of the disk set is known, the proof that the
// server holds it (disk-set-identity.ts). An opened connection is no answer: the kernel of a stopped server still
// opens connections.
//
// Why the same port's answer does not win at once while doubting: the server is alive then, and only slow. A new connection would
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
import type { PortRole } from './transport-address.ts';

/** How the client searches for the serving port. All times are ms; `ATTEMPTS_DEFAULTS` has the defaults. */
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
   * Time without progress after which a new connection to the same port replaces one that is still open, in ms: at first, and at
   * most after it has doubled with each replacement.
   */
  readonly samePortPatienceMs: number;
  /** Upper limit of `samePortPatienceMs` as it doubles. */
  readonly samePortPatienceMsMax: number;
  /** How long an unproven answer from the secondary port waits for the primary port, in ms. */
  readonly unprovenWaitMs: number;
  /**
   * Time between two attempts at one port: intervalMs for hastyMs, since most failovers are over by then; growing to
   * intervalMsMax until eagerMs have passed.
   */
  readonly intervalMs: number;
  /** Upper limit of the growing interval. */
  readonly intervalMsMax: number;
  /** How long attempts come at `intervalMs`. */
  readonly hastyMs: number;
  /** From here on attempts back off up to `backOffMsMax`. */
  readonly eagerMs: number;
  /** Interval at most when the search takes longer, or when adopted connections die without an answer. */
  readonly backOffMsMax: number;
  /**
   * A connection request without an answer is abandoned after this time, later in a long search after a quarter of its
   * duration. A connection that is open is never abandoned for its age: a server under load answers late.
   */
  readonly attemptMsMax: number;
  /** Attempts in flight at one port at most; the oldest makes room. */
  readonly inFlightMax: number;
  /** Open connections at one port that wait for an answer at most. */
  readonly askingMax: number;
  /** Longest time between two attempts at a port that opens connections and does not answer, in ms. */
  readonly askPauseMsMax: number;
  /** Spreads the clients of a failed server over time. Any number. */
  readonly seed: number;
}

export const ATTEMPTS_DEFAULTS: AttemptsOptions = {
  patienceMs: 50,
  patienceMsMax: 1000,
  calmMs: 5000,
  samePortPatienceMs: 1000,
  samePortPatienceMsMax: 60_000,
  unprovenWaitMs: 1000,
  intervalMs: 20,
  intervalMsMax: 50,
  hastyMs: 500,
  eagerMs: 10_000,
  backOffMsMax: 500,
  attemptMsMax: 1000,
  inFlightMax: 24,
  askingMax: 6,
  askPauseMsMax: 1500,
  seed: 0,
};

/** connecting: no answer to the connection request. asking: open, not answered. standby: answered, may be adopted later. */
export type AttemptPhase = 'connecting' | 'asking' | 'standby';

export interface Attempt {
  readonly id: number;
  readonly role: PortRole;
  readonly startedMs: number;
  readonly phase: AttemptPhase;
  /** When a standby is adopted; Infinity in other phases. */
  readonly adoptAtMs: number;
}

export type Mode = 'stopped' | 'seeking' | 'serving' | 'doubting';

export interface AttemptsState {
  readonly mode: Mode;
  readonly roles: readonly PortRole[];
  /** The connection that carries the calls; null while seeking. */
  readonly adopted: { readonly id: number; readonly role: PortRole; readonly sinceMs: number } | null;
  /** Start of the present doubt or search. */
  readonly sinceMs: number;
  /** Start of the hurry: of the doubt or search, or of a call that came later. */
  readonly hurrySinceMs: number;
  /** The primary port has refused or closed since the doubt or search began. */
  readonly primaryDenied: boolean;
  readonly attempts: readonly Attempt[];
  /** When the next attempt at each port is due; meaningful while doubting or seeking. */
  readonly due: Readonly<Record<PortRole, number>>;
  readonly interval: Readonly<Record<PortRole, number>>;
  readonly nextId: number;
  /** How long the adopted connection may be silent now. */
  readonly patienceMs: number;
  /** How long it may stand still now before a new connection to the same port replaces it. */
  readonly samePortPatienceMs: number;
  /** Adopted connections in a row that died young, before any call was answered on them. */
  readonly barren: number;
}

export type AttemptsInput =
  | { readonly kind: 'Start' }
  | { readonly kind: 'Stop' }
  | { readonly kind: 'Tick' }
  /** A call is outstanding and the adopted connection has said nothing for `patienceMs`. */
  | { readonly kind: 'Silent' }
  /** The adopted connection received something. `progress`: the answer to a call. */
  | { readonly kind: 'Heard'; readonly progress: boolean }
  /** The adopted connection could send some of what waited to be sent: the server's machine lives, perhaps only that. */
  | { readonly kind: 'Sent' }
  /** A call begins to wait: a search that backed off hurries again. */
  | { readonly kind: 'Wanted' }
  | { readonly kind: 'Connected'; readonly id: number }
  /** `proven`: the server holds a known file handle; false: none is known yet. */
  | { readonly kind: 'Answered'; readonly id: number; readonly proven: boolean }
  /** A connection ended: refused, reset, closed, a wrong answer, or a wrong server; also the adopted one. */
  | { readonly kind: 'Lost'; readonly id: number };

export type AttemptsEffect =
  | { readonly kind: 'Connect'; readonly id: number; readonly role: PortRole }
  /** Send NULL on an attempt's connection that has just opened, and ask whether the server holds the disk set. */
  | { readonly kind: 'Ask'; readonly id: number }
  /** Send NULL on the adopted connection: alive, or only slow? */
  | { readonly kind: 'AskAdopted' }
  /** Destroy the connection; whatever still arrives on it is ignored. */
  | { readonly kind: 'Abandon'; readonly id: number }
  /**
   * This connection carries the calls from now on: resend the unanswered ones, in order. `fruitless`: the last one to
   * this port stood still, or ended without an answer.
   */
  | { readonly kind: 'Adopt'; readonly id: number; readonly role: PortRole; readonly fruitless: boolean };

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
    hurrySinceMs: 0,
    primaryDenied: false,
    attempts: [],
    due: { primary: 0, secondary: 0 },
    interval: { primary: options.intervalMs, secondary: options.intervalMs },
    nextId: 1,
    patienceMs: options.patienceMs,
    samePortPatienceMs: options.samePortPatienceMs,
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
  if (state.mode !== 'seeking' && state.mode !== 'doubting') return null;
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
    mode: 'seeking',
    adopted: null,
    sinceMs: now,
    hurrySinceMs: now,
    primaryDenied: false,
    ...schedule(now + barrenPause(state.barren, options), options),
  };
  return proceed(fresh, now, options);
}

function doubt(state: AttemptsState, now: number, options: AttemptsOptions): AttemptsStep {
  const doubting: AttemptsState = {
    ...state,
    mode: 'doubting',
    sinceMs: now,
    hurrySinceMs: now,
    primaryDenied: false,
    ...schedule(now, options),
  };
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
  const calm = progress && !doubted && isCalm(state, now, options);
  const samePortPatienceMs = calm ? options.samePortPatienceMs : state.samePortPatienceMs;
  const barren = progress ? 0 : state.barren;
  const same =
    patienceMs === state.patienceMs &&
    samePortPatienceMs === state.samePortPatienceMs &&
    barren === state.barren;
  if (!doubted && same) return unchanged(state);
  return {
    state: { ...state, mode: 'serving', patienceMs, samePortPatienceMs, barren, attempts: [] },
    effects: state.attempts.map((attempt) => abandon(attempt.id)),
  };
}

/** A server's machine takes data as long as its buffers have room, so the search goes on; but nothing is restarted. */
function sent(state: AttemptsState, now: number): AttemptsStep {
  if (state.mode !== 'doubting') return unchanged(state);
  const adoptAtMs = now + state.samePortPatienceMs;
  const attempts = state.attempts.map((each) =>
    each.phase === 'standby' && each.role === state.adopted?.role ? { ...each, adoptAtMs } : each,
  );
  return { state: { ...state, attempts }, effects: [] };
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
  return progress && isCalm(state, now, options) ? options.patienceMs : state.patienceMs;
}

function isCalm(state: AttemptsState, now: number, options: AttemptsOptions): boolean {
  return now - state.sinceMs >= options.calmMs;
}

function hurry(state: AttemptsState, now: number, options: AttemptsOptions): AttemptsStep {
  if (state.mode !== 'seeking' || state.barren > 0 || now - state.hurrySinceMs < options.eagerMs)
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

/** When an attempt that has just been answered may be adopted, unless something else happens before. */
function adoptionTime(
  state: AttemptsState,
  role: PortRole,
  proven: boolean,
  now: number,
  options: AttemptsOptions,
): number {
  if (state.adopted?.role === role) return now + state.samePortPatienceMs;
  const waits = !proven && role === 'secondary' && !state.primaryDenied;
  return waits ? state.sinceMs + options.unprovenWaitMs : now;
}

function adopt(state: AttemptsState, chosen: Attempt, now: number, options: AttemptsOptions): AttemptsStep {
  const effects: AttemptsEffect[] = [];
  // The old connection ends before the new one speaks: two must never carry calls at once.
  if (state.adopted) effects.push(abandon(state.adopted.id));
  for (const attempt of state.attempts) if (attempt.id !== chosen.id) effects.push(abandon(attempt.id));
  const again = state.adopted?.role === chosen.role;
  effects.push({ kind: 'Adopt', id: chosen.id, role: chosen.role, fruitless: again || state.barren > 0 });
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
      barren: state.barren + 1,
    },
    effects,
  };
}

function lost(state: AttemptsState, id: number, now: number, options: AttemptsOptions): AttemptsStep {
  if (state.adopted?.id === id) {
    const standby = state.attempts.find(
      (each) => each.phase === 'standby' && each.role === state.adopted?.role,
    );
    const barren = now - state.adopted.sinceMs < options.backOffMsMax ? state.barren : 0;
    const without: AttemptsState = { ...state, adopted: null, barren };
    if (standby) return adopt(without, standby, now, options);
    // The search that the doubt began goes on; its start is the start of the doubt.
    if (state.mode === 'doubting') {
      const seeking: AttemptsState = { ...without, mode: 'seeking' };
      return proceed(state.adopted.role === 'primary' ? primaryDenied(seeking, now) : seeking, now, options);
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
  if (state.mode !== 'seeking' && state.mode !== 'doubting') return unchanged(state);
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
  const hasty = now - state.hurrySinceMs < options.hastyMs;
  const grown = hasty ? interval : Math.min(interval * 1.25, intervalLimit(state, now, options));
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

/**
 * An open connection that does not answer belongs to a stopped server, to one under load, or to a machine that is gone.
 * More of the same would only pile up, so the pause grows with the time that has passed.
 */
function askPause(state: AttemptsState, role: PortRole, now: number, options: AttemptsOptions): number {
  const oldest = state.attempts.find((each) => each.role === role && each.phase === 'asking');
  if (oldest === undefined) return 0;
  // Beside a connection that is only slow there is no hurry: nothing wins here soon.
  const least = state.adopted?.role === role ? options.attemptMsMax : options.attemptMsMax / 4;
  return Math.max(least, Math.min((now - oldest.startedMs) / 2, options.askPauseMsMax));
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

function intervalLimit(state: AttemptsState, now: number, options: AttemptsOptions): number {
  return now - state.hurrySinceMs < options.eagerMs ? options.intervalMsMax : options.backOffMsMax;
}

/** Doubt needs one answer from the adopted port, not more. */
function wantsAttempt(state: AttemptsState, role: PortRole): boolean {
  return !state.attempts.some((each) => each.phase === 'standby' && each.role === role);
}

function expiry(state: AttemptsState, attempt: Attempt, options: AttemptsOptions): number {
  if (attempt.phase !== 'connecting') return Number.POSITIVE_INFINITY;
  return attempt.startedMs + Math.max(options.attemptMsMax, (attempt.startedMs - state.sinceMs) / 4);
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
