/** The rules of docs/design.md as scenarios of one server: inputs in order, then what must have come out. */
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
  stranger,
  timing,
} from './testing/one-server.ts';
import type { Input, LeaseWriteOutcome } from './types.ts';

describe('R1: the right to serve', () => {
  test('begins when the claim was sent, not when it was answered', () => {
    const subject = new OneServer().sees('filer-a', {});
    expect(subject.of('writeLease')[0]!.ownership).toMatchObject({ holder: me, epoch: 1 });
    subject.applied(1500);
    expect(subject.of('setServingLease')).toEqual([
      { kind: 'setServingLease', home: 'filer-a', until: 2000 },
    ]);
    expect(subject.of('openDiskSet')).toEqual([{ kind: 'openDiskSet', home: 'filer-a', epoch: 1 }]);
  });

  test('does not begin at all if the answer took longer than the right lasts', () => {
    const subject = new OneServer().sees('filer-a', {}).applied(2000);
    expect(subject.of('openDiskSet')).toEqual([]);
    expect(servingLeaseOf(subject.state, 'filer-a')).toBeNull();
  });

  test('of a solo holder is renewed by its own writes, every third of the lease', () => {
    const subject = soloHolder().at(666).give({ kind: 'tick' });
    expect(subject.of('writeLease')).toEqual([]);
    subject.at(667).give({ kind: 'tick' }).applied(680);
    expect(servingLeaseOf(subject.state, 'filer-a')).toBe(2667);
  });

  test('of a paired holder grows with an acknowledgement, dated by the heartbeat it answers', () => {
    const subject = pairedHolder();
    subject.at(920).give({ kind: 'tick' });
    const { seq } = subject.state;
    subject.at(1400).acknowledged(seq);
    expect(servingLeaseOf(subject.state, 'filer-a')).toBe(920 + 2000);
  });

  test('costs no API write while acknowledgements come', () => {
    const subject = pairedHolder();
    let writes = 0;
    for (let now = 920; now < 20_000; now += 200) {
      subject
        .at(now)
        .give({ kind: 'message', from: partner, message: { kind: 'heartbeat', seq: now, holdings: [] } });
      writes += subject.of('writeLease').length;
      subject.at(now + 5).acknowledged();
      writes += subject.of('writeLease').length;
    }
    expect(writes).toBe(0);
    expect(servingLeaseOf(subject.state, 'filer-a')).toBeGreaterThan(21_000);
  });

  test('is not extended by an incarnation that the Lease does not name, nor for another epoch', () => {
    const subject = pairedHolder().at(920).give({ kind: 'tick' });
    const before = servingLeaseOf(subject.state, 'filer-a');
    subject.at(930).acknowledged(subject.state.seq, 1, stranger);
    subject.acknowledged(subject.state.seq, 2);
    expect(servingLeaseOf(subject.state, 'filer-a')).toBe(before);
  });

  test('accepts no acknowledgement of the dropped one from before the write that drops it is sent', () => {
    const subject = pairedHolder().at(920).give({ kind: 'tick' });
    const { seq } = subject.state;
    // 800 ms without an acknowledgement: it goes solo, if the witness answers.
    subject.at(1500).give({ kind: 'tick' });
    expect(subject.of('writeLease')).toEqual([]);
    subject.readsTheSame('filer-a');
    expect(subject.of('writeLease')[0]!.ownership).toMatchObject({
      holder: me,
      epoch: 1,
      acknowledger: null,
    });
    subject.at(1501).acknowledged(seq);
    expect(servingLeaseOf(subject.state, 'filer-a')).toBe(700 + 2000);
  });

  test('is renewed through the API at once when no connection with the acknowledger is left', () => {
    const subject = pairedHolder().at(930).give({ kind: 'partnerDisconnected', incarnation: partner });
    expect(subject.of('readLease')).toContainEqual({ kind: 'readLease', home: 'filer-a' });
    subject.at(935).readsTheSame('filer-a');
    expect(subject.of('writeLease')[0]!.ownership).toMatchObject({
      holder: me,
      epoch: 1,
      acknowledger: null,
    });
  });

  test('continues with the acknowledger while the witness does not answer, through resets and pauses (R4)', () => {
    const subject = pairedHolder();
    let seq = 100;
    const beat = (now: number): void => {
      subject
        .at(now)
        .give({ kind: 'message', from: partner, message: { kind: 'heartbeat', seq: seq++, holdings: [] } });
      expect(subject.of('writeLease')).toEqual([]);
    };
    beat(920);
    // A reset: no connection for 20 ms. The read is not answered.
    subject.at(930).give({ kind: 'partnerDisconnected', incarnation: partner });
    expect(subject.of('readLease')).toContainEqual({ kind: 'readLease', home: 'filer-a' });
    subject.at(950).give({ kind: 'partnerConnected', incarnation: partner });
    subject.at(960).acknowledged();
    subject.at(1730).give({ kind: 'leaseRead', home: 'filer-a', outcome: { kind: 'unknown' } });
    // A pause of the partner, of more than 0.4 of the lease.
    for (let now = 1800; now < 2800; now += 100) subject.at(now).give({ kind: 'tick' });
    expect(subject.of('writeLease')).toEqual([]);
    beat(2800);
    subject.at(2810).acknowledged();
    expect(subject.state.local.role).toMatchObject({ name: 'holder', accepts: partner, doubt: null });
    expect(servingLeaseOf(subject.state, 'filer-a')).toBe(2800 + 2000);
  });

  test('continues with the acknowledger after a write that was surely not executed, and not after an unknown one', () => {
    for (const outcome of [{ kind: 'refused', message: 'no' }, { kind: 'unknown' }] as const) {
      const subject = pairedHolder().at(930).give({ kind: 'partnerDisconnected', incarnation: partner });
      subject.at(935).readsTheSame('filer-a');
      const { token } = subject.of('writeLease')[0]!;
      subject.at(940).give({ kind: 'partnerConnected', incarnation: partner });
      subject.at(945).give({ kind: 'leaseWritten', home: 'filer-a', token, outcome });
      const before = servingLeaseOf(subject.state, 'filer-a')!;
      subject.at(950).acknowledged();
      const after = servingLeaseOf(subject.state, 'filer-a')!;
      if (outcome.kind === 'refused') expect(after).toBeGreaterThan(before);
      else expect(after).toBe(before);
    }
  });

  test('a planned stop finishes what runs also while the witness does not answer', () => {
    const subject = pairedHolder().at(930).give({ kind: 'partnerDisconnected', incarnation: partner });
    subject.at(935).readsTheSame('filer-a');
    const { token } = subject.of('writeLease')[0]!;
    subject.at(940).give({ kind: 'leaseWritten', home: 'filer-a', token, outcome: { kind: 'unknown' } });
    subject.at(950).give({ kind: 'stop' });
    expect(subject.of('closeDiskSet')).toEqual([{ kind: 'closeDiskSet', home: 'filer-a', mode: 'quiesce' }]);
  });

  test('gets nothing from a write with unknown outcome: it is looked up before anything else', () => {
    const subject = soloHolder().at(667).give({ kind: 'tick' });
    const { token } = subject.of('writeLease')[0]!;
    subject.at(700).give({ kind: 'leaseWritten', home: 'filer-a', token, outcome: { kind: 'unknown' } });
    expect(servingLeaseOf(subject.state, 'filer-a')).toBe(2000);
    subject.at(800).give({ kind: 'tick' });
    expect(subject.of('writeLease')).toEqual([]);
    expect(subject.of('readLease')).toEqual([{ kind: 'readLease', home: 'filer-a' }]);
  });
});

describe('R1: acknowledging', () => {
  const heartbeat: Input = {
    kind: 'message',
    from: partner,
    message: { kind: 'heartbeat', seq: 5, holdings: [{ home: 'filer-b', epoch: 4 }] },
  };

  function given(record: Partial<LeaseRecord>): unknown {
    const subject = new OneServer().at(10).give({ kind: 'partnerConnected', incarnation: partner });
    subject.sees('filer-b', { holder: partner, epoch: 4, renewal: 8, ...record });
    const [answer] = subject
      .at(20)
      .give(heartbeat)
      .of('send')
      .filter(({ message }) => message.kind === 'acknowledgement');
    return (answer!.message as { holdings: unknown }).holdings;
  }

  test('only a holder and epoch of a Lease that it has read and that names it', () => {
    expect(given({ acknowledger: me })).toEqual([{ home: 'filer-b', epoch: 4 }]);
    expect(given({ acknowledger: null })).toEqual([]);
    expect(given({ acknowledger: me, epoch: 5 })).toEqual([]);
    expect(given({ acknowledger: me, holder: stranger })).toEqual([]);
  });

  test('nothing from the moment it considers a claim until the outcome is known (R3)', () => {
    const subject = new OneServer().at(10).give({ kind: 'partnerConnected', incarnation: partner });
    subject.sees('filer-b', { holder: partner, epoch: 4, renewal: 8, acknowledger: me });
    subject.at(10 + silence).give({ kind: 'tick' });
    const { token } = subject.of('writeLease').find(({ home }) => home === 'filer-b')!;
    subject.at(20 + silence).give(heartbeat);
    expect(subject.of('send')[0]!.message).toMatchObject({ kind: 'acknowledgement', holdings: [] });
    // Unknown, and the Lease looks as before: the claim may still be applied, so it goes on claiming.
    subject
      .at(100 + silence)
      .give({ kind: 'leaseWritten', home: 'filer-b', token, outcome: { kind: 'unknown' } });
    subject.sees('filer-b', { holder: partner, epoch: 4, renewal: 8, acknowledger: me }, '2');
    subject.at(110 + silence).give(heartbeat);
    expect(subject.of('send')[0]!.message).toMatchObject({ kind: 'acknowledgement', holdings: [] });
    expect(
      subject
        .at(250 + silence)
        .give({ kind: 'tick' })
        .of('writeLease')[0],
    ).toMatchObject({ version: '2' });
  });
});

describe('R2: self-fence', () => {
  test('cuts the right and closes at the very end of the right, and disarms only after the close', () => {
    const subject = soloHolder();
    subject.at(667).give({ kind: 'tick' });
    expect(subject.at(1999).give({ kind: 'tick' }).of('closeDiskSet')).toEqual([]);
    expect(nextWakeAt(subject.state, 1999)).toBeLessThanOrEqual(2000);
    subject.at(2000).give({ kind: 'tick' });
    expect(subject.effects.map(({ kind }) => kind).slice(0, 2)).toEqual(['setServingLease', 'closeDiskSet']);
    expect(subject.of('closeDiskSet')[0]!.mode).toBe('fence');
    expect(subject.of('disarm')).toEqual([]);
    expect(subject.at(2001).give({ kind: 'diskSetClosed', home: 'filer-a' }).of('disarm')).toHaveLength(1);
  });

  test('goes on until the data path has said `closed`: a volume that could not be opened meanwhile says nothing of the others', () => {
    const subject = new OneServer().sees('filer-a', {}).applied(10);
    subject.at(400).give({ kind: 'stop' });
    expect(subject.of('closeDiskSet')[0]!.mode).toBe('fence');
    subject
      .at(1100)
      .give({ kind: 'diskSetOpenFailed', home: 'filer-a', epoch: 1, reason: 'NotAVolume', message: '' });
    expect(subject.of('disarm')).toEqual([]);
    expect(subject.of('writeLease')).toEqual([]);
    subject.at(1200).give({ kind: 'diskSetClosed', home: 'filer-a' });
    expect(subject.effects.map(({ kind }) => kind)).toEqual(['disarm', 'writeLease']);
  });

  test('an acknowledgement that comes after the end does not revive the right', () => {
    const subject = pairedHolder().at(920).give({ kind: 'tick' });
    const { seq } = subject.state;
    subject.at(2701).acknowledged(seq);
    expect(servingLeaseOf(subject.state, 'filer-a')).toBeNull();
  });

  test('at once when the Lease names another, whatever right is left', () => {
    const subject = soloHolder().at(500).sees('filer-a', { holder: partner, epoch: 2, renewal: 5 });
    expect(subject.of('closeDiskSet')[0]).toMatchObject({ home: 'filer-a', mode: 'fence' });
    expect(servingLeaseOf(subject.state, 'filer-a')).toBeNull();
  });
});

describe('R4: no witness, no claim', () => {
  test('a paired holder whose API is gone serves on, and nobody claims anything without it', () => {
    const subject = pairedHolder();
    for (let now = 920; now < 60_000; now += 200) {
      subject
        .at(now)
        .give({ kind: 'message', from: partner, message: { kind: 'heartbeat', seq: now, holdings: [] } });
      subject.at(now + 5).acknowledged();
      expect(subject.of('closeDiskSet')).toEqual([]);
      expect(subject.of('writeLease')).toEqual([]);
    }
  });
});

describe('R5: the sentinel of the partner', () => {
  test('its message brings a claim in the same step, without a wait', () => {
    const subject = new OneServer().sees('filer-b', {
      holder: partner,
      epoch: 4,
      renewal: 8,
      acknowledger: me,
    });
    const holdings = [{ home: 'filer-b', epoch: 4 }];
    const died = { kind: 'died', incarnation: partner, holdings, evidence: 'process 17 has exited' } as const;
    subject.at(100).give({ kind: 'died', died });
    expect(subject.of('writeLease')[0]!.ownership).toMatchObject({
      holder: me,
      epoch: 5,
      acknowledger: null,
    });
    expect(subject.of('trace').map(({ event }) => event.name)).toEqual(['detected', 'claiming']);
  });
});

describe('hand-over', () => {
  test('a planned stop quiesces with the right kept, then cuts it, then releases to the partner, then stops', () => {
    const subject = pairedHolder().at(930).give({ kind: 'stop' });
    expect(subject.of('closeDiskSet')[0]!.mode).toBe('quiesce');
    expect(servingLeaseOf(subject.state, 'filer-a')).not.toBeNull();
    subject.at(950).give({ kind: 'diskSetClosed', home: 'filer-a' });
    expect(subject.effects.map(({ kind }) => kind)).toEqual(['setServingLease', 'disarm', 'writeLease']);
    expect(subject.of('writeLease')[0]!.ownership).toMatchObject({
      holder: null,
      releasedTo: 'filer-b',
      epoch: 1,
    });
    expect(subject.of('stopped')).toEqual([]);
    expect(subject.applied(960).of('stopped')).toHaveLength(1);
  });

  test('a release with unknown outcome is repeated until the Lease names someone else, and nothing is served', () => {
    const subject = pairedHolder().at(930).give({ kind: 'stop' });
    subject.give({ kind: 'diskSetClosed', home: 'filer-a' });
    const { token } = subject.of('writeLease')[0]!;
    subject.at(990).give({ kind: 'leaseWritten', home: 'filer-a', token, outcome: { kind: 'unknown' } });
    subject.at(1100).sees('filer-a', { holder: me, epoch: 1, renewal: 2, acknowledger: partner }, '5');
    expect(subject.of('writeLease')[0]).toMatchObject({ version: '5', ownership: { holder: null } });
    expect(servingLeaseOf(subject.state, 'filer-a')).toBeNull();
    const again = subject.of('writeLease')[0]!.token;
    subject.at(1200).sees('filer-a', { holder: partner, epoch: 2, renewal: 4 }, '6');
    expect(subject.of('stopped')).toEqual([]);
    const outcome = { kind: 'conflict' } as const;
    subject.at(1210).give({ kind: 'leaseWritten', home: 'filer-a', token: again, outcome });
    expect(subject.of('stopped')).toHaveLength(1);
  });

  test('a request is answered also when the release had an unknown outcome and the addressee was faster', () => {
    const request = { id: 'r5', kind: 'takeover', reason: 'maintenance' } as const;
    const subject = pairedHolder().at(930).give({ kind: 'request', home: 'filer-a', request });
    subject.at(940).give({ kind: 'diskSetClosed', home: 'filer-a' });
    const { token } = subject.of('writeLease')[0]!;
    subject.at(990).give({ kind: 'leaseWritten', home: 'filer-a', token, outcome: { kind: 'unknown' } });
    subject.at(1000).sees('filer-a', { holder: partner, epoch: 2, renewal: 4 }, '8');
    expect(subject.of('requestAnswered')).toMatchObject([{ requestId: 'r5', result: 'done' }]);
  });

  test('a giveback request to the home server itself is refused with a sentence', () => {
    const request = { id: 'r1', kind: 'giveback', reason: 'test' } as const;
    const subject = pairedHolder().at(930).give({ kind: 'request', home: 'filer-a', request });
    expect(subject.of('requestAnswered')[0]).toMatchObject({ requestId: 'r1', result: 'refused' });
    expect(subject.of('requestAnswered')[0]!.message).toContain('already');
  });

  test('a takeover request is refused while the partner could not serve', () => {
    const request = { id: 'r2', kind: 'takeover', reason: 'maintenance' } as const;
    const subject = soloHolder().at(500).give({ kind: 'request', home: 'filer-a', request });
    expect(subject.of('requestAnswered')[0]!.message).toContain('no steady connection');
    expect(subject.of('closeDiskSet')).toEqual([]);
  });

  test('a request that stands in the Lease is answered as done by an owner that has it carried out already', () => {
    const request = { id: 'r4', kind: 'giveback', reason: 'test' } as const;
    const subject = pairedHolder().at(930);
    subject.sees('filer-a', { holder: me, epoch: 1, renewal: 2, acknowledger: partner, request }, '4');
    expect(subject.of('requestAnswered')[0]).toMatchObject({ requestId: 'r4', result: 'done' });
    expect(subject.of('closeDiskSet')).toEqual([]);
  });

  test('a request in the Lease is answered when its addressee owns the disk set', () => {
    const request = { id: 'r3', kind: 'takeover', reason: 'maintenance' } as const;
    const subject = pairedHolder().at(930);
    subject.sees('filer-a', { holder: me, epoch: 1, renewal: 2, acknowledger: partner, request }, '4');
    expect(subject.of('closeDiskSet')[0]!.mode).toBe('quiesce');
    subject.at(940).give({ kind: 'diskSetClosed', home: 'filer-a' }).applied(950);
    expect(subject.of('requestAnswered')).toEqual([]);
    subject.at(970).sees('filer-a', { holder: partner, epoch: 2, renewal: 4, request }, '8');
    expect(subject.of('requestAnswered')[0]).toMatchObject({ requestId: 'r3', result: 'done' });
  });
});

describe('both stop, and both start', () => {
  const toB = (subject: OneServer): unknown =>
    subject.of('send').filter(({ message }) => message.kind === 'heartbeat' && message.stopping === true);

  test('a server that stops says so at once, and names nobody who stops too: home claims when it is back', () => {
    const subject = pairedHolder().at(920).give({ kind: 'stop' });
    expect(toB(subject)).toHaveLength(1);
    subject.at(930).give({
      kind: 'message',
      from: partner,
      message: { kind: 'heartbeat', seq: 77, holdings: [], stopping: true },
    });
    subject.at(940).give({ kind: 'diskSetClosed', home: 'filer-a' });
    expect(subject.of('writeLease')[0]!.ownership).toMatchObject({ holder: null, releasedTo: null });
  });

  test('a partner that stays is named as before', () => {
    const subject = pairedHolder().at(920).give({ kind: 'stop' });
    subject.at(940).give({ kind: 'diskSetClosed', home: 'filer-a' });
    expect(subject.of('writeLease')[0]!.ownership).toMatchObject({ holder: null, releasedTo: 'filer-b' });
  });

  test('a release that was there before the start is for the home server first', () => {
    const subject = new OneServer().sees('filer-a', { epoch: 3, renewal: 9, releasedTo: 'filer-b' });
    expect(subject.of('writeLease')[0]!.ownership).toMatchObject({ holder: me, epoch: 4 });
    const addressee = new OneServer().sees('filer-b', { epoch: 3, renewal: 9, releasedTo: 'filer-a' });
    expect(addressee.of('writeLease')).toEqual([]);
    addressee.at(silence).give({ kind: 'tick' });
    expect(addressee.of('writeLease')[0]!.ownership).toMatchObject({ holder: me, epoch: 4 });
    // One that comes while it runs it takes at once.
    const running = new OneServer().sees('filer-b', { holder: partner, epoch: 3, renewal: 8 });
    running.at(10).sees('filer-b', { epoch: 3, renewal: 9, releasedTo: 'filer-a' }, '2');
    expect(running.of('writeLease')[0]!.ownership).toMatchObject({ holder: me, epoch: 4 });
  });
});

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
