/** Calls of processes to the witness: each can take long, get lost on the way there or back, or be refused. */
import type { Incarnation, ServerName } from '../pair/incarnation.ts';
import type { PairTiming } from '../pair/types.ts';
import type { SeededRandom } from '../testing/seeded-random.ts';
import type { EventQueue } from './event-queue.ts';

/** A call of the witness that has no answer after this is given up: its outcome is unknown. */
const GIVE_UP_MS = 500;

/**
 * Calls by one process in one lease. In peace a solo holder of two disk sets writes three times for each; one that is refused and
 * told at once tries again after a pause.
 */
export const CALLS_PER_LEASE_MAX = 60;

/** A process that calls. */
interface Caller {
  readonly me: Incarnation;
  readonly state: { readonly identity: { readonly server: ServerName } };
}

export class ApiCalls {
  readonly #queue: EventQueue;
  readonly #random: SeededRandom;
  readonly #timing: PairTiming;
  readonly #reached: (server: ServerName) => void;
  /** Servers that cannot reach the API now. */
  readonly without = new Set<ServerName>();
  /** Runs that cannot reach it although another run of their server can: on another node, say. */
  readonly runsWithout = new Set<Incarnation>();
  /** Connections to the API are refused: surely nothing was executed, and the caller hears of it at once. */
  refuses = false;
  /** Answers of the API that come this much later, in ms; a call is given up after `giveUpMs`. */
  answersLateMs: { readonly server: ServerName; readonly ms: number } | null = null;
  giveUpMs = GIVE_UP_MS;
  /** It answers everybody at once. */
  prompt = false;
  /** To the witness, by who sent them. */
  readonly requests = new Map<Incarnation, number>();
  readonly #calledTooOften: (who: Incarnation) => void;
  /** How often a process has called since then. */
  readonly #lately = new Map<Incarnation, { since: number; calls: number }>();

  /** `reached`: the API is back for that server. `calledTooOften`: more than CALLS_PER_LEASE_MAX times in a lease. */
  constructor(
    queue: EventQueue,
    random: SeededRandom,
    timing: PairTiming,
    reached: (server: ServerName) => void,
    calledTooOften: (who: Incarnation) => void,
  ) {
    this.#queue = queue;
    this.#random = random;
    this.#timing = timing;
    this.#reached = reached;
    this.#calledTooOften = calledTooOften;
  }

  isCutOff({ me, state }: Caller): boolean {
    return this.without.has(state.identity.server) || this.runsWithout.has(me);
  }

  lose(server: ServerName, forMs: number): void {
    this.without.add(server);
    this.#queue.after(forMs, () => this.reach(server));
  }

  reach(server: ServerName): void {
    if (this.without.delete(server)) this.#reached(server);
  }

  /** No faults any more; servers are reached one by one. */
  heal(): void {
    this.runsWithout.clear();
    this.answersLateMs = null;
    this.prompt = false;
  }

  #count(me: Incarnation, leaseMs: number): void {
    this.requests.set(me, (this.requests.get(me) ?? 0) + 1);
    const { now } = this.#queue;
    const lately = this.#lately.get(me);
    if (lately === undefined || now - lately.since >= leaseMs) this.#lately.set(me, { since: now, calls: 1 });
    else if (++lately.calls === CALLS_PER_LEASE_MAX + 1) this.#calledTooOften(me);
  }

  /** Way there, work, way back; each can take long, and either can be lost. */
  call<T>(from: Caller, work: () => T, answer: (outcome: T | { kind: 'unknown' }) => void, refused: T): void {
    const random = this.#random;
    const queue = this.#queue;
    const { leaseMs } = this.#timing;
    this.#count(from.me, leaseMs);
    if (this.prompt) {
      queue.after(random.between(1, 5), () => answer(work()));
      return;
    }
    if (this.refuses) {
      queue.after(random.between(0.5, 5), () => answer(refused));
      return;
    }
    const cut = this.isCutOff(from);
    let answered = false;
    const once = (outcome: T | { kind: 'unknown' }) => {
      if (answered) return;
      answered = true;
      answer(outcome);
    };
    queue.after(this.giveUpMs, () => once({ kind: 'unknown' }));
    const lost = cut ? random.chance(0.6) : random.chance(0.005);
    if (lost) return;
    const there = cut ? random.between(0, 3 * leaseMs) : random.delay(3, 3 * leaseMs);
    queue.after(there, () => {
      const outcome = work();
      const answerLost = cut || this.isCutOff(from) || random.chance(0.01);
      if (answerLost) return;
      const usualMs = random.delay(3, 1000);
      const late = this.answersLateMs;
      const lateMs = late?.server === from.state.identity.server ? late.ms : 0;
      queue.after(Math.max(usualMs, lateMs), () => once(outcome));
    });
  }
}
