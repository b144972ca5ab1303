/** What people ask for, and the answer that each of them gets; what happens by itself for want of an administrator. */
import { describe, expect, test } from 'vitest';
import { REQUEST_MS } from './disk-set/state.ts';
import { incarnationOf } from './incarnation.ts';
import type { LeaseRecord, TransferRequest } from './lease.ts';
import {
  type Home,
  me,
  OneServer,
  pairedHolder,
  partner,
  silence,
  soloHolder,
} from './testing/one-server.ts';
import type { PairPolicy } from './types.ts';

const takeover: TransferRequest = { id: 'r1', kind: 'takeover', reason: 'asked' };
const giveback: TransferRequest = { ...takeover, kind: 'giveback' };
/** Another run of this server, in another pod. */
const myOther = incarnationOf('filer-a', 'podZ', 'run9');
const asks = (server: OneServer, home: Home, request: TransferRequest) =>
  server.give({ kind: 'request', home, request });
const answers = (server: OneServer): string[] =>
  server.of('requestAnswered').map(({ result, message }) => `${result}: ${message}`);

describe('a server that does not hold the disk set', () => {
  test('says who does', () => {
    const server = new OneServer().sees('filer-b', { holder: partner, epoch: 4, renewal: 8 });
    expect(answers(asks(server, 'filer-b', giveback))).toEqual([
      'refused: filer-a does not own filer-b; ask filer-b',
    ]);
    expect(answers(asks(server, 'filer-b', takeover))).toEqual([
      'refused: filer-a does not own filer-b; ask filer-b',
    ]);
  });

  test('says who does, also to a forced request that is for the other server', () => {
    const server = new OneServer().sees('filer-b', { holder: partner, epoch: 4, renewal: 8 });
    expect(answers(asks(server, 'filer-b', { ...giveback, force: true }))).toEqual([
      'refused: filer-a does not own filer-b; ask filer-b',
    ]);
  });

  test('says so when nobody does, or when it does not know', () => {
    const released = new OneServer().sees('filer-b', { epoch: 4, renewal: 8 });
    for (const server of [released, new OneServer()])
      expect(answers(asks(server, 'filer-b', giveback))).toEqual(['refused: nobody owns filer-b now']);
  });
});

describe('a holder', () => {
  test('refuses while the disk set is being opened, and while it is being handed over', () => {
    const opening = new OneServer().sees('filer-a', {}).applied(10);
    expect(answers(asks(opening, 'filer-a', takeover))).toEqual(['refused: filer-a is being opened']);
    const leaving = pairedHolder().at(900).give({ kind: 'stop' });
    expect(answers(asks(leaving, 'filer-a', takeover))).toEqual([
      'refused: filer-a is being handed over already',
    ]);
  });

  test('that loses the Lease during a hand-over says that this was interrupted; of a stop nobody waits for an answer', () => {
    const lost = { holder: partner, epoch: 2, renewal: 9 };
    const asked = asks(pairedHolder().at(900), 'filer-a', takeover).at(910).sees('filer-a', lost);
    expect(answers(asked)).toEqual([
      'refused: interrupted: the Lease of filer-a names filer-b/podB/run1 at epoch 2',
    ]);
    const stopped = pairedHolder().at(900).give({ kind: 'stop' }).at(910).sees('filer-a', lost);
    expect(answers(stopped)).toEqual([]);
  });

  test('that only lost its right during a hand-over goes on with it', () => {
    const server = asks(pairedHolder().at(900), 'filer-a', takeover).tick(2700);
    expect(server.of('closeDiskSet')).toEqual([{ kind: 'closeDiskSet', home: 'filer-a', mode: 'fence' }]);
    expect(answers(server)).toEqual([]);
    expect(server.traces()).toEqual([
      { name: 'fenced', epoch: 1, message: 'no confirmation for 2000 ms (lease 2000 ms)' },
    ]);
    expect(server.closed('filer-a').write?.ownership).toMatchObject({ holder: null, releasedTo: 'filer-b' });
  });
});

describe('after a release that somebody asked for', () => {
  const released = () =>
    asks(pairedHolder().at(900), 'filer-a', takeover).at(910).closed('filer-a').applied(920);

  test('the answer is that of who claims', () => {
    const taken = released().at(930).sees('filer-a', { holder: partner, epoch: 2, renewal: 9 });
    expect(answers(taken)).toEqual(['done: filer-b owns filer-a']);
    const others = released().at(930).sees('filer-a', { holder: myOther, epoch: 2, renewal: 9 });
    expect(answers(others)).toEqual(['refused: filer-b did not take filer-a; filer-a owns it']);
  });

  test('it is refused when the addressee has not claimed, and this server takes it back', () => {
    const server = released().tick(920 + silence);
    expect(server.write?.ownership).toMatchObject({ holder: me, epoch: 2 });
    expect(answers(server.applied(930 + silence))).toEqual([
      'refused: filer-b did not take filer-a; filer-a owns it',
    ]);
    expect(server.set('filer-a').awaiting).toBeNull();
  });

  test('by a stop, nobody waits for an answer', () => {
    const server = pairedHolder().at(900).give({ kind: 'stop' }).at(910).closed('filer-a').applied(920);
    server.at(930).sees('filer-a', { holder: partner, epoch: 2, renewal: 9 });
    expect(answers(server)).toEqual([]);
  });
});

describe('force', () => {
  const stuck = (change: Partial<LeaseRecord> = {}) =>
    new OneServer().sees('filer-b', {
      holder: partner,
      epoch: 4,
      renewal: 8,
      acknowledger: myOther,
      ...change,
    });

  test('is a word of its own: a request without it is none, and neither is one for the other server', () => {
    for (const request of [takeover, { ...giveback, force: true }]) {
      const server = stuck({ request });
      for (let now = 0; now <= 40_000; now += 1000) {
        expect(server.tick(now).write).toBeUndefined();
        expect(answers(server)).toEqual([]);
      }
    }
    expect(stuck({ request: { ...takeover, force: true } }).tick(silence).write?.ownership).toMatchObject({
      holder: me,
      epoch: 5,
    });
  });

  test('counts from when the request was seen first, whatever is written beside it later', () => {
    const request = { ...takeover, force: true };
    const server = new OneServer()
      .at(10)
      .sees('filer-b', { holder: partner, epoch: 4, renewal: 8, acknowledger: myOther });
    const record = server.set('filer-b').seen!.record;
    server.at(500).sees('filer-b', { ...record, request }, 'a');
    server.at(1500).sees('filer-b', { ...record, request, disks: 'move-7' }, 'b');
    expect(server.tick(500 + silence - 1).write).toBeUndefined();
    expect(server.tick(500 + silence).write?.ownership).toMatchObject({ holder: me, epoch: 5 });
  });

  test('asked of this server is refused when half a minute is over, not before', () => {
    const server = asks(stuck().at(100), 'filer-b', { ...takeover, force: true });
    for (let renewal = 9; server.now < REQUEST_MS - 1000; renewal++)
      server.at(server.now + 1000).sees('filer-b', { ...server.set('filer-b').seen!.record, renewal });
    expect(answers(server.tick(100 + REQUEST_MS - 1))).toEqual([]);
    expect(answers(server.tick(100 + REQUEST_MS))).toEqual([`refused: not finished within ${REQUEST_MS} ms`]);
    expect(answers(server.tick(101 + REQUEST_MS))).toEqual([]);
  });
});

describe('volumes ahead of the Lease', () => {
  const forced: TransferRequest = { ...giveback, force: true };
  /** They know of epoch 7; the Lease is released at epoch 2. */
  const ahead = (change: Partial<LeaseRecord> = {}) =>
    new OneServer()
      .sees('filer-a', { epoch: 1, renewal: 3 })
      .applied(10)
      .give({
        kind: 'diskSetOpenFailed',
        home: 'filer-a',
        epoch: 2,
        reason: 'VolumeEpochAhead',
        message: 'epoch 7',
        epochFound: 7,
      })
      .at(20)
      .closed('filer-a')
      .applied(30, change);

  test('are so until the Lease knows of as much as they do', () => {
    const server = ahead().at(20_000).sees('filer-a', { epoch: 6, renewal: 30 });
    expect(server.write).toBeUndefined();
    expect(server.tick(40_000).write).toBeUndefined();
    server.at(40_010).sees('filer-a', { epoch: 7, renewal: 31 });
    expect(server.write?.ownership).toMatchObject({ holder: me, epoch: 8 });
  });

  test('a forced request on the Lease claims them, once it has been seen there, and another one does not', () => {
    const server = ahead({ request: forced }).tick(20_000);
    expect(server.write).toBeUndefined();
    const { version, record } = server.set('filer-a').seen!;
    server.at(20_010).sees('filer-a', record, version);
    expect(server.write?.ownership).toMatchObject({ holder: me, epoch: 8 });
    expect(ahead({ request: giveback }).tick(20_000).readsTheSame('filer-a').write).toBeUndefined();
  });
});

describe('an automatic giveback', () => {
  const automatic: PairPolicy = {
    takeover: 'Automatic',
    giveback: { mode: 'Automatic', afterMs: 5000, retries: 1, takeoversMax: 2, windowMs: 60_000 },
  };

  test('of a server’s own disk set there is none', () => {
    const server = pairedHolder(automatic);
    for (let now = 800; now < 20_000; now += 200) {
      server.beat(now).acknowledged();
      expect(server.of('closeDiskSet')).toEqual([]);
    }
    expect(server.set('filer-a').role).toMatchObject({ name: 'holder', port: 'open' });
  });

  test('waits until the disk set has been opened', () => {
    const back = incarnationOf('filer-b', 'podB', 'run2');
    const server = new OneServer(automatic).sees('filer-b', {
      holder: partner,
      epoch: 3,
      renewal: 7,
      acknowledger: me,
    });
    server.died(partner, 'filer-b', 3).applied(10).at(20).connects(back);
    for (let now = 100; now < 10_000; now += 100) {
      server.beat(now, back);
      if (server.write?.home === 'filer-b') server.applied(now);
      else if (server.of('readLease').some(({ home }) => home === 'filer-b')) server.readsTheSame('filer-b');
      expect(server.of('closeDiskSet')).toEqual([]);
      const { role } = server.set('filer-b');
      if (role.name === 'holder' && role.accepts === back)
        server.hears(
          { kind: 'acknowledgement', seq: server.state.seq, holdings: [{ home: 'filer-b', epoch: 4 }] },
          back,
        );
    }
    server.at(10_000).opened('filer-b', 4);
    expect(server.of('closeDiskSet')).toEqual([{ kind: 'closeDiskSet', home: 'filer-b', mode: 'quiesce' }]);
  });

  test('that home has completed is forgotten: the next one is the first again', () => {
    const server = soloHolder(automatic);
    server.state = {
      ...server.state,
      partner: {
        ...server.state.partner,
        memory: { attempts: 2, notBefore: 90_000, takeovers: [1], gave: null },
      },
    };
    server.at(50).sees('filer-b', { holder: partner, epoch: 3, renewal: 7 });
    expect(server.set('filer-b').memory).toMatchObject({ attempts: 0, notBefore: Number.NEGATIVE_INFINITY });
    server.state = {
      ...server.state,
      partner: {
        ...server.state.partner,
        memory: { attempts: 2, notBefore: 90_000, takeovers: [1], gave: null },
      },
    };
    server
      .at(60)
      .sees('filer-b', { epoch: 3, renewal: 8 })
      .sees('filer-b', { holder: myOther, epoch: 4, renewal: 9 });
    expect(server.set('filer-b').memory.attempts).toBe(2);
  });
});
