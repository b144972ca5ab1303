/** Single steps of the plan of attempts: what does not count, and what counts to the millisecond. */
import { describe, expect, it } from 'vitest';
import { attemptsWakeAt, stepAttempts } from './attempts.ts';
import {
  type AttemptPhase,
  type AttemptsInput,
  type AttemptsState,
  initialAttempts,
  ATTEMPTS_DEFAULTS as OPTIONS,
} from './attempts-state.ts';
import type { PortRole } from './transport-address.ts';

const NOW = 100_000;

/** Serving at the primary port since a while. */
const serving: AttemptsState = {
  ...initialAttempts(['primary', 'secondary'], OPTIONS),
  mode: 'serving',
  adopted: { id: 1, role: 'primary', sinceMs: NOW - 60_000 },
  sinceMs: NOW - 60_000,
  hurrySinceMs: NOW - 60_000,
  nextId: 2,
};
const searching: AttemptsState = {
  ...serving,
  mode: 'searching',
  adopted: null,
  sinceMs: NOW,
  hurrySinceMs: NOW,
  due: { primary: NOW + 20, secondary: NOW + 20 },
};
const suspect: AttemptsState = { ...searching, mode: 'suspect', adopted: serving.adopted };

const attempt = (
  id: number,
  role: PortRole,
  phase: AttemptPhase,
  startedMs = NOW,
  adoptAtMs = Number.POSITIVE_INFINITY,
) => ({
  id,
  role,
  startedMs,
  phase,
  adoptAtMs,
});
const step = (state: AttemptsState, input: AttemptsInput, now = NOW) =>
  stepAttempts(state, input, now, OPTIONS);

describe('an input that says nothing new', () => {
  const asking = { ...searching, attempts: [attempt(2, 'primary', 'asking')], nextId: 3 };
  const standing = { ...suspect, attempts: [attempt(2, 'primary', 'standby', NOW, NOW + 500)], nextId: 3 };

  it.each<[string, AttemptsState, AttemptsInput]>([
    ['a start of what runs', serving, { kind: 'Start' }],
    ['silence while searching', searching, { kind: 'Silent' }],
    ['silence while in doubt', suspect, { kind: 'Silent' }],
    ['silence of what is stopped', initialAttempts(['primary'], OPTIONS), { kind: 'Silent' }],
    ['a tick while serving', serving, { kind: 'Tick' }],
    ['an answer on a connection that is not in doubt', serving, { kind: 'Heard', progress: true }],
    ['a response on it', serving, { kind: 'Heard', progress: false }],
    ['bytes of a connection that is gone', searching, { kind: 'Heard', progress: true }],
    ['bytes of one that was in vain', { ...searching, fruitless: 2 }, { kind: 'Heard', progress: true }],
    ['what was sent on a connection that is not in doubt', serving, { kind: 'Sent' }],
    ['a call while no search runs', serving, { kind: 'Wanted' }],
    ['a call at the beginning of a search', searching, { kind: 'Wanted' }],
    ['the opening of a connection that is open', asking, { kind: 'Connected', id: 2 }],
    ['the opening of one that was abandoned', asking, { kind: 'Connected', id: 9 }],
    ['an answer on one that was abandoned', asking, { kind: 'Answered', id: 9, proven: true }],
    ['a second answer on one that stands by', standing, { kind: 'Answered', id: 2, proven: true }],
    ['the loss of one that was abandoned', asking, { kind: 'Lost', id: 9 }],
  ])('changes nothing: %s', (_, state, input) => {
    const { state: after, effects } = step(state, input);
    expect(after).toBe(state);
    expect(effects).toEqual([]);
  });
});

describe('what is stopped', () => {
  it('starts anew, at both ports at once, without what was known before', () => {
    const { state, effects } = step(
      { ...initialAttempts(['primary', 'secondary'], OPTIONS), nextId: 5 },
      { kind: 'Start' },
    );
    expect(effects).toEqual([
      { kind: 'Connect', id: 5, role: 'primary' },
      { kind: 'Connect', id: 6, role: 'secondary' },
    ]);
    expect(state).toMatchObject({ mode: 'searching', sinceMs: NOW, hurrySinceMs: NOW, primaryDenied: false });
  });
});

describe('a stop', () => {
  it('ends the connection that is used, if there is one, and every attempt', () => {
    const attempts = [attempt(2, 'primary', 'asking'), attempt(3, 'secondary', 'connecting')];
    const abandoned = (state: AttemptsState) =>
      step({ ...state, attempts }, { kind: 'Stop' }).effects.map((effect) => 'id' in effect && effect.id);
    expect(abandoned(suspect).sort()).toEqual([1, 2, 3]);
    expect(abandoned(searching)).toEqual([2, 3]);
    expect(step(suspect, { kind: 'Stop' }).state).toMatchObject({
      mode: 'stopped',
      adopted: null,
      attempts: [],
    });
  });
});

describe('a doubt', () => {
  it('asks the connection that is silent, and both ports, whatever was refused before', () => {
    const { state, effects } = step({ ...serving, primaryDenied: true }, { kind: 'Silent' });
    expect(effects).toEqual([
      { kind: 'AskAdopted' },
      { kind: 'Connect', id: 2, role: 'primary' },
      { kind: 'Connect', id: 3, role: 'secondary' },
    ]);
    expect(state).toMatchObject({ mode: 'suspect', sinceMs: NOW, hurrySinceMs: NOW, primaryDenied: false });
  });
});

describe('a search that has lasted for long', () => {
  it('hurries again with a call, once the first hurry is over, and not after connections that led nowhere', () => {
    const long = { ...searching, due: { primary: NOW + 90_000, secondary: NOW + 90_000 } };
    const { searchWindowMs } = OPTIONS;
    expect(step(long, { kind: 'Wanted' }, NOW + searchWindowMs - 1).state).toBe(long);
    const hurried = step(long, { kind: 'Wanted' }, NOW + searchWindowMs);
    expect(hurried.effects.map(({ kind }) => kind)).toEqual(['Connect', 'Connect']);
    expect(hurried.state).toMatchObject({ sinceMs: NOW, hurrySinceMs: NOW + searchWindowMs });
    const fruitless = { ...long, fruitless: 1 };
    expect(step(fruitless, { kind: 'Wanted' }, NOW + searchWindowMs).state).toBe(fruitless);
  });
});

describe('calm', () => {
  it('is an answer five seconds after the last doubt, and brings both patiences back', () => {
    const impatient = { ...serving, sinceMs: NOW, patienceMs: 800, samePortPatienceMs: 8000 };
    const heard = (now: number, progress: boolean) => step(impatient, { kind: 'Heard', progress }, now).state;
    expect(heard(NOW + OPTIONS.calmMs - 1, true)).toBe(impatient);
    expect(heard(NOW + OPTIONS.calmMs, false)).toBe(impatient);
    expect(heard(NOW + OPTIONS.calmMs, true)).toMatchObject({
      patienceMs: OPTIONS.patienceMs,
      samePortPatienceMs: OPTIONS.samePortPatienceMs,
    });
  });

  it('is not yet there with the answer that ends a doubt, however long that lasted', () => {
    const doubted = { ...suspect, samePortPatienceMs: 8000 };
    const { state } = step(doubted, { kind: 'Heard', progress: true }, NOW + 60_000);
    expect(state).toMatchObject({ mode: 'serving', samePortPatienceMs: 8000 });
  });

  it('is reached also by an answer that only tells that the last connections were not in vain', () => {
    const fruitless = { ...serving, fruitless: 2 };
    expect(step(fruitless, { kind: 'Heard', progress: true }).state.fruitless).toBe(0);
    expect(step(fruitless, { kind: 'Heard', progress: false }).state).toBe(fruitless);
  });
});

describe('bytes that go out while in doubt', () => {
  it('put off the new connection to the same port, and nothing else', () => {
    const others = [
      attempt(2, 'primary', 'standby', NOW, NOW + 500),
      attempt(3, 'secondary', 'standby', NOW, NOW + 600),
      attempt(4, 'primary', 'asking'),
    ];
    const { state, effects } = step({ ...suspect, attempts: others }, { kind: 'Sent' }, NOW + 100);
    expect(state.attempts.map(({ adoptAtMs }) => adoptAtMs)).toEqual([
      NOW + 100 + OPTIONS.samePortPatienceMs,
      NOW + 600,
      Number.POSITIVE_INFINITY,
    ]);
    expect(effects).toEqual([]);
  });
});

describe('an answer', () => {
  const both = [
    attempt(2, 'primary', 'asking'),
    attempt(3, 'primary', 'connecting'),
    attempt(4, 'secondary', 'asking'),
  ];

  it('of the adopted port stands by, and ends the other attempts there alone', () => {
    const { state, effects } = step(
      { ...suspect, attempts: both, nextId: 5 },
      { kind: 'Answered', id: 2, proven: true },
    );
    expect(state.attempts).toEqual([both[2], { ...both[0], phase: 'standby', adoptAtMs: NOW + 1000 }]);
    expect(effects).toEqual([{ kind: 'Abandon', id: 3 }]);
    expect(attemptsWakeAt(state, OPTIONS)).toBe(NOW + 20);
  });

  it('of the other port ends everything else before it is adopted', () => {
    const { state, effects } = step(
      { ...suspect, attempts: both, nextId: 5, patienceMs: 400 },
      { kind: 'Answered', id: 4, proven: true },
    );
    expect(effects).toEqual([
      { kind: 'Abandon', id: 1 },
      { kind: 'Abandon', id: 2 },
      { kind: 'Abandon', id: 3 },
      { kind: 'Adopt', id: 4, role: 'secondary', fruitless: false },
    ]);
    expect(state).toMatchObject({
      mode: 'serving',
      adopted: { id: 4, role: 'secondary', sinceMs: NOW },
      attempts: [],
      patienceMs: OPTIONS.patienceMs,
      samePortPatienceMs: OPTIONS.samePortPatienceMs,
      fruitless: 1,
    });
  });

  it('that is adopted says whether the last connection there was fruitless: it stood still, or ended unanswered', () => {
    const stands = {
      ...suspect,
      attempts: [attempt(2, 'primary', 'standby', NOW - 900, NOW)],
      patienceMs: 400,
    };
    const replaced = step(stands, { kind: 'Tick' });
    expect(replaced.effects).toEqual([
      { kind: 'Abandon', id: 1 },
      { kind: 'Adopt', id: 2, role: 'primary', fruitless: true },
    ]);
    expect(replaced.state).toMatchObject({
      patienceMs: 400,
      samePortPatienceMs: 2 * OPTIONS.samePortPatienceMs,
    });
    const found = (fruitless: number) =>
      step(
        { ...searching, fruitless, attempts: both, nextId: 5 },
        { kind: 'Answered', id: 2, proven: true },
      ).effects.at(-1);
    expect([found(0), found(1)]).toMatchObject([{ fruitless: false }, { fruitless: true }]);
  });

  it('of the secondary port that proves nothing waits for the primary port, unless that has refused', () => {
    const answered = (primaryDenied: boolean) =>
      step(
        { ...searching, primaryDenied, attempts: both, nextId: 5 },
        { kind: 'Answered', id: 4, proven: false },
        NOW + 10,
      ).state;
    expect(answered(false).attempts.find(({ id }) => id === 4)).toMatchObject({
      phase: 'standby',
      adoptAtMs: NOW + OPTIONS.unprovenWaitMs,
    });
    expect(answered(true).adopted?.id).toBe(4);
    const ofPrimary = step({ ...searching, attempts: both }, { kind: 'Answered', id: 2, proven: false });
    expect(ofPrimary.state.adopted?.id).toBe(2);
  });

  it('of the primary port wins over one that has waited for it, also when a timer is late', () => {
    const waiting = [attempt(4, 'secondary', 'standby', NOW, NOW + 5), attempt(2, 'primary', 'asking')];
    const { state } = step(
      { ...searching, attempts: waiting },
      { kind: 'Answered', id: 2, proven: false },
      NOW + 10,
    );
    expect(state.adopted?.id).toBe(2);
  });

  it('that waits is adopted as soon as the primary port refuses; one of the port in use is not', () => {
    const waiting = [attempt(2, 'primary', 'connecting'), attempt(4, 'secondary', 'standby', NOW, NOW + 900)];
    expect(step({ ...searching, attempts: waiting }, { kind: 'Lost', id: 2 }).state.adopted?.id).toBe(4);
    const inUse = {
      ...suspect,
      adopted: { id: 1, role: 'secondary' as const, sinceMs: 0 },
      attempts: waiting,
    };
    expect(step(inUse, { kind: 'Lost', id: 2 }).state.adopted?.id).toBe(1);
  });
});

describe('an adopted connection that is lost', () => {
  it('was in vain if it was younger than half a second, and no call was answered on it', () => {
    const { backOffMsMax } = OPTIONS;
    const lostAfter = (ms: number) =>
      step(
        { ...serving, fruitless: 2, adopted: { id: 1, role: 'primary', sinceMs: NOW } },
        { kind: 'Lost', id: 1 },
        NOW + ms,
      ).state;
    expect(lostAfter(backOffMsMax - 1).fruitless).toBe(2);
    expect(lostAfter(backOffMsMax).fruitless).toBe(0);
  });

  it('gives its place to the one that stands by at its port', () => {
    const attempts = [attempt(3, 'secondary', 'asking'), attempt(2, 'primary', 'standby', NOW, NOW + 900)];
    const { state, effects } = step({ ...suspect, attempts }, { kind: 'Lost', id: 1 });
    expect(state.adopted).toEqual({ id: 2, role: 'primary', sinceMs: NOW });
    expect(effects).toEqual([
      { kind: 'Abandon', id: 3 },
      { kind: 'Adopt', id: 2, role: 'primary', fruitless: false },
    ]);
  });

  it('is not followed by one that has not been answered', () => {
    const attempts = [attempt(2, 'primary', 'asking'), attempt(3, 'primary', 'connecting')];
    const { state, effects } = step({ ...suspect, attempts }, { kind: 'Lost', id: 1 });
    expect(state).toMatchObject({ mode: 'searching', adopted: null, attempts });
    expect(effects).toEqual([]);
  });

  it('while in doubt leaves the search as it is, and says whether it was the primary port that refused', () => {
    const attempts = [attempt(4, 'secondary', 'standby', NOW, NOW + 900)];
    const state = { ...suspect, sinceMs: NOW - 300, due: { primary: NOW + 7, secondary: NOW + 7 } };
    const primary = step(state, { kind: 'Lost', id: 1 }).state;
    expect(primary).toMatchObject({
      mode: 'searching',
      sinceMs: NOW - 300,
      due: state.due,
      primaryDenied: true,
    });
    const secondary = step(
      { ...state, adopted: { id: 1, role: 'secondary', sinceMs: 0 } },
      { kind: 'Lost', id: 1 },
    ).state;
    expect(secondary).toMatchObject({ mode: 'searching', primaryDenied: false });
    expect(step({ ...state, attempts }, { kind: 'Lost', id: 1 }).state.adopted?.id).toBe(4);
  });

  it.each([
    [0, 0],
    [1, 0],
    [2, 20],
    [3, 40],
    [6, 320],
    [7, 500],
    [20, 500],
  ])('after %i in vain before it, begins a search after %i ms', (fruitless, pauseMs) => {
    const { state, effects } = step(
      { ...serving, fruitless, adopted: { id: 1, role: 'primary', sinceMs: NOW } },
      { kind: 'Lost', id: 1 },
    );
    expect(effects.filter(({ kind }) => kind === 'Connect')).toHaveLength(pauseMs === 0 ? 2 : 0);
    expect(state).toMatchObject({ mode: 'searching', sinceMs: NOW, adopted: null });
    if (pauseMs > 0) expect(attemptsWakeAt(state, OPTIONS)).toBe(NOW + pauseMs);
  });
});

describe('an attempt that is lost', () => {
  it('is made again soon if it had been open, and when it is due if it had not', () => {
    const later = { ...searching, due: { primary: NOW + 900, secondary: NOW + 900 } };
    const dueAfter = (phase: AttemptPhase) =>
      step({ ...later, attempts: [attempt(2, 'secondary', phase)] }, { kind: 'Lost', id: 2 }).state.due;
    expect(dueAfter('asking')).toEqual({ primary: NOW + 900, secondary: NOW + OPTIONS.intervalMs });
    expect(dueAfter('connecting')).toEqual({ primary: NOW + 900, secondary: NOW + 900 });
    const soon = { ...searching, due: { primary: NOW + 5, secondary: NOW + 5 } };
    const before = step({ ...soon, attempts: [attempt(2, 'secondary', 'asking')] }, { kind: 'Lost', id: 2 });
    expect(before.state.due.secondary).toBe(NOW + 5);
  });

  it('says that the primary port denies only if it was there', () => {
    const lostAt = (role: PortRole) =>
      step({ ...searching, attempts: [attempt(2, role, 'connecting')] }, { kind: 'Lost', id: 2 }).state;
    expect([lostAt('primary').primaryDenied, lostAt('secondary').primaryDenied]).toEqual([true, false]);
  });
});

describe('a connection request without an answer', () => {
  const { attemptMsMax } = OPTIONS;
  const expires = (state: AttemptsState, now: number) => step(state, { kind: 'Tick' }, now).effects[0];
  const late = { ...searching, due: { primary: NOW + 1e6, secondary: NOW + 1e6 } };

  it('is abandoned after a second, to the millisecond; an open connection is not', () => {
    const attempts = [attempt(2, 'primary', 'connecting'), attempt(3, 'secondary', 'asking')];
    expect(attemptsWakeAt({ ...late, attempts }, OPTIONS)).toBe(NOW + attemptMsMax);
    expect(expires({ ...late, attempts }, NOW + attemptMsMax - 1)).toBeUndefined();
    const { state, effects } = step({ ...late, attempts }, { kind: 'Tick' }, NOW + attemptMsMax);
    expect(effects).toEqual([{ kind: 'Abandon', id: 2 }]);
    expect(state.attempts).toEqual([attempts[1]]);
  });

  it('is abandoned later in a long search: after a quarter of its duration', () => {
    const attempts = [attempt(2, 'primary', 'connecting', NOW + 8000)];
    expect(expires({ ...late, attempts }, NOW + 9999)).toBeUndefined();
    expect(expires({ ...late, attempts }, NOW + 10_000)).toEqual({ kind: 'Abandon', id: 2 });
  });
});

describe('the next attempt', () => {
  /** Of an attempt that begins now. */
  const begun = (state: Partial<AttemptsState>, now = NOW) => {
    const { state: after, effects } = step(
      { ...searching, roles: ['primary'], due: { primary: now, secondary: 0 }, nextId: 100, ...state },
      { kind: 'Tick' },
      now,
    );
    return { after, effects, waitMs: after.due.primary - now, interval: after.interval.primary };
  };
  const within = (waitMs: number, about: number) => {
    expect(waitMs).toBeGreaterThanOrEqual(0.8 * about);
    expect(waitMs).toBeLessThanOrEqual(1.2 * about);
  };

  it('comes after the interval, a little spread; the interval grows once the first half second is over', () => {
    within(begun({}).waitMs, 20);
    expect(begun({}, NOW + OPTIONS.fastRetryMs - 1).interval).toBe(20);
    expect(begun({}, NOW + OPTIONS.fastRetryMs).interval).toBe(25);
    expect(begun({ interval: { primary: 45, secondary: 20 } }, NOW + 9_999).interval).toBe(50);
    expect(begun({ interval: { primary: 50, secondary: 20 } }, NOW + 10_000).interval).toBe(62.5);
    expect(begun({ interval: { primary: 450, secondary: 20 } }, NOW + 10_000).interval).toBe(500);
  });

  it('is spread differently for each client and attempt, over the whole width', () => {
    const waits = Array.from({ length: 200 }, (_, nextId) => begun({ nextId }).waitMs / 20);
    expect(Math.min(...waits)).toBeGreaterThanOrEqual(0.8);
    expect(Math.min(...waits)).toBeLessThan(0.82);
    expect(Math.max(...waits)).toBeLessThan(1.2);
    expect(Math.max(...waits)).toBeGreaterThan(1.18);
    expect(new Set(waits).size).toBeGreaterThan(190);
  });

  it('waits longer beside an open connection that does not answer: half its age, within limits', () => {
    const beside = (ageMs: number) =>
      begun({ attempts: [attempt(2, 'primary', 'asking', NOW - ageMs)] }).waitMs;
    within(beside(0), 250);
    within(beside(1000), 500);
    within(beside(60_000), OPTIONS.askPauseMsMax);
    within(begun({ attempts: [attempt(2, 'secondary', 'asking', NOW - 1000)] }).waitMs, 20);
    within(begun({ attempts: [attempt(2, 'primary', 'connecting', NOW - 500)] }).waitMs, 20);
    const inUse = { mode: 'suspect' as const, adopted: serving.adopted };
    within(begun({ ...inUse, attempts: [attempt(2, 'primary', 'asking', NOW)] }).waitMs, 1000);
  });

  it('takes the place of one that is not even connected, and else of the oldest, when there are too many', () => {
    const many = (phase: AttemptPhase, count: number) =>
      Array.from({ length: count }, (_, index) => attempt(index + 2, 'primary', phase, NOW - 100 + index));
    const { inFlightMax } = OPTIONS;
    expect(begun({ attempts: many('connecting', inFlightMax - 1) }).effects).toHaveLength(1);
    expect(begun({ attempts: many('connecting', inFlightMax) }).effects[0]).toEqual({
      kind: 'Abandon',
      id: 2,
    });
    const opened = [attempt(2, 'primary', 'asking', NOW - 100), ...many('connecting', inFlightMax).slice(1)];
    const { effects, after } = begun({ attempts: opened });
    expect(effects).toEqual([
      { kind: 'Abandon', id: 3 },
      { kind: 'Connect', id: 100, role: 'primary' },
    ]);
    expect(after.attempts.map(({ id }) => id)).not.toContain(3);
    expect(after.attempts).toHaveLength(inFlightMax);
  });

  it('takes the place of the open one that leaves the smallest gap, never of the oldest or the newest', () => {
    const startedAt = (...ages: number[]) =>
      ages.map((age, index) => attempt(index + 2, 'primary', 'asking', NOW - age));
    const abandoned = (...ages: number[]) => begun({ attempts: startedAt(...ages) }).effects[0];
    expect(abandoned(6000, 5000, 3000, 2000, 1000)).toMatchObject({ kind: 'Connect' });
    expect(abandoned(9000, 8000, 5000, 4900, 4800, 100)).toEqual({ kind: 'Abandon', id: 5 });
    expect(abandoned(9000, 8950, 8900, 5000, 2000, 100)).toEqual({ kind: 'Abandon', id: 3 });
    expect(abandoned(9000, 7000, 5000, 3000, 150, 100)).toEqual({ kind: 'Abandon', id: 6 });
    expect(abandoned(6000, 5000, 4000, 3000, 2000, 1000), 'of equal gaps the older').toEqual({
      kind: 'Abandon',
      id: 3,
    });
  });

  it('is not made at a port where one stands by', () => {
    const attempts = [attempt(2, 'primary', 'standby', NOW, NOW + 500)];
    const state = { ...suspect, attempts, due: { primary: NOW, secondary: NOW }, nextId: 5 };
    expect(step(state, { kind: 'Tick' }).effects).toEqual([{ kind: 'Connect', id: 5, role: 'secondary' }]);
    const later = { ...state, due: { primary: NOW, secondary: NOW + 700 } };
    expect(attemptsWakeAt(later, OPTIONS)).toBe(NOW + 500);
  });
});

describe('what needs no waking', () => {
  it('is stopped, or serves', () => {
    expect(attemptsWakeAt(serving, OPTIONS)).toBeNull();
    expect(attemptsWakeAt(initialAttempts(['primary'], OPTIONS), OPTIONS)).toBeNull();
  });
});
