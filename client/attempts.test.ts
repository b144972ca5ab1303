import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../testing/seeded-random.ts';
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
type PortBehaviour =
  /** RST after one round trip. */
  | 'refuses'
  /** Nothing at all; the kernel asks again after a second. */
  | 'swallows'
  /** Opens and answers NULL. */
  | 'serves'
  /** Opens, as the kernel of a stopped process does, and says nothing. */
  | 'stares';

interface World {
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
class VirtualClient {
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

const serving = (role: PortRole): World => ({
  behaviour: (asked) => (asked === role ? 'serves' : 'refuses'),
  rttMs: 1,
});

function started(world: World, options: Partial<AttemptsOptions> = {}): VirtualClient {
  const client = new VirtualClient(world, options);
  client.input({ kind: 'Start' });
  return client;
}

describe('first connection', () => {
  it('asks both ports at once and adopts the one that answers', () => {
    const client = started(serving('secondary'));
    client.runUntil(10);
    expect(client.trace).toEqual(['0 Connect primary', '0 Connect secondary', '1 Ask', '2 Adopt secondary']);
  });

  it('of a server without a partner asks only the primary port', () => {
    const client = new VirtualClient({ behaviour: () => 'refuses', rttMs: 1 }, {}, ['primary']);
    client.input({ kind: 'Start' });
    client.runUntil(1000);
    expect(new Set(client.connects.map((each) => each.role))).toEqual(new Set(['primary']));
  });

  it('is not taken for an answer when a stopped server opens the connection but says nothing', () => {
    const client = started({ behaviour: (role) => (role === 'primary' ? 'stares' : 'refuses'), rttMs: 1 });
    client.runUntil(3000);
    expect(client.adoptions).toEqual([]);
    const open = client.connects.filter((each) => each.role === 'primary');
    expect(open.length).toBeLessThan(20);
  });
});

describe('before any file handle of the disk set is known', () => {
  const both: World = { behaviour: () => 'serves', rttMs: 1, proven: false };

  it('an answer from the secondary port waits for the primary port, which wins', () => {
    // The secondary port answers first, the primary port a little later.
    const client = started({
      ...both,
      behaviour: (role, now) => (role === 'primary' && now < 100 ? 'swallows' : 'serves'),
    });
    client.runUntil(500);
    expect(client.adoptions.map((each) => each.role)).toEqual(['primary']);
  });

  it('it counts at once when the primary port refuses', () => {
    const client = started({ ...serving('secondary'), proven: false });
    client.runUntil(10);
    expect(client.adoptedRole).toBe('secondary');
  });

  it('it counts after a while when the primary port is silent', () => {
    const client = started({
      ...both,
      behaviour: (role) => (role === 'primary' ? 'swallows' : 'serves'),
    });
    client.runUntil(ATTEMPTS_DEFAULTS.unprovenWaitMs - 1);
    expect(client.adoptions).toEqual([]);
    client.runUntil(ATTEMPTS_DEFAULTS.unprovenWaitMs + 1);
    expect(client.adoptedRole).toBe('secondary');
  });

  it('a proven one wins at once', () => {
    const client = started({
      behaviour: (role) => (role === 'primary' ? 'swallows' : 'serves'),
      rttMs: 1,
    });
    client.runUntil(10);
    expect(client.adoptedRole).toBe('secondary');
  });
});

describe('a connection that is lost', () => {
  it('starts the search at once, and the takeover is found within one interval and two round trips', () => {
    let openAt = Number.POSITIVE_INFINITY;
    const client = started({
      behaviour: (role, now) => {
        if (now < 100) return role === 'primary' ? 'serves' : 'refuses';
        return role === 'secondary' && now >= openAt ? 'serves' : 'refuses';
      },
      rttMs: 1,
    });
    client.runUntil(100);
    expect(client.adoptedRole).toBe('primary');
    openAt = 2600;
    client.loseAdopted();
    client.runUntil(10_000);
    expect(client.adoptions[1]).toMatchObject({ role: 'secondary' });
    const { intervalMsMax } = ATTEMPTS_DEFAULTS;
    expect(client.adoptions[1]!.atMs - openAt).toBeLessThanOrEqual(intervalMsMax * 1.2 + 2 + 1);
  });

  it('finds a port that swallows requests while closed as fast as one that refuses', () => {
    let openAt = Number.POSITIVE_INFINITY;
    const client = started({
      behaviour: (role, now) => {
        if (now < 100) return role === 'primary' ? 'serves' : 'swallows';
        return role === 'secondary' && now >= openAt ? 'serves' : 'swallows';
      },
      rttMs: 1,
    });
    client.runUntil(100);
    openAt = 1300;
    client.loseAdopted();
    client.runUntil(10_000);
    expect(client.adoptions[1]!.role).toBe('secondary');
    expect(client.adoptions[1]!.atMs - openAt).toBeLessThanOrEqual(ATTEMPTS_DEFAULTS.intervalMsMax * 1.2 + 3);
  });

  it('is found again across a network with half a second of round trip', () => {
    const client = started({
      behaviour: (role) => (role === 'secondary' ? 'serves' : 'swallows'),
      rttMs: 450,
    });
    client.runUntil(3000);
    expect(client.adoptedRole).toBe('secondary');
  });

  it('brings the client back after giveback: the survivor closes, the home port answers', () => {
    let home = false;
    const client = started({
      behaviour: (role) => ((role === 'primary') === home ? 'serves' : 'refuses'),
      rttMs: 1,
    });
    client.runUntil(1000);
    expect(client.adoptedRole).toBe('secondary');
    home = true;
    client.loseAdopted();
    client.runUntil(1100);
    expect(client.adoptions.map((each) => each.role)).toEqual(['secondary', 'primary']);
    expect(client.adoptions[1]!.atMs - 1000).toBeLessThan(5);
  });
});

describe('a connection that is silent', () => {
  it('goes on as before when it is heard again, and its attempts are abandoned', () => {
    const client = started(serving('primary'));
    client.runUntil(100);
    client.input({ kind: 'Silent' });
    expect(client.trace.slice(-3)).toEqual([
      '100 AskAdopted',
      '100 Connect primary',
      '100 Connect secondary',
    ]);
    client.runUntil(105);
    expect(client.state.attempts.map((each) => each.phase)).toEqual(['standby']);
    client.input({ kind: 'Heard', progress: true });
    expect(client.state.mode).toBe('serving');
    expect(client.state.attempts).toEqual([]);
    expect(client.adoptions.length).toBe(1);
  });

  it('is asked less and less often while the server only answers that it is there', () => {
    const client = started(serving('primary'));
    client.runUntil(100);
    const patience = [];
    for (let i = 0; i < 7; i++) {
      client.input({ kind: 'Silent' });
      client.input({ kind: 'Heard', progress: false });
      patience.push(client.state.patienceMs);
    }
    expect(patience).toEqual([100, 200, 400, 800, 1000, 1000, 1000]);
    client.input({ kind: 'Heard', progress: true });
    expect(client.state.patienceMs).toBe(1000);
    client.runUntil(100 + ATTEMPTS_DEFAULTS.calmMs);
    client.input({ kind: 'Heard', progress: true });
    expect(client.state.patienceMs).toBe(ATTEMPTS_DEFAULTS.patienceMs);
  });

  it('is doubted less often while its answers are slow: attempts would only burden it', () => {
    const client = started(serving('primary'));
    client.runUntil(100);
    const patience = [];
    for (let i = 0; i < 5; i++) {
      client.input({ kind: 'Silent' });
      client.input({ kind: 'Heard', progress: true });
      patience.push(client.state.patienceMs);
    }
    expect(patience).toEqual([100, 200, 400, 500, 500]);
  });

  it('is replaced at once by the other port: that one answers only when the owner is fenced', () => {
    let owner: PortRole = 'primary';
    const client = started({
      behaviour: (role) => (role === owner ? 'serves' : 'swallows'),
      rttMs: 1,
    });
    client.runUntil(100);
    owner = 'secondary';
    client.input({ kind: 'Silent' });
    client.runUntil(120);
    // The silent connection and the other attempt end before the new one speaks.
    expect(client.trace.slice(-3)).toEqual(['102 Abandon', '102 Abandon', '102 Adopt secondary']);
    expect(client.adoptions.map((each) => each.role)).toEqual(['primary', 'secondary']);
    expect(client.adoptions[1]!.atMs).toBe(102);
  });

  it('is kept for a while although its own port answers others: it is slow, and a late WRITE must not overtake', () => {
    const client = started(serving('primary'));
    client.runUntil(100);
    client.input({ kind: 'Silent' });
    // The other connection answers at 102: connection and NULL take a millisecond each.
    client.runUntil(102 + ATTEMPTS_DEFAULTS.samePortPatienceMs - 1);
    expect(client.adoptions.length).toBe(1);
    client.runUntil(102 + ATTEMPTS_DEFAULTS.samePortPatienceMs);
    expect(client.adoptions.length).toBe(2);
    expect(client.trace.slice(-2)).toEqual(['1102 Abandon', '1102 Adopt primary']);
  });

  it('is kept as long when its server was frozen for longer than that: it counts from the first response', () => {
    let frozen = false;
    const client = started({
      behaviour: (role) => (role === 'secondary' ? 'refuses' : frozen ? 'stares' : 'serves'),
      rttMs: 1,
    });
    client.runUntil(100);
    frozen = true;
    client.input({ kind: 'Silent' });
    client.runUntil(5000);
    frozen = false;
    const standsBy = () => client.state.attempts.some((each) => each.phase === 'standby');
    while (!standsBy() && client.now < 8000) client.runUntil(client.now + 10);
    // Its answer stands by since a moment; what lies unread in the old connection comes first.
    expect(standsBy()).toBe(true);
    expect(client.adoptions.length).toBe(1);
    client.input({ kind: 'Heard', progress: true });
    expect([client.state.mode, client.adoptions.length]).toEqual(['serving', 1]);
  });

  it('that breaks hands over to the connection that stood by', () => {
    const client = started(serving('primary'));
    client.runUntil(100);
    client.input({ kind: 'Silent' });
    client.runUntil(110);
    client.loseAdopted();
    expect(client.adoptions.map((each) => [each.role, each.atMs])).toEqual([
      ['primary', 2],
      ['primary', 110],
    ]);
  });
});

describe('back-off', () => {
  it('keeps the number of connection requests bounded when nobody answers for long', () => {
    const client = started({ behaviour: () => 'refuses', rttMs: 1 });
    client.runUntil(60_000);
    const late = client.connects.filter((each) => each.atMs > 30_000);
    expect(late.length / 30).toBeLessThanOrEqual(6);
    expect(late.length / 30).toBeGreaterThanOrEqual(2);
  });

  it('ends when somebody wants an answer again', () => {
    const client = started({ behaviour: () => 'refuses', rttMs: 1 });
    client.runUntil(60_000);
    const before = client.connects.length;
    client.input({ kind: 'Wanted' });
    client.runUntil(60_200);
    expect(client.connects.length - before).toBeGreaterThan(8);
  });

  it('slows down a server that answers NULL and closes on the first real call', () => {
    const client = started(serving('primary'));
    let adopted = 0;
    for (let now = 0; now < 20_000; now += 1) {
      client.runUntil(now);
      if (client.state.adopted) {
        adopted += 1;
        client.loseAdopted();
      }
    }
    expect(adopted).toBeLessThan(60);
    expect(adopted).toBeGreaterThan(30);
  });

  it('forgets a fruitless connection that lived long: an idle client may sit through many failovers', () => {
    const client = started(serving('primary'));
    for (let round = 1; round <= 20; round++) {
      client.runUntil(round * 5000);
      client.loseAdopted();
      client.runUntil(round * 5000 + 5);
      expect(client.adoptedRole).toBe('primary');
    }
  });

  it('spreads the clients of one server over time, each the same way in every run', () => {
    const times = (seed: number) => {
      const client = started({ behaviour: () => 'refuses', rttMs: 1 }, { seed });
      client.runUntil(500);
      return client.connects.map((each) => each.atMs);
    };
    expect(times(1)).toEqual(times(1));
    expect(times(1).slice(2)).not.toEqual(times(2).slice(2));
  });
});

describe('a server that answers late', () => {
  it('is adopted whenever it answers, and few connections wait meanwhile', () => {
    for (const delayMs of [100, 1200, 5000, 30_000, 120_000]) {
      const client = started({ behaviour: () => 'serves', rttMs: 1, nullMs: delayMs }, {});
      client.runUntil(delayMs + 10);
      expect(client.adoptions.length, `NULL takes ${delayMs} ms`).toBe(1);
      expect(client.connects.length).toBeLessThan(2 * (20 + delayMs / 1000));
    }
  });

  it('later connections find it when the first ones lead nowhere', () => {
    // Machines that vanish leave connections behind that never end.
    const client = started({
      behaviour: (role, now) => {
        if (role === 'secondary') return 'refuses';
        return now < 20_000 ? 'stares' : 'serves';
      },
      rttMs: 1,
      nullMs: 3000,
    });
    client.runUntil(28_000);
    expect(client.adoptedRole).toBe('primary');
  });
});

describe('a stall with the port answering', () => {
  const open: World = { behaviour: (role) => (role === 'primary' ? 'serves' : 'refuses'), rttMs: 1 };
  const { samePortPatienceMs } = ATTEMPTS_DEFAULTS;

  it('ends with a new connection after a patience that doubles each time', () => {
    const client = started(open);
    client.runUntil(100);
    const waits: number[] = [];
    for (let round = 0; round < 8; round++) {
      const since = client.now;
      client.input({ kind: 'Silent' });
      const before = client.adoptions.length;
      while (client.adoptions.length === before) client.runUntil(client.now + 1);
      waits.push(Math.round((client.now - since) / samePortPatienceMs));
      client.runUntil(client.now + 10);
    }
    expect(waits).toEqual([1, 2, 4, 8, 16, 32, 60, 60]);
  });

  it('has the first patience again once calls have been answered for a while', () => {
    const client = started(open);
    client.runUntil(100);
    client.input({ kind: 'Silent' });
    client.runUntil(2 * samePortPatienceMs);
    expect(client.state.samePortPatienceMs).toBe(2 * samePortPatienceMs);
    client.input({ kind: 'Heard', progress: true });
    expect(client.state.samePortPatienceMs).toBe(2 * samePortPatienceMs);
    client.runUntil(client.now + ATTEMPTS_DEFAULTS.calmMs);
    client.input({ kind: 'Heard', progress: true });
    expect(client.state.samePortPatienceMs).toBe(samePortPatienceMs);
  });

  it('counts from the first response: what was sent before may lie unread in the server', () => {
    let thawed = Number.POSITIVE_INFINITY;
    const client = started({
      behaviour: (role, now) => {
        if (role === 'secondary') return 'refuses';
        return now < 100 || now >= thawed ? 'serves' : 'stares';
      },
      rttMs: 1,
      thawsAtMs: () => thawed,
    });
    client.runUntil(100);
    client.input({ kind: 'Silent' });
    thawed = 1500;
    client.runUntil(thawed + samePortPatienceMs - 10);
    expect(client.adoptions.length).toBe(1);
    client.runUntil(thawed + samePortPatienceMs + 300);
    expect(client.adoptions.length).toBe(2);
  });

  it('is none while bytes go out, but the search for the other port goes on', () => {
    let takenOver = false;
    const client = started({
      behaviour: (role) => (role === 'primary' || takenOver ? 'serves' : 'refuses'),
      rttMs: 1,
    });
    client.runUntil(100);
    client.input({ kind: 'Silent' });
    for (let i = 0; i < 50; i++) {
      client.runUntil(client.now + 100);
      client.input({ kind: 'Sent' });
    }
    expect(client.adoptions.length).toBe(1);
    takenOver = true;
    client.runUntil(client.now + 100);
    expect(client.adoptedRole).toBe('secondary');
  });
});

describe('the duration of an outage', () => {
  it('counts from its beginning, also when calls hurry the search', () => {
    const client = started(serving('primary'));
    client.runUntil(100);
    const lostAt = client.now;
    client.silenceAll();
    client.loseAdopted();
    for (let i = 0; i < 24; i++) {
      client.runUntil(client.now + 1000);
      client.input({ kind: 'Wanted' });
    }
    expect(client.state.sinceMs).toBe(lostAt);
  });
});

describe('stop', () => {
  it('abandons everything, adopted and attempts, and starts nothing more', () => {
    const client = started(serving('primary'));
    client.runUntil(100);
    client.input({ kind: 'Silent' });
    client.input({ kind: 'Stop' });
    expect(client.alive.size).toBe(0);
    const { length } = client.trace;
    client.runUntil(10_000);
    expect(client.trace.length).toBe(length);
  });
});

describe('any history', () => {
  // Ports change at random, connections break at random; then the world heals, and the client must be served soon.
  it('keeps one adopted connection at most, forgets none, and ends served', () => {
    for (let seed = 1; seed <= 100; seed++) {
      const random = new SeededRandom(seed);
      const behaviours: PortBehaviour[] = ['refuses', 'swallows', 'serves', 'stares'];
      const present: Record<PortRole, PortBehaviour> = { primary: 'refuses', secondary: 'refuses' };
      const client = started({ behaviour: (role) => present[role], rttMs: 1 + random.next() * 30 }, { seed });
      for (let i = 0; i < 60; i++) {
        client.runUntil(client.now + random.next() * 400);
        const role = random.chance(0.5) ? 'primary' : 'secondary';
        present[role] = behaviours[random.below(4)]!;
        if (client.state.adopted === null) {
          if (random.chance(0.2)) client.input({ kind: 'Wanted' });
        } else if (random.chance(0.3)) client.loseAdopted();
        else if (random.chance(0.5)) client.input({ kind: 'Silent' });
        else client.input({ kind: 'Heard', progress: random.chance(0.5) });
      }
      const owner = random.chance(0.5) ? 'primary' : 'secondary';
      present.primary = owner === 'primary' ? 'serves' : 'refuses';
      present.secondary = owner === 'secondary' ? 'serves' : 'refuses';
      // Answers that were under way before the change may still be adopted; such a connection then breaks.
      const healedAt = client.now + 100;
      while (client.now < healedAt + 500) {
        client.runUntil(client.now + 100);
        if (client.state.adopted && client.state.adopted.role !== owner) client.loseAdopted();
      }
      client.runUntil(healedAt + 2000);
      expect(client.adoptedRole, `seed ${seed}`).toBe(owner);
    }
  });
});
