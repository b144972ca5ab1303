/** The rules of docs/design.md as scenarios of one server: inputs in order, then what must have come out. */
import { describe, expect, test } from 'vitest';
import type { LeaseRecord } from './lease.ts';
import { nextWakeAt, servingLeaseOf } from './server.ts';
import { me, OneServer, pairedHolder, partner, silence, soloHolder, stranger } from './testing/one-server.ts';
import type { Input } from './types.ts';

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
