/** State and inputs of the client's search for the port of its disk set, and how fast it may go. */
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
   * Time between two attempts at one port: intervalMs for fastRetryMs, since most failovers are over by then; growing to
   * intervalMsMax until searchWindowMs have passed.
   */
  readonly intervalMs: number;
  /** Upper limit of the growing interval. */
  readonly intervalMsMax: number;
  /** How long attempts come at `intervalMs`. */
  readonly fastRetryMs: number;
  /** From here on attempts back off up to `backOffMsMax`. */
  readonly searchWindowMs: number;
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
  fastRetryMs: 500,
  searchWindowMs: 10_000,
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

export type Mode = 'stopped' | 'searching' | 'serving' | 'suspect';

export interface AttemptsState {
  readonly mode: Mode;
  readonly roles: readonly PortRole[];
  /** The connection that carries the calls; null while searching. */
  readonly adopted: { readonly id: number; readonly role: PortRole; readonly sinceMs: number } | null;
  /** Start of the present doubt or search. */
  readonly sinceMs: number;
  /** Start of the hurry: of the doubt or search, or of a call that came later. */
  readonly hurrySinceMs: number;
  /** The primary port has refused or closed since the doubt or search began. */
  readonly primaryDenied: boolean;
  readonly attempts: readonly Attempt[];
  /** When the next attempt at each port is due; meaningful while suspect or searching. */
  readonly due: Readonly<Record<PortRole, number>>;
  readonly interval: Readonly<Record<PortRole, number>>;
  readonly nextId: number;
  /** How long the adopted connection may be silent now. */
  readonly patienceMs: number;
  /** How long it may stand still now before a new connection to the same port replaces it. */
  readonly samePortPatienceMs: number;
  /** Adopted connections in a row that died young, before any call was answered on them. */
  readonly fruitless: number;
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
    fruitless: 0,
  };
}
