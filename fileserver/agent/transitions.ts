/**
 * Durations of changes of owner, phase by phase, as this server saw them: for log, status, metrics and the Lease's annotation.
 * Decides nothing.
 */
import type { ServerName } from '../../pair/incarnation.ts';
import { type TraceEvent, TransitionCause } from '../../pair/types.ts';
import type { Transition, TransitionPhase } from '../witness/witness.ts';

//   detected   claiming   owned            opened (verify, listen, replay)      first request answered
//      |--------------------|---------------------|-----------------------------------|
//             claim            verify listen replay            firstReply
//
// and on the side that gives a disk set away:
//
//   quiescing              closed                released
//      |----------------------|----------------------|
//            quiesce                  release

export interface HomeTransition extends Transition {
  readonly home: ServerName;
  /** When the first phase began, ms on CLOCK_BOOTTIME: comparable between processes of one machine only. */
  readonly startedBootMs: number;
}

/** A hand-over as its giver saw it. */
export interface Handover {
  readonly home: ServerName;
  readonly to: ServerName | null;
  readonly epoch: number;
  readonly at: string;
  readonly startedBootMs: number;
  readonly phases: readonly TransitionPhase[];
}

interface Started {
  readonly at: string;
  readonly bootMs: number;
  readonly cause: TransitionCause;
  readonly reason: string;
}

export class Transitions {
  readonly #server: ServerName;
  readonly #wallClock: () => string;
  readonly #started = new Map<ServerName, Started>();
  readonly #latest = new Map<ServerName, HomeTransition>();
  readonly #handovers = new Map<ServerName, Handover>();
  #lastHome: ServerName | null = null;

  /** `wallClock`: RFC 3339 with milliseconds. */
  constructor(server: ServerName, wallClock: () => string) {
    this.#server = server;
    this.#wallClock = wallClock;
  }

  /** The newest transition to this server of that disk set; null if there was none in this run. */
  of(home: ServerName): HomeTransition | null {
    return this.#latest.get(home) ?? null;
  }

  /** The newest transition to this server of either disk set. */
  get last(): HomeTransition | null {
    return this.#lastHome === null ? null : this.of(this.#lastHome);
  }

  handoverOf(home: ServerName): Handover | null {
    return this.#handovers.get(home) ?? null;
  }

  traced(home: ServerName, event: TraceEvent, now: number): void {
    switch (event.name) {
      case 'detected':
        this.#started.set(home, {
          at: this.#wallClock(),
          bootMs: now,
          cause: event.cause,
          reason: event.message,
        });
        return;
      case 'owned':
        this.#owned(home, event.epoch, event.cause, now);
        return;
      case 'quiescing':
        this.#handovers.set(home, {
          home,
          to: event.to,
          epoch: event.epoch,
          at: this.#wallClock(),
          startedBootMs: now,
          phases: [],
        });
        return;
      case 'released':
        this.#handoverPhase(home, 'release', now);
    }
  }

  /** The data thread reported these phases, the last of which has just ended. */
  opened(home: ServerName, phases: readonly { readonly name: string; readonly tookMs: number }[]): void {
    for (const { name, tookMs } of phases) this.#append(home, name, tookMs);
  }

  firstReply(home: ServerName, atBootMs: number): void {
    const transition = this.#latest.get(home);
    if (transition === undefined || transition.phases.some((phase) => phase.name === 'firstReply')) return;
    this.#append(home, 'firstReply', atBootMs - transition.startedBootMs - endOf(transition.phases));
  }

  closed(home: ServerName, now: number): void {
    this.#handoverPhase(home, 'quiesce', now);
  }

  #owned(home: ServerName, epoch: number, cause: TransitionCause, now: number): void {
    const started = this.#started.get(home) ?? { at: this.#wallClock(), bootMs: now, cause, reason: '' };
    this.#started.delete(home);
    this.#lastHome = home;
    this.#latest.set(home, {
      home,
      kind: this.#kindOf(home, cause),
      cause,
      ...(started.reason === '' ? {} : { reason: started.reason }),
      epoch,
      to: this.#server,
      at: started.at,
      startedBootMs: started.bootMs,
      phases: [{ name: 'claim', atMs: 0, tookMs: rounded(now - started.bootMs) }],
    });
  }

  #kindOf(home: ServerName, cause: TransitionCause): Transition['kind'] {
    if (home !== this.#server) return 'Takeover';
    const own = cause === TransitionCause.Unowned || cause === TransitionCause.Restarted;
    return own ? 'Start' : 'Giveback';
  }

  #append(home: ServerName, name: string, tookMs: number): void {
    const transition = this.#latest.get(home);
    if (transition === undefined) return;
    const phase = { name, atMs: rounded(endOf(transition.phases)), tookMs: rounded(tookMs) };
    this.#latest.set(home, { ...transition, phases: [...transition.phases, phase] });
  }

  #handoverPhase(home: ServerName, name: 'quiesce' | 'release', now: number): void {
    const handover = this.#handovers.get(home);
    if (handover === undefined || handover.phases.some((phase) => phase.name === name)) return;
    const atMs = endOf(handover.phases);
    const phase = { name, atMs: rounded(atMs), tookMs: rounded(now - handover.startedBootMs - atMs) };
    this.#handovers.set(home, { ...handover, phases: [...handover.phases, phase] });
  }
}

function endOf(phases: readonly TransitionPhase[]): number {
  const last = phases.at(-1);
  return last === undefined ? 0 : last.atMs + last.tookMs;
}

/** Microseconds are noise to a reader of this. */
function rounded(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
