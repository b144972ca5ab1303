/**
 * Ten thousand clients of one server that has died, and the moment in which its partner opens the port. All are served within
 * three seconds, and the attempts of those that wait do not become the load. The clients' decisions are the real ones
 * (client/attempts.ts).
 */
import { expect, test } from 'vitest';
import { attemptsWakeAt, stepAttempts } from '../client/attempts.ts';
import {
  ATTEMPTS_DEFAULTS,
  type AttemptsEffect,
  type AttemptsInput,
  type AttemptsOptions,
  type AttemptsState,
  initialAttempts,
} from '../client/attempts-state.ts';
import type { PortRole } from '../client/transport-address.ts';
import { EventQueue } from './event-queue.ts';

// The server takes connections one after the other, and its kernel keeps a queue of those that it has not taken yet. What comes
// when that is full is dropped, and tried again by the client's kernel after a second.

const CLIENTS = 10_000;
const RTT_MS = 0.5;
const SYN_AGAIN_MS = 1000;
/** Node's default backlog. */
const BACKLOG = 511;
/** The work of a connection: to take it, to answer NULL and HOLDS, to end it. A server that does 5,000 a second. */
const CONNECTION_MS = 0.2;
const OPENS_AT_MS = 300;

class Server {
  accepted = 0;
  readonly #queue: EventQueue;
  #busyUntil = 0;
  #waiting = 0;

  constructor(queue: EventQueue) {
    this.#queue = queue;
  }

  get isOpen(): boolean {
    return this.#queue.now >= OPENS_AT_MS;
  }

  get isFull(): boolean {
    return this.#waiting >= BACKLOG;
  }

  /** In the accept queue; `taken` when the server has come to it. */
  connect(taken: () => void): void {
    this.#waiting += 1;
    this.#busyUntil = Math.max(this.#busyUntil, this.#queue.now) + CONNECTION_MS;
    this.#queue.after(this.#busyUntil - this.#queue.now, () => {
      this.#waiting -= 1;
      this.accepted += 1;
      taken();
    });
  }
}

class Client {
  servedAtMs: number | null = null;
  #state: AttemptsState;
  readonly #queue: EventQueue;
  readonly #server: Server;
  readonly #options: AttemptsOptions;
  readonly #alive = new Set<number>();
  #wakeAt: number | null = null;

  constructor(queue: EventQueue, server: Server, options: AttemptsOptions) {
    this.#queue = queue;
    this.#server = server;
    this.#options = options;
    this.#state = initialAttempts(['primary', 'secondary'], options);
    this.#input({ kind: 'Start' });
  }

  #input(input: AttemptsInput): void {
    const { state, effects } = stepAttempts(this.#state, input, this.#queue.now, this.#options);
    this.#state = state;
    for (const effect of effects) this.#execute(effect);
    this.#sleep();
  }

  #execute(effect: AttemptsEffect): void {
    if (effect.kind === 'Connect') {
      this.#alive.add(effect.id);
      this.#queue.after(RTT_MS, () => this.#request(effect.id, effect.role));
    } else if (effect.kind === 'Abandon') this.#alive.delete(effect.id);
    else if (effect.kind === 'Adopt') this.servedAtMs ??= this.#queue.now;
  }

  /** A connection request arrives. */
  #request(id: number, role: PortRole): void {
    if (!this.#alive.has(id)) return;
    const server = this.#server;
    if (role === 'primary' || !server.isOpen) this.#over(id, { kind: 'Lost', id });
    else if (server.isFull) this.#queue.after(SYN_AGAIN_MS, () => this.#request(id, role));
    else {
      this.#input({ kind: 'Connected', id });
      server.connect(() => {
        if (this.#alive.has(id)) this.#input({ kind: 'Answered', id, proven: true });
      });
    }
  }

  #over(id: number, input: AttemptsInput): void {
    this.#alive.delete(id);
    this.#input(input);
  }

  #sleep(): void {
    const at = attemptsWakeAt(this.#state, this.#options);
    if (at === null || at === this.#wakeAt) return;
    this.#wakeAt = at;
    this.#queue.after(Math.max(0.01, at - this.#queue.now), () => {
      if (this.#wakeAt !== at) return;
      this.#wakeAt = null;
      this.#input({ kind: 'Tick' });
    });
  }
}

function outcomeOf(options: Partial<AttemptsOptions>) {
  const queue = new EventQueue();
  const server = new Server(queue);
  const clients = Array.from(
    { length: CLIENTS },
    (_, seed) => new Client(queue, server, { ...ATTEMPTS_DEFAULTS, ...options, seed }),
  );
  queue.runUntil(OPENS_AT_MS + 20_000);
  const times = clients.map((client) => client.servedAtMs ?? Number.POSITIVE_INFINITY);
  return { lastMs: Math.max(...times) - OPENS_AT_MS, accepted: server.accepted };
}

test('are served within three seconds, with few more connections than clients', { timeout: 120_000 }, () => {
  const { lastMs, accepted } = outcomeOf({});
  expect(lastMs).toBeLessThan(3000);
  expect(accepted).toBeLessThan(1.5 * CLIENTS);
});
