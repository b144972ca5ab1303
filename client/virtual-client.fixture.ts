/** The client's plan of attempts, run against two imagined ports in virtual time. */
import { expect } from 'vitest';
import { attemptsWakeAt, stepAttempts } from './attempts.ts';
import {
  ATTEMPTS_DEFAULTS,
  type AttemptsEffect,
  type AttemptsInput,
  type AttemptsOptions,
  type AttemptsState,
  initialAttempts,
} from './attempts-state.ts';
import type { PortRole } from './transport-address.ts';

/** What a port does with a connection request that arrives at `now`. */
export type PortBehaviour =
  /** RST after one round trip. */
  | 'refuses'
  /** Nothing at all; the kernel asks again after a second. */
  | 'swallows'
  /** Opens and answers NULL. */
  | 'serves'
  /** Opens, as the kernel of a stopped process does, and says nothing. */
  | 'stares';

export interface World {
  readonly behaviour: (role: PortRole, now: number) => PortBehaviour;
  readonly rttMs: number;
  /** Is a file handle known by which the server is recognized? Default: yes. */
  readonly proven?: boolean;
  /** Between NULL and its answer, beyond a round trip. */
  readonly nullMs?: number;
  /** When a server that stares goes on with what it has received. */
  readonly thawsAtMs?: () => number;
}

/** Runs the plan against two imagined ports in virtual time, and checks what must hold after every step. */
export class VirtualClient {
  now = 0;
  state: AttemptsState;
  readonly trace: string[] = [];
  readonly adoptions: { role: PortRole; atMs: number; id: number }[] = [];
  readonly connects: { role: PortRole; atMs: number }[] = [];
  readonly alive = new Set<number>();
  readonly #roleOf = new Map<number, PortRole>();
  readonly #options: AttemptsOptions;
  #world: World;
  #agenda: { atMs: number; id: number; what: () => void }[] = [];

  constructor(
    world: World,
    options: Partial<AttemptsOptions> = {},
    roles: PortRole[] = ['primary', 'secondary'],
  ) {
    this.#world = world;
    this.#options = { ...ATTEMPTS_DEFAULTS, ...options };
    this.state = initialAttempts(roles, this.#options);
  }

  input(input: AttemptsInput): void {
    const step = stepAttempts(this.state, input, this.now, this.#options);
    this.state = step.state;
    for (const effect of step.effects) this.#execute(effect);
    this.#check();
  }

  runUntil(endMs: number): void {
    for (;;) {
      const wake = attemptsWakeAt(this.state, this.#options) ?? Number.POSITIVE_INFINITY;
      this.#agenda.sort((a, b) => a.atMs - b.atMs);
      const event = this.#agenda[0];
      const next = Math.min(wake, event?.atMs ?? Number.POSITIVE_INFINITY);
      if (next > endMs) break;
      // A wake-up that does not move time nor state would be a busy loop.
      const before = this.state;
      this.now = Math.max(this.now, next);
      if (event && event.atMs <= wake) {
        this.#agenda.shift();
        event.what();
      } else {
        this.input({ kind: 'Tick' });
        expect(this.state, `a Tick at ${this.now} must do something`).not.toBe(before);
      }
    }
    this.now = endMs;
  }

  get adoptedRole(): PortRole | null {
    return this.state.adopted?.role ?? null;
  }

  #execute(effect: AttemptsEffect): void {
    this.trace.push(`${Math.round(this.now)} ${effect.kind}${'role' in effect ? ` ${effect.role}` : ''}`);
    if (effect.kind === 'Connect') this.#connect(effect.id, effect.role);
    else if (effect.kind === 'Ask') {
      expect(this.alive.has(effect.id)).toBe(true);
      const { behaviour, rttMs, nullMs = 0, thawsAtMs } = this.#world;
      const serves = behaviour(this.#roleOf.get(effect.id)!, this.now) === 'serves';
      const thawsIn = thawsAtMs === undefined ? Number.POSITIVE_INFINITY : thawsAtMs() - this.now;
      if (serves || Number.isFinite(thawsIn)) {
        this.#later(rttMs + nullMs + (serves ? 0 : thawsIn), effect.id, {
          kind: 'Answered',
          id: effect.id,
          proven: this.#world.proven ?? true,
        });
      }
    } else if (effect.kind === 'Abandon') {
      expect(this.alive.delete(effect.id), `${effect.id} is abandoned once`).toBe(true);
    } else if (effect.kind === 'Adopt') {
      expect(this.alive.has(effect.id)).toBe(true);
      this.adoptions.push({ role: effect.role, atMs: this.now, id: effect.id });
    }
  }

  #connect(id: number, role: PortRole): void {
    this.alive.add(id);
    this.#roleOf.set(id, role);
    this.connects.push({ role, atMs: this.now });
    this.#ask(id, role);
  }

  #ask(id: number, role: PortRole): void {
    const behaviour = this.#world.behaviour(role, this.now);
    if (behaviour === 'refuses') this.#later(this.#world.rttMs, id, { kind: 'Lost', id });
    else if (behaviour === 'swallows') {
      this.#agenda.push({ atMs: this.now + 1000, id, what: () => this.alive.has(id) && this.#ask(id, role) });
    } else this.#later(this.#world.rttMs, id, { kind: 'Connected', id });
  }

  #later(delayMs: number, id: number, input: AttemptsInput): void {
    const what = () => {
      if (!this.alive.has(id)) return;
      if (input.kind === 'Lost') this.alive.delete(id);
      this.input(input);
    };
    this.#agenda.push({ atMs: this.now + delayMs, id, what });
  }

  /** From now on both ports refuse. */
  silenceAll(): void {
    this.#world = { ...this.#world, behaviour: () => 'refuses' };
  }

  loseAdopted(): void {
    const id = this.state.adopted!.id;
    this.alive.delete(id);
    this.input({ kind: 'Lost', id });
  }

  #check(): void {
    const { state } = this;
    expect(state.mode === 'serving' || state.mode === 'suspect').toBe(state.adopted !== null);
    for (const role of ['primary', 'secondary'] as const) {
      const mine = state.attempts.filter((attempt) => attempt.role === role);
      expect(mine.length).toBeLessThanOrEqual(this.#options.inFlightMax);
      expect(mine.filter((attempt) => attempt.phase === 'standby').length).toBeLessThanOrEqual(1);
    }
    const known = new Set(state.attempts.map((attempt) => attempt.id));
    if (state.adopted) known.add(state.adopted.id);
    expect([...this.alive].sort(), 'no connection is forgotten').toEqual([...known].sort());
  }
}

export const serving = (role: PortRole): World => ({
  behaviour: (asked) => (asked === role ? 'serves' : 'refuses'),
  rttMs: 1,
});

export function started(world: World, options: Partial<AttemptsOptions> = {}): VirtualClient {
  const client = new VirtualClient(world, options);
  client.input({ kind: 'Start' });
  return client;
}
