/** What the two servers say to each other, and what each makes of it. */
import { describe, expect, test } from 'vitest';
import { initialServer } from './server/state.ts';
import { nextWakeAt, step } from './server.ts';
import {
  me,
  OneServer,
  pairedHolder,
  partner,
  silence,
  soloHolder,
  stranger,
  timing,
} from './testing/one-server.ts';

const failed = (epochFound?: number) => ({
  kind: 'diskSetOpenFailed' as const,
  home: 'filer-a' as const,
  epoch: 1,
  reason: 'IoError',
  message: 'EIO',
  ...(epochFound === undefined ? {} : { epochFound }),
});

describe('a heartbeat', () => {
  test('is sent when the partner connects, and then in its interval; numbers grow by one', () => {
    const server = new OneServer().connects();
    expect(server.sent('heartbeat').map(({ seq }) => seq)).toEqual([1]);
    expect(nextWakeAt(server.state, 0)).toBeLessThanOrEqual(timing.heartbeatMs);
    expect(server.tick(timing.heartbeatMs - 1).sent('heartbeat')).toEqual([]);
    expect(
      server
        .tick(timing.heartbeatMs)
        .sent('heartbeat')
        .map(({ seq }) => seq),
    ).toEqual([2]);
  });

  test('is sent to nobody, and wakes nobody, while no partner is connected', () => {
    const server = new OneServer().connects().tick(10);
    server.at(20).disconnects();
    for (let now = 30; now < 1000; now += 100) expect(server.tick(now).of('send')).toEqual([]);
    server.sees('filer-a', { holder: partner, epoch: 1, renewal: 1, acknowledger: stranger });
    server.sees('filer-b', { holder: partner, epoch: 1, renewal: 1, acknowledger: stranger });
    expect(nextWakeAt(server.state, 1000)).toBe(Number.POSITIVE_INFINITY);
  });

  test('goes to every run of the partner’s server that is connected', () => {
    const server = new OneServer().connects().at(10).connects(stranger);
    expect(server.of('send').map(({ to }) => to)).toEqual([partner, stranger]);
  });

  test('names what this server holds, with its epoch, and nothing that it does not', () => {
    const observer = new OneServer().connects();
    expect(observer.sent('heartbeat')[0]!.holdings).toStrictEqual([]);
    const holder = soloHolder().at(20).connects();
    expect(holder.sent('heartbeat')[0]!.holdings).toStrictEqual([{ home: 'filer-a', epoch: 1 }]);
    const fenced = holder.tick(2000);
    expect(fenced.sent('heartbeat')[0]!.holdings).toStrictEqual([]);
  });

  test('says what could not be served here as long as that counts, and whether this server stops', () => {
    const healthy = new OneServer().connects().sent('heartbeat')[0]!;
    expect('cannotServe' in healthy || 'stopping' in healthy).toBe(false);
    const server = new OneServer().sees('filer-a', {}).applied(10).give(failed()).at(20).connects();
    expect(server.sent('heartbeat')[0]!.cannotServe).toEqual(['filer-a']);
    expect(server.tick(10 + 4 * silence - 1).sent('heartbeat')[0]!.cannotServe).toEqual(['filer-a']);
    server
      .disconnects()
      .at(10 + 4 * silence)
      .connects();
    expect('cannotServe' in server.sent('heartbeat')[0]!).toBe(false);
    expect(server.give({ kind: 'stop' }).sent('heartbeat')[0]!.stopping).toBe(true);
  });

  test('says so of volumes ahead of the Lease for longer', () => {
    const server = new OneServer().sees('filer-a', {}).applied(10).give(failed(7));
    server.at(10 + 5 * silence).connects();
    expect(server.sent('heartbeat')[0]!.cannotServe).toEqual(['filer-a']);
  });
});

describe('an acknowledgement', () => {
  test('counts for the heartbeat that it answers, however late; of an unknown one it gives nothing', () => {
    const server = pairedHolder().tick(920);
    const { seq } = server.state;
    for (let now = 1120; now <= 1400; now += 200) server.tick(now);
    server.at(1410).acknowledged(seq);
    expect(server.servingLease('filer-a')).toBe(920 + timing.leaseMs);
    server.acknowledged(9999).acknowledged(0);
    expect(server.servingLease('filer-a')).toBe(920 + timing.leaseMs);
  });

  test('is not believed of the 65th last heartbeat: what is remembered has an end', () => {
    const server = new OneServer().connects();
    for (let now = 200; now <= 200 * 200; now += 200) server.tick(now);
    expect(server.state.sentAt).toHaveLength(64);
    expect(server.state.sentAt.at(-1)).toEqual({ seq: server.state.seq, at: 40_000 });
  });

  test('of a disk set that the acknowledgement does not name gives nothing', () => {
    const server = pairedHolder().tick(920);
    const before = server.servingLease('filer-a');
    server.at(930).hears({ kind: 'acknowledgement', seq: server.state.seq, holdings: [] });
    expect(server.servingLease('filer-a')).toBe(before);
  });
});

describe('a partner is steady', () => {
  /** A solo holder names it as soon as it is. When, if it hears heartbeats at these times and nothing else comes in? */
  function namedAt(...heartbeats: number[]): number | null {
    const server = soloHolder().at(20).connects();
    for (const now of heartbeats) {
      server.beat(now);
      if (server.write?.ownership.acknowledger === partner) return now;
      if (server.write !== undefined) server.applied(now);
    }
    return null;
  }

  test('three heartbeats after its first one, not after its connection', () => {
    expect(namedAt(100, 300, 500, 690, 700)).toBe(700);
    expect(namedAt(100, 300, 500, 699)).toBeNull();
    const silent = soloHolder().at(20).connects();
    for (let now = 50; now < 660; now += 10) expect(silent.tick(now).write).toBeUndefined();
  });

  test('through a gap of three heartbeats, and not through a longer one', () => {
    expect(namedAt(100, 700)).toBe(700);
    expect(namedAt(100, 701, 900, 1100, 1300, 1301)).toBe(1301);
  });

  test('until it has not been heard for more than three heartbeats', () => {
    // The claim names a steady partner: here the last heartbeat is 600 ms old, there 601.
    const steadyAt = (now: number) => {
      const server = new OneServer().connects().beat(100).beat(300).beat(500).beat(700).beat(900);
      return server.at(now).sees('filer-a', {}).write!.ownership.acknowledger;
    };
    expect(steadyAt(1500)).toBe(partner);
    expect(steadyAt(1501)).toBeNull();
  });
});

describe('a partner that says that it stops', () => {
  const stopping = { kind: 'heartbeat', seq: 50, holdings: [], stopping: true } as const;
  const acknowledgement = { kind: 'acknowledgement', seq: 50, holdings: [] } as const;

  test('is remembered to, when its connection has ended and by what else it says', () => {
    const server = pairedHolder().at(900).hears(stopping).hears(acknowledgement).at(910).disconnects();
    expect(server.state.partnerStops).toBe(true);
    expect(server.at(920).connects(stranger).state.partnerStops).toBe(false);
  });

  test('is none that has only gone', () => {
    expect(pairedHolder().at(910).disconnects().state.partnerStops).toBe(false);
  });

  test('is not the only one there: the other run may take what is released', () => {
    const server = pairedHolder().at(800).connects(stranger).at(900).hears(stopping);
    server.at(910).give({ kind: 'stop' }).closed('filer-a');
    expect(server.write?.ownership).toMatchObject({ holder: null, releasedTo: 'filer-b' });
    expect(new OneServer().state.partnerStops).toBe(false);
  });
});

describe('`leaseChanged`', () => {
  const known = { holder: partner, epoch: 4, renewal: 8, acknowledger: me };

  test.each(['filer-a', 'filer-b'] as const)('has the Lease of %s read, and no other', (home) => {
    const server = new OneServer().at(10).connects().sees('filer-a', known).sees('filer-b', known);
    server.readsTheSame('filer-a').readsTheSame('filer-b').at(20).hears({ kind: 'leaseChanged', home });
    expect(server.of('readLease')).toEqual([{ kind: 'readLease', home }]);
  });

  test('of a disk set of others is ignored', () => {
    const server = new OneServer().at(10).connects().sees('filer-a', known).sees('filer-b', known);
    server
      .readsTheSame('filer-a')
      .readsTheSame('filer-b')
      .at(20)
      .hears({ kind: 'leaseChanged', home: 'filer-z' });
    expect(server.of('readLease')).toEqual([]);
  });

  test('is said when this server has claimed, named an acknowledger, dropped it, or released', () => {
    const changed = { kind: 'leaseChanged', home: 'filer-a' };
    const claimed = new OneServer().connects().sees('filer-a', {}).applied(10);
    expect(claimed.sent('leaseChanged')).toEqual([changed]);
    expect(claimed.of('send').at(-1)!.to).toBe(partner);
    const paired = pairedHolder();
    expect(paired.sent('leaseChanged')).toEqual([changed]);
    paired.at(930).disconnects().at(932).connects(stranger).at(935).readsTheSame('filer-a');
    expect(paired.applied(940).sent('leaseChanged')).toEqual([changed]);
    const releasing = pairedHolder().at(930).give({ kind: 'stop' }).closed('filer-a');
    expect(releasing.applied(940).sent('leaseChanged')).toEqual([changed]);
  });

  test('is not said of a renewal, nor of what others have written', () => {
    const server = soloHolder().at(20).connects().tick(667).applied(680);
    expect(server.sent('leaseChanged')).toEqual([]);
    server.at(700).sees('filer-b', known);
    expect(server.sent('leaseChanged')).toEqual([]);
    server.at(710).sees('filer-b', { ...known, holder: stranger, epoch: 5, renewal: 9 });
    expect(server.sent('leaseChanged')).toEqual([]);
    server.at(720).sees('filer-b', { epoch: 5, renewal: 10, releasedTo: 'filer-b' });
    expect(server.sent('leaseChanged')).toEqual([]);
    // A claim that took this server's disk set away is not its own writing either.
    server.at(730).sees('filer-a', { holder: partner, epoch: 2, renewal: 20 });
    expect(server.sent('leaseChanged')).toEqual([]);
  });
});

describe('an announced hand-over', () => {
  const held = { holder: partner, epoch: 4, renewal: 8, acknowledger: me };

  test('of the partner’s disk set opens the gate; of another one nothing', () => {
    const server = new OneServer().connects().sees('filer-b', held).at(10);
    expect(server.hears({ kind: 'handingOver', home: 'filer-z', epoch: 4 }).of('openGate')).toEqual([]);
    expect(server.hears({ kind: 'handingOver', home: 'filer-b', epoch: 4 }).of('openGate')).toHaveLength(1);
  });
});

describe('proof of death', () => {
  const held = { holder: partner, epoch: 4, renewal: 8, acknowledger: stranger };

  test('ends the connection, and a late one of the same run does not count', () => {
    const server = pairedHolder().at(900).died(partner, 'filer-b', 4);
    expect(server.state.partners).toEqual([]);
    expect(server.at(910).connects().state.partners).toEqual([]);
    expect(server.of('send')).toEqual([]);
  });

  test('counts from when it came first', () => {
    const server = new OneServer().at(10).died(stranger, 'filer-a', 1).at(500).died(stranger, 'filer-a', 1);
    expect(server.state.deaths).toMatchObject([{ incarnation: stranger, at: 10 }]);
  });

  test('of this process is nonsense, and changes nothing', () => {
    const server = soloHolder().at(20).died(me, 'filer-a', 1);
    expect(server.state.deaths).toEqual([]);
  });

  test('of the partner’s holder lets this server claim whatever acknowledger is named', () => {
    const server = new OneServer().sees('filer-b', held).at(20).died(partner, 'filer-b', 4);
    expect(server.write?.ownership).toMatchObject({ holder: me, epoch: 5 });
  });
});

describe('one step', () => {
  test('gives each write a number of its own, also of two disk sets', () => {
    const server = new OneServer().sees('filer-a', {});
    const tokens = [server.write!.token];
    server
      .at(5)
      .sees('filer-b', { epoch: 3, renewal: 9 })
      .tick(5 + silence);
    tokens.push(server.of('writeLease').find(({ home }) => home === 'filer-b')!.token);
    server.at(silence + 10).written(tokens[0]!, { kind: 'refused', message: 'no' });
    server.tick(silence + 200).reads('filer-a', {}, '2');
    tokens.push(server.write!.token);
    expect(new Set(tokens).size).toBe(3);
  });

  test('tells the right of either disk set', () => {
    const server = soloHolder();
    expect(server.servingLease('filer-a')).toBe(timing.leaseMs);
    expect(server.servingLease('filer-b')).toBeNull();
  });

  test('says nothing of disks that are nowhere, and whatever is new once', () => {
    const server = new OneServer().tick(1);
    expect(server.of('disksAt')).toEqual([]);
    server.sees('filer-b', { holder: partner, epoch: 1, renewal: 1, disks: 'move-7' });
    expect(server.of('disksAt')).toEqual([
      { kind: 'disksAt', home: 'filer-b', directory: 'move-7', partnerCouldServe: false },
    ]);
    expect(server.tick(2).of('disksAt')).toEqual([]);
    const { state } = server;
    expect(step(state, { kind: 'tick' }, 2).state.disks).toBe(state.disks);
  });

  test('begins with nobody stopping', () => {
    const identity = { me, server: 'filer-a', partner: 'filer-b', timing };
    expect(initialServer(identity, 0)).toMatchObject({
      partnerStops: false,
      stopping: false,
      stopped: false,
    });
  });
});
