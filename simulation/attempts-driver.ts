/** Drives the client's plan of attempts (client/attempts.ts) in simulated time, as client/failover-connection.ts does in real time. */
import { attemptsWakeAt, stepAttempts } from '../client/attempts.ts';
import {
  type AttemptsEffect,
  type AttemptsInput,
  type AttemptsOptions,
  type AttemptsState,
  initialAttempts,
} from '../client/attempts-state.ts';
import type { PortRole } from '../client/transport-address.ts';
import type { EventQueue } from './event-queue.ts';

/** Carries out what the plan says. */
export interface AttemptsHands {
  readonly connect: (id: number, role: PortRole) => void;
  /** Is this connection, which has opened, one to the right server? */
  readonly ask: (id: number) => void;
  /** Does the adopted connection still answer? */
  readonly askAdopted: (id: number) => void;
  readonly abandon: (id: number) => void;
  /** It carries the calls from now on. */
  readonly adopt: (id: number, fruitless: boolean) => void;
}

export class AttemptsDriver {
  /** The connection that carries the calls; null: it has ended. */
  adopted: number | null = null;
  /** When something arrived on it last. */
  heardAt = 0;
  state: AttemptsState;
  readonly #queue: EventQueue;
  readonly #options: AttemptsOptions;
  readonly #hands: AttemptsHands;
  #wakeAt: number | null = null;

  constructor(queue: EventQueue, options: AttemptsOptions, hands: AttemptsHands) {
    this.#queue = queue;
    this.#options = options;
    this.#hands = hands;
    this.state = initialAttempts(['primary', 'secondary'], options);
  }

  input(input: AttemptsInput): void {
    const { state, effects } = stepAttempts(this.state, input, this.#queue.now, this.#options);
    this.state = state;
    for (const effect of effects) this.#execute(effect);
    const at = attemptsWakeAt(this.state, this.#options);
    if (at === null || at === this.#wakeAt) return;
    this.#wakeAt = at;
    this.#queue.after(Math.max(0.01, at - this.#queue.now), () => {
      if (this.#wakeAt !== at) return;
      this.#wakeAt = null;
      this.input({ kind: 'Tick' });
    });
  }

  /** The plan has not given it up yet. */
  isAttempt(id: number): boolean {
    return this.state.attempts.some((attempt) => attempt.id === id);
  }

  /** `progress`: a call was answered. */
  heard(progress: boolean): void {
    this.heardAt = this.#queue.now;
    this.input({ kind: 'Heard', progress });
  }

  /** Nothing has been heard for as long as the plan has patience, since then or later. */
  isSilentSince(sinceMs: number): boolean {
    return this.#queue.now - Math.max(sinceMs, this.heardAt) >= this.state.patienceMs - 0.001;
  }

  #execute(effect: AttemptsEffect): void {
    switch (effect.kind) {
      case 'Connect':
        this.#hands.connect(effect.id, effect.role);
        return;
      case 'Ask':
        this.#hands.ask(effect.id);
        return;
      case 'AskAdopted':
        this.#hands.askAdopted(this.adopted!);
        return;
      case 'Abandon':
        this.#hands.abandon(effect.id);
        return;
      case 'Adopt':
        this.adopted = effect.id;
        this.heardAt = this.#queue.now;
        this.#hands.adopt(effect.id, effect.fruitless);
    }
  }
}
