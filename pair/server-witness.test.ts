/** One server and its witness: who acknowledges, a witness that does not answer or goes back, and volumes that know more than the Lease. */
import { describe, expect, test } from 'vitest';
import { incarnationOf } from './incarnation.ts';
import type { LeaseRecord } from './lease.ts';
import { nextWakeAt, servingLeaseOf } from './server.ts';
import { soloAfterMs } from './serving-lease.ts';
import {
  type Home,
  me,
  OneServer,
  pairedHolder,
  partner,
  sighting,
  silence,
  soloHolder,
  timing,
} from './testing/one-server.ts';
import type { Input, LeaseWriteOutcome } from './types.ts';

describe('the acknowledger', () => {
  const old = incarnationOf('filer-b', 'podOld', 'maa00000-0001');
  const young = incarnationOf('filer-b', 'podNew', 'mzz00000-0001');

  test('is the incarnation that was started last, and not the one that connected last', () => {
    const subject = soloHolder().at(20).give({ kind: 'partnerConnected', incarnation: young });
    subject.give({ kind: 'partnerConnected', incarnation: old });
    const named: unknown[] = [];
    for (let now = 30; now < 1400; now += 100) {
      for (const from of [young, old]) {
        subject
          .at(now)
          .give({ kind: 'message', from, message: { kind: 'heartbeat', seq: now, holdings: [] } });
        const write = subject.of('writeLease').find(({ home }) => home === 'filer-a');
        if (write === undefined) continue;
        named.push(write.ownership.acknowledger);
        subject.applied(now);
      }
    }
    expect(named).toEqual([young]);
  });

  test('is the younger one as soon as that is heard steadily, though the older one acknowledges', () => {
    const subject = pairedHolder().at(800).give({ kind: 'partnerConnected', incarnation: young });
    let seq = 50;
    for (let now = 800; now < 1600 && subject.of('writeLease').length === 0; now += 100) {
      for (const from of [partner, young]) {
        subject
          .at(now)
          .give({ kind: 'message', from, message: { kind: 'heartbeat', seq: seq++, holdings: [] } });
        if (subject.of('readLease').length > 0) subject.readsTheSame('filer-a');
        if (subject.of('writeLease').length > 0) break;
      }
    }
    expect(subject.of('writeLease')[0]?.ownership).toMatchObject({ holder: me, acknowledger: young });
  });
});

describe('a server whom the witness does not answer', () => {
  const old = incarnationOf('filer-b', 'podB', 'run1');
  const young = incarnationOf('filer-b', 'podC', 'run2');
  const heard = (subject: OneServer, from: typeof old, seq: number, witnessSilent: boolean): void => {
    const silent = witnessSilent ? { witnessSilent } : {};
    subject.give({ kind: 'message', from, message: { kind: 'heartbeat', seq, holdings: [], ...silent } });
  };
  const says = (subject: OneServer): boolean | undefined => {
    for (let tries = 0; tries < 10; tries++) {
      subject.at(subject.now + 100).give({ kind: 'tick' });
      for (const { message } of subject.of('send'))
        if (message.kind === 'heartbeat') return message.witnessSilent;
    }
    throw new Error('no heartbeat');
  };

  test('says so in its heartbeats, until there is an answer or news', () => {
    const subject = new OneServer().give({ kind: 'partnerConnected', incarnation: partner });
    const unread = { kind: 'leaseRead', home: 'filer-b', outcome: { kind: 'unknown' } } as const;
    expect(says(subject)).toBe(true);
    subject.sees('filer-b', { holder: partner, epoch: 1 });
    expect(says(subject)).toBeUndefined();
    subject.give(unread);
    expect(says(subject)).toBe(true);
    subject.readsTheSame('filer-b');
    expect(says(subject)).toBeUndefined();
    subject.give({ kind: 'witnessSilent' });
    expect(says(subject)).toBe(true);
  });

  test.each<[string, LeaseWriteOutcome, boolean | undefined]>([
    ['an applied write', { kind: 'applied', sighting: sighting({ holder: me, epoch: 1 }, '2') }, undefined],
    ['a write that lost against another one', { kind: 'conflict' } as LeaseWriteOutcome, undefined],
    ['a write that was refused', { kind: 'refused', message: 'no' }, true],
    ['a write without an answer', { kind: 'unknown' }, true],
  ])('takes %s for an answer or not', (_, outcome, silent) => {
    const subject = new OneServer()
      .sees('filer-a', {})
      .give({ kind: 'partnerConnected', incarnation: partner });
    subject.sees('filer-b', { holder: partner, epoch: 1 });
    if (silent === undefined) subject.give({ kind: 'witnessSilent' });
    // Of the claim.
    subject.give({ kind: 'leaseWritten', home: 'filer-a', token: 0, outcome });
    const heard = subject.state.witnessSilent;
    expect(heard).toBe(silent === true);
  });

  test('is none that has just connected: it stays named beside an older one that is heard steadily', () => {
    const subject = pairedHolder();
    const older = incarnationOf('filer-b', 'podO', 'run0');
    subject.at(730).give({ kind: 'partnerConnected', incarnation: older });
    subject.give({ kind: 'partnerConnected', incarnation: partner });
    for (let now = 750; now < 700 + soloAfterMs(timing); now += 50) {
      subject.at(now);
      heard(subject, older, now, false);
      // To change its acknowledger it would read the Lease first.
      expect([...subject.of('readLease'), ...subject.of('writeLease')]).toEqual([]);
    }
  });

  test('is not named while another one is there whom it answers, though it was started later', () => {
    const subject = soloHolder().at(20);
    for (const incarnation of [old, young]) subject.give({ kind: 'partnerConnected', incarnation });
    const named: unknown[] = [];
    const hearBoth = (from: number, until: number, youngIsCutOff: boolean): void => {
      for (let now = from; now < until; now += 100) {
        for (const one of [old, young]) {
          subject.at(now);
          heard(subject, one, now, one === young && youngIsCutOff);
          if (subject.of('readLease').length > 0) subject.readsTheSame('filer-a');
          const write = subject.of('writeLease').find(({ home }) => home === 'filer-a');
          if (write === undefined) continue;
          named.push(write.ownership.acknowledger);
          subject.applied(now);
        }
      }
    };
    hearBoth(30, 1400, true);
    expect(named).toEqual([old]);
    subject.at(1400).acknowledged(subject.state.seq, 1, old);
    hearBoth(1400, 2000, false);
    expect(named).toEqual([old, young]);
    subject.at(2000).acknowledged(subject.state.seq, 1, young);
    hearBoth(2000, 2700, true);
    expect(named).toEqual([old, young, old]);
  });

  test('is named where there is no other: the holder needs no witness while it is acknowledged', () => {
    const subject = soloHolder().at(20).give({ kind: 'partnerConnected', incarnation: old });
    for (let now = 30; now < 1400 && subject.of('writeLease').length === 0; now += 100) {
      subject.at(now);
      heard(subject, old, now, true);
    }
    expect(subject.of('writeLease')[0]?.ownership).toMatchObject({ acknowledger: old });
  });
});

describe('a witness that goes back', () => {
  const known = { holder: partner, epoch: 4, renewal: 8, acknowledger: me };
  const restored = { holder: me, epoch: 3, renewal: 5 };
  const answer = (record: Partial<LeaseRecord>, version: string): Input => ({
    kind: 'leaseRead',
    home: 'filer-b',
    outcome: { kind: 'found', sighting: sighting(record, version) },
  });

  test('is believed of a read alone, and of one that no news has overtaken', () => {
    const subject = new OneServer().sees('filer-b', known, '9');
    subject.at(100).sees('filer-b', restored, '10');
    expect(subject.of('readLease')).toEqual([{ kind: 'readLease', home: 'filer-b' }]);
    // While it is under way the watch brings what is newer: the answer may be from before that.
    subject.at(110).sees('filer-b', { ...known, renewal: 9 }, '11');
    subject.at(120).give(answer(known, '9'));
    expect(subject.state.partner.wentBack).toBeNull();
    expect(subject.of('readLease')).toEqual([{ kind: 'readLease', home: 'filer-b' }]);
    subject.at(130).give(answer(known, '12'));
    expect(subject.state.partner.wentBack).toMatchObject({ since: 130 });
  });

  test('an observer leaves the holder lease + guard, asks no more, and then claims by what it knows', () => {
    const subject = new OneServer().at(10).give({ kind: 'partnerConnected', incarnation: partner });
    subject.sees('filer-b', known, '9').give(answer(known, '9'));
    subject.at(100).sees('filer-b', restored, '10');
    subject.at(110).give(answer(restored, '10'));
    expect(subject.of('trace')[0]!.event).toMatchObject({ name: 'wentBack' });
    let asked = 0;
    for (let now = 120; now < 110 + silence; now += 10) {
      subject.at(now).sees('filer-b', restored, '10');
      asked += subject.of('readLease').length + subject.of('writeLease').length;
    }
    expect(asked).toBe(0);
    subject.at(110 + silence).give({ kind: 'tick' });
    expect(subject.of('writeLease')[0]).toMatchObject({
      version: '10',
      ownership: { holder: me, epoch: 5, renewal: 9 },
    });
  });

  test('a proof of death does not shorten that', () => {
    const subject = new OneServer().sees('filer-b', known, '9').at(100).sees('filer-b', restored, '10');
    subject.at(110).give(answer(restored, '10'));
    const died = { kind: 'died', incarnation: partner, holdings: [{ home: 'filer-b', epoch: 4 }] } as const;
    subject.at(120).give({ kind: 'died', died: { ...died, evidence: 'sentinel' } });
    expect(subject.of('writeLease')).toEqual([]);
    subject.at(110 + silence).give({ kind: 'tick' });
    expect(subject.of('writeLease')[0]!.ownership).toMatchObject({ holder: me, epoch: 5 });
  });

  test('a holder writes its ownership again at once, and that confirms it', () => {
    const subject = pairedHolder().at(800).sees('filer-a', { holder: null, epoch: 0 }, '20');
    const before = servingLeaseOf(subject.state, 'filer-a')!;
    const sighted = sighting({ holder: null, epoch: 0 }, '20');
    subject
      .at(805)
      .give({ kind: 'leaseRead', home: 'filer-a', outcome: { kind: 'found', sighting: sighted } });
    expect(subject.of('writeLease')).toMatchObject([
      { version: '20', ownership: { holder: me, epoch: 1, acknowledger: partner } },
    ]);
    subject.applied(810);
    expect(servingLeaseOf(subject.state, 'filer-a')).toBe(805 + 2000);
    expect(before).toBeLessThan(805 + 2000);
    expect(subject.state.local).toMatchObject({ wentBack: null, role: { accepts: partner } });
  });
});

describe('R6: volumes that know of a higher epoch than the Lease', () => {
  const refused = (): OneServer => {
    const subject = new OneServer().sees('filer-a', { epoch: 1, renewal: 3 }).applied(10);
    subject.give({
      kind: 'diskSetOpenFailed',
      home: 'filer-a',
      epoch: 2,
      reason: 'VolumeEpochAhead',
      message: 'VolumeEpochAhead: epoch 7',
      epochFound: 7,
    });
    subject.at(20).give({ kind: 'diskSetClosed', home: 'filer-a' });
    return subject.applied(30);
  };

  test('are not tried again until an administrator says so: trying would wear the rule down', () => {
    const subject = refused();
    for (let now = 100; now < 100_000; now += 500) {
      subject.at(now).give({ kind: 'tick' });
      expect(subject.of('writeLease')).toEqual([]);
    }
    expect(nextWakeAt(subject.state, 100_000)).toBeGreaterThan(100_000);
  });

  const verdict = { epoch: 7, message: 'VolumeEpochAhead: epoch 7' };

  test('are said to be so on the Lease, with the release', () => {
    const subject = new OneServer().sees('filer-a', { epoch: 1, renewal: 3 }).applied(10);
    subject.give({
      kind: 'diskSetOpenFailed',
      home: 'filer-a',
      epoch: 2,
      reason: 'x',
      epochFound: 7,
      message: verdict.message,
    });
    subject.at(20).give({ kind: 'diskSetClosed', home: 'filer-a' });
    expect(subject.of('writeLease')[0]?.ownership).toMatchObject({ holder: null, volumesAhead: verdict });
  });

  test('are found so also where the right has run out meanwhile', () => {
    const subject = new OneServer().sees('filer-a', { epoch: 1, renewal: 3 }).applied(10);
    subject.at(2_100).give({ kind: 'tick' });
    expect(subject.state.local.role.name).toBe('fencing');
    subject.give({
      kind: 'diskSetOpenFailed',
      home: 'filer-a',
      epoch: 2,
      reason: 'x',
      epochFound: 7,
      message: verdict.message,
    });
    expect(subject.state.local).toMatchObject({ role: { name: 'fencing' }, ahead: verdict });
  });

  test.each<Home>(['filer-a', 'filer-b'])('are not tried by a later run, nor by the partner: %s', (home) => {
    const subject = new OneServer().sees(home, {
      epoch: 2,
      renewal: 5,
      releasedTo: 'filer-a',
      volumesAhead: verdict,
    });
    for (let now = 100; now < 30_000; now += 500) {
      subject.at(now).give({ kind: 'tick' });
      expect(subject.of('writeLease')).toEqual([]);
    }
    const asked = {
      id: 'r1',
      kind: home === 'filer-a' ? 'giveback' : 'takeover',
      reason: 'restored',
      force: true,
    } as const;
    subject.give({ kind: 'request', home, request: asked });
    expect(subject.of('writeLease')[0]?.ownership).toMatchObject({
      holder: me,
      epoch: 8,
      volumesAhead: null,
    });
  });

  test('are claimed as ever when the owner that they know has written the Lease again', () => {
    const subject = refused().at(60_000).sees('filer-a', { holder: partner, epoch: 7, renewal: 9 }, '30');
    expect(subject.state.local.ahead).toBeNull();
    subject.at(70_000).give({ kind: 'tick' });
    expect(subject.of('writeLease')[0]?.ownership).toMatchObject({ holder: me, epoch: 8 });
  });

  test('are claimed as ever when they belonged to a later owner, who has released them since', () => {
    const subject = refused().at(60_000).sees('filer-a', { epoch: 7, renewal: 9 }, '30');
    expect(subject.of('writeLease')[0]?.ownership).toMatchObject({ holder: me, epoch: 8 });
  });

  test('are claimed above their epoch, once, by force and with a reason', () => {
    const subject = refused().at(60_000);
    const asked = { id: 'r1', kind: 'giveback', reason: 'etcd was restored', force: true } as const;
    subject.give({ kind: 'request', home: 'filer-a', request: asked });
    expect(subject.of('writeLease')[0]?.ownership).toMatchObject({ holder: me, epoch: 8 });
  });
});
