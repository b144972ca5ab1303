/** Modes, maintenance, force, giveback, dry run: one server's decisions in sequence, with its partner as words only. */
import { describe, expect, test } from 'vitest';
import { type Incarnation, incarnationOf } from './incarnation.ts';
import { emptyLease, type LeaseRecord } from './lease.ts';
import { initialServer, type ServerState } from './server/state.ts';
import { nextWakeAt, step } from './server.ts';
import { silenceMs } from './serving-lease.ts';
import { takeoverCheck } from './takeover-check.ts';
import { DEFAULT_POLICY } from './transfer-policy.ts';
import type { Effect, Input, PairPolicy } from './types.ts';

const timing = { leaseMs: 2000, guardMs: 500, heartbeatMs: 200 };
const me = incarnationOf('filer-b', 'podB', 'run1');
const partner = incarnationOf('filer-a', 'podA', 'run1');
const gone = incarnationOf('filer-b', 'podX', 'run1');
const automatic: PairPolicy = {
  takeover: 'Automatic',
  giveback: { mode: 'Automatic', afterMs: 5000, retries: 1, takeoversMax: 2, windowMs: 60_000 },
};

/** filer-b, asked about the disk set of filer-a. */
class Subject {
  state: ServerState;
  now = 0;
  readonly effects: Effect[] = [];
  record: LeaseRecord = { ...emptyLease, holder: partner, epoch: 3, acknowledger: me, renewal: 7 };

  constructor(policy: PairPolicy) {
    this.state = initialServer({ me, server: 'filer-b', partner: 'filer-a', timing, policy }, 0);
  }

  give(input: Input): this {
    const { state, effects } = step(this.state, input, this.now);
    this.state = state;
    this.effects.push(...effects);
    return this;
  }

  lease(change: Partial<LeaseRecord>): this {
    this.record = { ...this.record, ...change };
    return this.give({ kind: 'leaseSeen', home: 'filer-a', sighting: this.sighting() });
  }

  sighting() {
    return { version: String(this.record.renewal), record: this.record };
  }

  pass(ms: number, heartbeats = false): this {
    for (const end = this.now + ms; this.now < end; ) {
      this.now += 200;
      if (heartbeats) {
        const message = { kind: 'heartbeat', seq: this.now, holdings: [] } as const;
        this.give({ kind: 'message', from: partner, message });
      } else this.give({ kind: 'tick' });
    }
    return this;
  }

  get write() {
    return this.effects.filter((effect) => effect.kind === 'writeLease').at(-1);
  }

  count(kind: Effect['kind']): number {
    return this.effects.filter((effect) => effect.kind === kind).length;
  }

  /** The last write is applied, and the data path does what it is told. */
  applied(): this {
    const { home, token, ownership } = this.write!;
    this.record = { ...this.record, ...ownership };
    this.give({ kind: 'leaseWritten', home, token, outcome: { kind: 'applied', sighting: this.sighting() } });
    return this;
  }

  opened(): this {
    return this.give({ kind: 'diskSetOpened', home: 'filer-a', epoch: this.record.epoch });
  }

  died(incarnation: Incarnation = partner): this {
    const holdings = [{ home: 'filer-a', epoch: this.record.epoch }];
    return this.give({ kind: 'died', died: { kind: 'died', incarnation, holdings, evidence: 'exited' } });
  }

  answers(): readonly string[] {
    return this.effects.flatMap((effect) =>
      effect.kind === 'requestAnswered' ? [`${effect.result}: ${effect.message}`] : [],
    );
  }
}

const request = { id: 'r1', kind: 'takeover', reason: 'asked' } as const;

describe('a forced takeover', () => {
  const successor = incarnationOf('filer-b', 'podC', 'run1');
  const forced = (id = 'f1') => ({ id, kind: 'takeover' as const, reason: 'it is off', force: true });
  const claims = (subject: Subject) =>
    subject.effects.filter((effect) => effect.kind === 'writeLease' && effect.home === 'filer-a').length;
  /** Lease + guard and more, without the holder's being heard. */
  const LONG = 3000;

  test('asked of this server is about the holder, epoch and acknowledger of that moment', () => {
    const subject = new Subject(DEFAULT_POLICY).lease({ acknowledger: gone });
    subject.give({ kind: 'request', home: 'filer-a', request: forced() }).pass(1000);
    // The holder was alive: it dropped the one that was meant, and named another.
    subject.lease({ acknowledger: null, renewal: 8 }).pass(200);
    subject.lease({ acknowledger: successor, renewal: 9 }).pass(LONG);
    expect(claims(subject)).toBe(0);
  });

  test('counts while the Lease names them', () => {
    const subject = new Subject(DEFAULT_POLICY).lease({ acknowledger: gone });
    subject.give({ kind: 'request', home: 'filer-a', request: forced() }).pass(LONG);
    expect(claims(subject)).toBe(1);
  });

  test('ends with the answer that the asker gets: refused after half a minute', () => {
    const subject = new Subject(DEFAULT_POLICY).lease({ acknowledger: gone });
    subject.give({ kind: 'request', home: 'filer-a', request: forced() });
    // Renewals keep the silence from lasting.
    for (let renewal = 8; renewal < 8 + 16; renewal++) subject.pass(2000).lease({ renewal });
    expect(subject.effects).toContainEqual(
      expect.objectContaining({ kind: 'requestAnswered', requestId: 'f1', result: 'refused' }),
    );
    subject.pass(LONG);
    expect(claims(subject)).toBe(0);
  });

  test('on the Lease is about what it says it is about, for every later reader', () => {
    const about = { holder: partner, epoch: 3, acknowledger: gone };
    const request = { ...forced(), about };
    const other = new Subject(DEFAULT_POLICY).lease({ acknowledger: successor, request }).pass(LONG);
    expect(claims(other)).toBe(0);
    const same = new Subject(DEFAULT_POLICY).lease({ acknowledger: gone, request }).pass(LONG);
    expect(claims(same)).toBe(1);
  });
});

describe('a takeover in mode Manual', () => {
  const manual = (): Subject => new Subject({ ...DEFAULT_POLICY, takeover: 'Manual' }).lease({}).died();

  test('is announced once and waits, without waking anybody', () => {
    const subject = manual();
    expect(subject.write).toBeUndefined();
    subject.pass(5000);
    expect(subject.write).toBeUndefined();
    const deferred = subject.effects.filter(
      (effect) => effect.kind === 'trace' && effect.event.name === 'deferred',
    );
    expect(deferred).toHaveLength(1);
    expect(nextWakeAt(subject.state, subject.now)).toBe(Number.POSITIVE_INFINITY);
  });

  test('is done when somebody asks, in the Lease or on the control socket', () => {
    expect(manual().lease({ request }).write?.ownership).toMatchObject({ holder: me, epoch: 4 });
    const asked = manual().give({ kind: 'request', home: 'filer-a', request });
    expect(asked.write?.ownership).toMatchObject({ holder: me, epoch: 4 });
    expect(asked.applied().answers()).toEqual(['done: filer-b owns filer-a']);
  });
});

describe('maintenance', () => {
  test('keeps a dead partner’s disk set where it is, until it ends', () => {
    const subject = new Subject(DEFAULT_POLICY).lease({ maintenance: 'new switch' }).died().pass(5000);
    expect(subject.write).toBeUndefined();
    expect(subject.lease({ maintenance: null }).write?.ownership).toMatchObject({ holder: me });
  });

  test('does not keep a hand-over that was asked for from its addressee', () => {
    const subject = new Subject(DEFAULT_POLICY).lease({ maintenance: 'x' }).lease({
      maintenance: 'x',
      holder: null,
      releasedTo: 'filer-b',
    });
    expect(subject.write?.ownership).toMatchObject({ holder: me });
  });
});

describe('force', () => {
  const stuck = (): Subject => new Subject(DEFAULT_POLICY).lease({ acknowledger: gone }).pass(10_000);

  test('stands for the proof that the acknowledger is dead, and shortens no wait', () => {
    expect(stuck().write).toBeUndefined();
    const forced = stuck().lease({ request: { ...request, force: true } });
    expect(forced.write).toBeUndefined();
    expect(forced.pass(silenceMs(timing) - 100).write).toBeUndefined();
    expect(forced.pass(200).write?.ownership).toMatchObject({ holder: me, epoch: 4 });
    const detected = forced.effects.find(
      (effect) => effect.kind === 'trace' && effect.event.name === 'detected',
    );
    expect(detected).toMatchObject({
      event: { cause: 'Requested', message: expect.stringContaining('asked') },
    });
  });

  test('does not help against a holder that renews', () => {
    const forced = stuck().lease({ request: { ...request, force: true } });
    for (let renewal = 8; renewal < 20; renewal++) forced.pass(1000).lease({ renewal });
    expect(forced.write).toBeUndefined();
  });

  test('is refused without a reason', () => {
    const asked = stuck().give({
      kind: 'request',
      home: 'filer-a',
      request: { ...request, reason: '', force: true },
    });
    expect(asked.answers()[0]).toMatch(/^refused/);
  });
});

describe('giveback', () => {
  /** Owns filer-a's disk set since filer-a died; filer-a is back. */
  const away = (policy: PairPolicy = automatic): Subject =>
    new Subject(policy)
      .lease({})
      .died()
      .applied()
      .opened()
      .give({ kind: 'partnerConnected', incarnation: back });
  const back = incarnationOf('filer-a', 'podA', 'run2');
  const heard = (subject: Subject, ms: number): Subject => {
    for (const end = subject.now + ms; subject.now < end; ) {
      subject.now += 200;
      const message = { kind: 'heartbeat', seq: subject.now, holdings: [] } as const;
      subject.give({ kind: 'message', from: back, message });
      const write = subject.write;
      const { role } = subject.state.partner;
      if ('write' in role && role.write !== null && write !== undefined) subject.applied();
      if (role.name === 'holder' && role.accepts === back) {
        const holdings = [{ home: 'filer-a', epoch: role.epoch }];
        subject.give({
          kind: 'message',
          from: back,
          message: { kind: 'acknowledgement', seq: subject.state.seq, holdings },
        });
      }
    }
    return subject;
  };
  const quiescing = (subject: Subject): boolean => {
    const { role } = subject.state.partner;
    return role.name === 'holder' && role.port === 'quiescing';
  };

  test('comes by itself when home has been back for long enough, and not before', () => {
    const subject = heard(away(), 4800);
    expect(quiescing(subject)).toBe(false);
    expect(quiescing(heard(subject, 800))).toBe(true);
  });

  test('waits for an administrator in mode Manual, and during maintenance', () => {
    expect(quiescing(heard(away(DEFAULT_POLICY), 100_000))).toBe(false);
    expect(quiescing(heard(away().lease({ maintenance: 'x' }), 20_000))).toBe(false);
  });

  /** The release is done, home does not take it, and it comes back. */
  const comesBack = (subject: Subject): Subject => {
    subject.give({ kind: 'diskSetClosed', home: 'filer-a' }).applied();
    expect(subject.record).toMatchObject({ holder: null, releasedTo: 'filer-a' });
    subject.pass(3000).applied().opened();
    expect(subject.state.partner.role).toMatchObject({ name: 'holder', port: 'open' });
    return subject;
  };

  test('that home does not complete ends as a takeover that serves, is tried again later, and then no more', () => {
    const first = comesBack(heard(away(), 6000));
    expect(first.state.partner.memory.attempts).toBe(1);
    expect(quiescing(heard(first, 8000))).toBe(false);
    const second = comesBack(heard(first, 8000));
    expect(second.state.partner.memory.attempts).toBe(2);
    expect(quiescing(heard(second, 200_000))).toBe(false);
  });

  test('is not done when the disk set only goes to and fro', () => {
    const subject = heard(away(), 6000).give({ kind: 'diskSetClosed', home: 'filer-a' }).applied();
    // Home takes it, and dies again.
    subject.lease({ holder: back, epoch: 5, renewal: 90 });
    subject.died(back).applied().opened();
    const again = incarnationOf('filer-a', 'podA', 'run3');
    subject.give({ kind: 'partnerConnected', incarnation: again });
    expect(subject.state.partner.memory.takeovers).toHaveLength(2);
    for (let at = 0; at < 40; at++) {
      subject.now += 200;
      subject.give({ kind: 'message', from: again, message: { kind: 'heartbeat', seq: at, holdings: [] } });
    }
    expect(quiescing(subject)).toBe(false);
  });

  test('is vetoed by name, and by name overridden', () => {
    const subject = heard(away(DEFAULT_POLICY), 2000);
    const cannot = { kind: 'heartbeat', seq: 1, holdings: [], cannotServe: ['filer-a'] } as const;
    subject.give({ kind: 'message', from: back, message: cannot });
    const asked = { id: 'r2', kind: 'giveback', reason: '' } as const;
    subject.give({ kind: 'request', home: 'filer-a', request: asked });
    expect(subject.answers().at(-1)).toMatch(/^refused: PartnerCannotServe/);
    subject.give({
      kind: 'request',
      home: 'filer-a',
      request: { ...asked, id: 'r3', override: ['PartnerCannotServe'] },
    });
    expect(quiescing(subject)).toBe(true);
  });
});

describe('the dry run', () => {
  const facts = { witness: 'answers', whyNotReadable: null, clockSlew: 0 } as const;

  test('says that all is there', () => {
    const { state, now } = new Subject(DEFAULT_POLICY).lease({});
    for (const clockSlew of [0, 0.08, -0.08, null]) {
      const check = takeoverCheck(state, 'filer-a', { ...facts, clockSlew }, now);
      expect(check).toMatchObject({ possible: true, missing: [] });
    }
  });

  test('names everything that is missing', () => {
    const { state, now } = new Subject(DEFAULT_POLICY).lease({ acknowledger: gone, maintenance: 'x' });
    const { missing, possible } = takeoverCheck(
      state,
      'filer-a',
      { witness: 'silent', whyNotReadable: 'EIO', clockSlew: -0.09 },
      now,
    );
    expect(possible).toBe(false);
    expect(missing.map(({ name }) => name)).toEqual([
      'WitnessSilent',
      'VolumesUnreadable',
      'ClockTooFast',
      'NotAcknowledger',
      'Maintenance',
    ]);
  });
});
