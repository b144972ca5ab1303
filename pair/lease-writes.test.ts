/** What follows from the outcome of a write to the Lease, also of one that has been given up, and when the next is sent. */
import { describe, expect, test } from 'vitest';
import { incarnationOf } from './incarnation.ts';
import { nextWakeAt } from './server.ts';
import { renewEveryMs, retryAfterMs } from './serving-lease.ts';
import { me, OneServer, pairedHolder, partner, silence, soloHolder, timing } from './testing/one-server.ts';

const renewMs = renewEveryMs(timing);
const retryMs = retryAfterMs(timing);

describe('a write that was given up', () => {
  /** A renewal, sent at 667, has no outcome when the lease has run out. */
  const fencing = () => {
    const server = soloHolder().tick(667);
    const { token } = server.write!;
    return { token, server: server.tick(2000) };
  };
  /** ... and the Lease has been read again, so that a second write is under way. */
  const regaining = () => {
    const { token, server } = fencing();
    server
      .at(2100)
      .written(token, { kind: 'unknown' })
      .reads('filer-a', { holder: me, epoch: 1, renewal: 1 });
    server.at(2110).closed('filer-a').reads('filer-a', { holder: me, epoch: 1, renewal: 1 });
    expect(server.set('filer-a').role.name).toBe('regaining');
    return { token, server };
  };

  test('brings no right when it turns out to be applied', () => {
    const { token, server } = regaining();
    const record = { ...server.set('filer-a').seen!.record, renewal: 2 };
    server.at(2120).written(token, { kind: 'applied', sighting: { version: '2', record } });
    expect(server.set('filer-a').role.name).toBe('regaining');
    expect(server.servingLease('filer-a')).toBeNull();
    expect(server.effects.map(({ kind }) => kind)).not.toContain('openDiskSet');
  });

  test('brings none, and makes nobody wait, when its outcome stays unknown', () => {
    const { token, server } = fencing();
    server.at(2010).written(token, { kind: 'unknown' });
    expect(server.set('filer-a').role.name).toBe('fencing');
    expect(server.servingLease('filer-a')).toBeNull();
    expect(server.of('readLease')).toEqual([{ kind: 'readLease', home: 'filer-a' }]);
  });

  test('is news when it was applied', () => {
    const { token, server } = fencing();
    const record = { ...server.set('filer-a').seen!.record, renewal: 2 };
    server.at(2010).written(token, { kind: 'applied', sighting: { version: '2', record } });
    expect(server.set('filer-a').seen).toEqual({ version: '2', record });
    expect(server.of('readLease')).toEqual([]);
  });
});

describe('after a write that was not applied', () => {
  test('a conflict is looked up at once, an unknown outcome after a pause', () => {
    const conflict = soloHolder().tick(667);
    conflict.at(680).written(conflict.write!.token, { kind: 'conflict' });
    expect(conflict.of('readLease')).toHaveLength(1);
    for (const outcome of [{ kind: 'unknown' }, { kind: 'refused', message: 'no' }] as const) {
      const server = soloHolder().tick(667);
      server.at(680).written(server.write!.token, outcome);
      expect(server.of('readLease')).toEqual([]);
      expect(server.tick(680 + retryMs - 1).of('readLease')).toEqual([]);
      expect(server.tick(680 + retryMs).of('readLease')).toHaveLength(1);
    }
  });

  test('news does not spare the pause: renewing, regaining, releasing and claiming wait for it, and no longer', () => {
    const renewing = soloHolder().tick(667);
    renewing.at(680).written(renewing.write!.token, { kind: 'refused', message: 'no' });
    renewing.at(690).sees('filer-a', { holder: me, epoch: 1, renewal: 1 });
    expect(renewing.write).toBeUndefined();
    expect(renewing.tick(680 + retryMs).write?.ownership).toMatchObject({ holder: me, epoch: 1 });

    const regaining = soloHolder().tick(2000).at(2010).closed('filer-a');
    regaining.reads('filer-a', { holder: me, epoch: 1, renewal: 1 });
    regaining.at(2020).written(regaining.write!.token, { kind: 'refused', message: 'no' });
    regaining.at(2030).sees('filer-a', { holder: me, epoch: 1, renewal: 1 });
    expect(regaining.write).toBeUndefined();
    expect(regaining.tick(2020 + retryMs).write?.ownership).toMatchObject({ holder: me, epoch: 1 });

    const releasing = soloHolder().at(100).give({ kind: 'stop' }).closed('filer-a');
    releasing.at(110).written(releasing.write!.token, { kind: 'unknown' });
    releasing.at(120).sees('filer-a', { holder: me, epoch: 1, renewal: 1 });
    expect(releasing.write).toBeUndefined();
    expect(releasing.tick(110 + retryMs).write?.ownership).toMatchObject({ holder: null });

    const claiming = new OneServer().sees('filer-a', {});
    claiming.at(10).written(claiming.write!.token, { kind: 'unknown' });
    claiming.at(20).sees('filer-a', {}, '2');
    expect(claiming.write).toBeUndefined();
    expect(claiming.tick(10 + retryMs).write?.ownership).toMatchObject({ holder: me, epoch: 1 });
  });

  test('a claim is lost, and says to whom: to another write, or to the one that refused it', () => {
    const server = new OneServer().sees('filer-a', {});
    server.at(10).written(server.write!.token, { kind: 'conflict' });
    expect(server.traces()).toEqual([{ name: 'claimLost', message: 'another write came first' }]);
    const refused = new OneServer().sees('filer-a', {});
    refused.at(10).written(refused.write!.token, { kind: 'refused', message: 'forbidden' });
    expect(refused.traces()).toEqual([{ name: 'claimLost', message: 'forbidden' }]);
    // The reason to claim is the same: it is announced once.
    refused.at(10 + retryMs).reads('filer-a', {}, '2');
    expect(refused.traces().map(({ name }) => name)).toEqual(['claiming']);
  });

  test('a claim that was refused is made again after the pause, and the server asks to be woken for it', () => {
    const server = new OneServer().sees('filer-a', {});
    server.at(10).written(server.write!.token, { kind: 'refused', message: 'no' });
    server.at(20).sees('filer-a', {}, '2');
    expect(server.write).toBeUndefined();
    expect(nextWakeAt(server.state, 20)).toBe(10 + retryMs);
    expect(server.tick(10 + retryMs).write?.ownership).toMatchObject({ holder: me, epoch: 1 });
  });

  test('so is a release that was refused, and the write by which an owner regains its right', () => {
    const stopping = soloHolder().at(100).give({ kind: 'stop' }).closed('filer-a');
    stopping.at(110).written(stopping.write!.token, { kind: 'refused', message: 'no' });
    expect(nextWakeAt(stopping.state, 110)).toBe(110 + retryMs);
    const fenced = soloHolder().tick(2000).at(2010).closed('filer-a').at(2020).readsTheSame('filer-a');
    fenced.at(2030).written(fenced.write!.token, { kind: 'refused', message: 'no' });
    expect(nextWakeAt(fenced.state, 2030)).toBe(2030 + retryMs);
  });

  test('news that comes in the pause leaves the wake-up at its end: to regain, and to release in a stop', () => {
    const named = { holder: me, epoch: 1, renewal: 1 };
    const fenced = soloHolder().tick(2000).at(2010).closed('filer-a').readsTheSame('filer-a');
    fenced.at(2020).written(fenced.write!.token, { kind: 'refused', message: 'no' });
    fenced.at(2030).sees('filer-a', named);
    expect(nextWakeAt(fenced.state, 2030)).toBe(2020 + retryMs);

    const stopping = soloHolder().at(100).give({ kind: 'stop' }).closed('filer-a');
    stopping.at(110).written(stopping.write!.token, { kind: 'unknown' });
    stopping.at(120).sees('filer-a', named);
    expect(nextWakeAt(stopping.state, 120)).toBe(110 + retryMs);
  });

  test('an owner that is acknowledged asks to be woken for what comes, not at once', () => {
    expect(nextWakeAt(pairedHolder().state, 720)).toBeGreaterThan(720);
  });

  test('a release is one of its own epoch: a later one that names this server is not released', () => {
    const server = soloHolder().at(100).give({ kind: 'stop' }).closed('filer-a');
    server.at(110).written(server.write!.token, { kind: 'unknown' });
    server.at(120).sees('filer-a', { holder: me, epoch: 2, renewal: 9 });
    expect(server.tick(110 + retryMs).write).toBeUndefined();
    expect(server.set('filer-a').role.name).not.toBe('releasing');
  });

  test('a release whose try was applied after all is not sent again', () => {
    const server = pairedHolder().at(930).give({ kind: 'stop' }).closed('filer-a');
    server.at(940).written(server.write!.token, { kind: 'unknown' });
    server.at(940 + retryMs).sees('filer-a', { epoch: 1, renewal: 3, releasedTo: 'filer-b' });
    expect(server.write).toBeUndefined();
    expect(server.traces()).toEqual([{ name: 'released', epoch: 1, to: 'filer-b' }]);
    expect(server.of('stopped')).toHaveLength(1);
  });
});

describe('a write that was applied', () => {
  test('ends a read that was asked for while it was under way: its answer may be from before', () => {
    const server = soloHolder().connects().tick(667);
    const { token } = server.write!;
    server.at(670).hears({ kind: 'leaseChanged', home: 'filer-a' });
    expect(server.of('readLease')).toHaveLength(1);
    const before = server.set('filer-a').seen!;
    const record = { ...before.record, renewal: before.record.renewal + 1 };
    server.at(680).written(token, { kind: 'applied', sighting: { version: 'new', record } });
    server.at(690).reads('filer-a', before.record, before.version);
    expect(server.traces()).toEqual([]);
    expect(server.set('filer-a').wentBack).toBeNull();
    expect(server.set('filer-a').seen!.version).toBe('new');
    expect(server.of('readLease')).toHaveLength(1);
  });

  test('leaves nothing to look up', () => {
    const server = soloHolder().tick(667).applied(680);
    expect(server.of('readLease')).toEqual([]);
    expect(server.tick(700).of('readLease')).toEqual([]);
  });

  test('is told to people: a claim, the opening, a pairing; not each renewal', () => {
    const server = new OneServer().sees('filer-a', {}).applied(10);
    expect(server.traces()).toEqual([{ name: 'owned', epoch: 1, cause: 'Unowned' }]);
    expect(server.opened('filer-a', 1).traces()).toEqual([{ name: 'serving', epoch: 1 }]);
    expect(server.tick(667).traces()).toEqual([]);
    expect(server.applied(680).traces()).toEqual([]);
    expect(pairedHolder().traces()).toEqual([{ name: 'paired', epoch: 1, acknowledger: partner }]);
  });

  test('that claimed releases again when this server has been told to stop meanwhile', () => {
    const server = new OneServer().sees('filer-a', {}).at(5);
    const claim = server.write!;
    server.give({ kind: 'stop' });
    server.at(10).written(claim.token, {
      kind: 'applied',
      sighting: {
        version: '1',
        record: { ...server.set('filer-a').seen!.record, ...claim.ownership },
      },
    });
    expect(server.of('openDiskSet')).toEqual([]);
    expect(server.servingLease('filer-a')).toBeNull();
    expect(server.write?.ownership).toMatchObject({ holder: null, epoch: 1 });
  });

  test('that claimed lets nobody extend the right whom it has not named, steady though that one has become meanwhile', () => {
    const server = new OneServer().connects().sees('filer-a', {});
    const claim = server.write!;
    expect(claim.ownership.acknowledger).toBeNull();
    for (const now of [100, 300, 500, 700, 900]) server.beat(now);
    const record = { ...server.set('filer-a').seen!.record, ...claim.ownership };
    server.at(910).written(claim.token, { kind: 'applied', sighting: { version: '1', record } });
    expect(server.set('filer-a').role).toMatchObject({ name: 'holder', accepts: null, named: null });
    const servingLease = server.servingLease('filer-a');
    server.opened('filer-a', 1).beat(1000).acknowledged();
    expect(server.servingLease('filer-a')).toBe(servingLease);
  });

  test('that claimed says nothing of the volumes when the Lease knows nothing of them', () => {
    const [opening] = new OneServer().sees('filer-a', {}).applied(10).of('openDiskSet');
    expect(opening).toStrictEqual({ kind: 'openDiskSet', home: 'filer-a', epoch: 1 });
  });
});

describe('a solo holder', () => {
  test('renews a third of the lease after its last write, to the moment, and not while one is under way', () => {
    const server = soloHolder().tick(renewMs);
    expect(server.write?.ownership).toMatchObject({ holder: me, epoch: 1, acknowledger: null });
    const { token } = server.write!;
    expect(server.tick(renewMs + 50).write).toBeUndefined();
    const record = { ...server.set('filer-a').seen!.record, renewal: 2 };
    server.at(renewMs + 60).written(token, { kind: 'applied', sighting: { version: '2', record } });
    expect(server.write).toBeUndefined();
    expect(server.tick(renewMs * 2 - 1).write).toBeUndefined();
    expect(server.tick(renewMs * 2).write?.ownership).toMatchObject({ holder: me, epoch: 1 });
  });

  test('whose right has run out reads, and renews solo before it serves again', () => {
    const server = soloHolder().tick(2000);
    expect(server.traces()).toEqual([
      { name: 'fenced', epoch: 1, message: 'no confirmation for 2000 ms (lease 2000 ms)' },
    ]);
    server.at(2010).closed('filer-a');
    expect(server.of('disarm')).toHaveLength(1);
    expect(server.write).toBeUndefined();
    expect(server.of('readLease')).toHaveLength(1);
    server.at(2020).reads('filer-a', { holder: me, epoch: 1, renewal: 1, acknowledger: partner });
    expect(server.of('openDiskSet')).toEqual([]);
    expect(server.write?.ownership).toMatchObject({ holder: me, epoch: 1, acknowledger: null });
    server.applied(2030);
    expect(server.servingLease('filer-a')).toBe(2020 + timing.leaseMs);
    expect(server.of('openDiskSet')).toHaveLength(1);
  });
});

describe('an acknowledger that hears and does not acknowledge', () => {
  /** Heartbeats come all the time. Writes of this disk set, with when they were sent; each is applied at once. */
  function writes(until: number): [number, unknown][] {
    const server = pairedHolder();
    const sent: [number, unknown][] = [];
    for (let now = 800; now <= until; now += 100) {
      server.beat(now);
      if (server.of('readLease').some(({ home }) => home === 'filer-a')) server.readsTheSame('filer-a');
      if (server.write?.home !== 'filer-a') continue;
      sent.push([now, server.write.ownership.acknowledger]);
      server.applied(now);
    }
    return sent;
  }

  test('is dropped after 0.4 of the lease, and not named again for a lease time', () => {
    expect(writes(3600)).toEqual([
      [1500, null],
      [2200, null],
      [2900, null],
      [3500, partner],
    ]);
  });

  test('is dropped with a word to people, once', () => {
    const server = pairedHolder().beat(900).beat(1100).beat(1300).tick(1500);
    server.readsTheSame('filer-a');
    expect(server.traces()).toEqual([
      { name: 'solo', epoch: 1, message: 'filer-b/podB/run1 does not acknowledge' },
    ]);
    server.applied(1510);
    expect(server.traces()).toEqual([]);
    expect(server.tick(2300).write?.ownership).toMatchObject({ acknowledger: null });
    expect(server.traces()).toEqual([]);
  });

  test('was not dropped by a write that names it again', () => {
    const server = pairedHolder().beat(900).at(905).sees('filer-a', { epoch: 0 }, '20');
    server.at(910).reads('filer-a', { epoch: 0 }, '20');
    expect(server.write?.ownership).toMatchObject({ holder: me, acknowledger: partner });
    // Nobody knows what became of it; then the Lease turns out to be as it was before.
    server.at(920).written(server.write!.token, { kind: 'unknown' });
    server.beat(1100).at(1110).sees('filer-a', { holder: me, epoch: 1, renewal: 9 }, '21');
    expect(server.write?.ownership).toMatchObject({ holder: me, acknowledger: partner });
  });

  test('is asked about at the witness before it is dropped, also after a refused write', () => {
    const server = pairedHolder().at(930).disconnects();
    server.at(935).readsTheSame('filer-a');
    const { token } = server.write!;
    // It is there again. A read that it asked for is under way when the write is refused.
    server.at(940).connects().at(945).hears({ kind: 'leaseChanged', home: 'filer-a' });
    server.at(950).written(token, { kind: 'refused', message: 'no' });
    server.at(960).readsTheSame('filer-a');
    server.at(970).disconnects();
    server.tick(950 + retryMs);
    expect(server.write).toBeUndefined();
    expect(server.of('readLease')).toHaveLength(1);
  });
});

describe('the acknowledgement that comes at the very end of the right', () => {
  test('does not extend it', () => {
    const server = pairedHolder().tick(920).at(2700).acknowledged();
    expect(server.of('setServingLease')).toEqual([{ kind: 'setServingLease', home: 'filer-a', until: null }]);
    expect(server.servingLease('filer-a')).toBeNull();
  });

  test('gives nothing when it comes twice', () => {
    const server = pairedHolder().tick(920).at(925).acknowledged();
    expect(server.of('setServingLease')).toHaveLength(1);
    expect(server.acknowledged().of('setServingLease')).toEqual([]);
  });
});

describe('an earlier run of the same container that holds the partner’s disk set', () => {
  const earlier = incarnationOf('filer-a', 'podA', 'run0');

  test('is followed at once when no partner is there, and after lease + guard when it might take it', () => {
    const held = { holder: earlier, epoch: 3, renewal: 8, acknowledger: partner };
    const alone = new OneServer().at(10).sees('filer-b', held);
    expect(alone.write?.ownership).toMatchObject({ holder: me, epoch: 4 });
    const beside = new OneServer().at(5).connects().at(10).sees('filer-b', held);
    expect(beside.write).toBeUndefined();
    expect(beside.tick(10 + silence).write?.ownership).toMatchObject({ holder: me, epoch: 4 });
  });
});
