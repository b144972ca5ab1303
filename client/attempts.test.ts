import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../testing/seeded-random.ts';
import { ATTEMPTS_DEFAULTS } from './attempts-state.ts';
import type { PortRole } from './transport-address.ts';
import { type PortBehaviour, serving, started, VirtualClient, type World } from './virtual-client.fixture.ts';

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
