/** What the data path reports, in time and out of it: of an epoch that is over, of a disk set that is not held any more. */
import { describe, expect, test } from 'vitest';
import { me, OneServer, pairedHolder, partner, silence, soloHolder, timing } from './testing/one-server.ts';

const failed = (epoch: number, epochFound?: number) => ({
  kind: 'diskSetOpenFailed' as const,
  home: 'filer-a' as const,
  epoch,
  reason: 'IoError',
  message: 'EIO',
  ...(epochFound === undefined ? {} : { epochFound }),
});
const fault = { kind: 'diskSetFault', home: 'filer-a', reason: 'IoError', message: 'EIO' } as const;
const stalled = { kind: 'volumeStalled', home: 'filer-a', volume: 'data', waitedMs: 30_000 } as const;

/** Has claimed its disk set at epoch 3, and opens it. */
const opening = () => new OneServer().sees('filer-a', { epoch: 2, renewal: 5 }).applied(10);

describe('an opening', () => {
  test('is over when its own epoch is reported, not another one', () => {
    const server = opening().at(20).opened('filer-a', 2);
    expect(server.set('filer-a').role).toMatchObject({ port: 'opening' });
    expect(server.traces()).toEqual([]);
    expect(server.opened('filer-a', 3).set('filer-a').role).toMatchObject({ port: 'open' });
  });

  test('that is reported while a stop quiesces it opens nothing', () => {
    const server = soloHolder().at(30).give({ kind: 'stop' }).opened('filer-a', 1);
    expect(server.set('filer-a').role).toMatchObject({ port: 'quiescing' });
    expect(server.traces()).toEqual([]);
    expect(server.closed('filer-a').write?.ownership).toMatchObject({ holder: null });
  });

  test('of an earlier epoch that failed costs nothing', () => {
    const server = opening().at(20).give(failed(2));
    expect(server.effects).toEqual([]);
    expect(server.set('filer-a').role).toMatchObject({ name: 'holder', epoch: 3 });
  });

  test('that failed gives the disk set up, with a word to people', () => {
    const server = opening().at(20).give(failed(3));
    expect(server.traces()).toMatchObject([
      { name: 'openFailed', epoch: 3, message: 'EIO' },
      { name: 'fenced' },
    ]);
    expect(server.of('closeDiskSet')).toEqual([{ kind: 'closeDiskSet', home: 'filer-a', mode: 'fence' }]);
  });

  test('is waited for by a freeze', () => {
    const server = opening().at(20);
    const { version, record } = server.set('filer-a').seen!;
    const freeze = { id: 'one', epoch: 3, msMax: 500, over: false };
    server.sees('filer-a', { ...record, freeze }, `${version}s`);
    expect(server.of('freezeDiskSet')).toEqual([]);
    expect(server.opened('filer-a', 3).of('freezeDiskSet')).toHaveLength(1);
  });
});

describe('of a disk set that is not held here any more', () => {
  test.each([
    ['an opening that failed', failed(1)],
    ['a fault', fault],
    ['a stalled volume', stalled],
  ])('%s does not keep this server from serving it again', (_, report) => {
    const server = soloHolder().at(20).connects().tick(2000).at(2010).closed('filer-a');
    server.at(2020).give(report);
    expect(server.traces()).toEqual([]);
    server.at(2030).reads('filer-a', { holder: me, epoch: 1, renewal: 1 });
    expect(server.write?.ownership).toMatchObject({ holder: me, epoch: 1 });
  });

  test.each([
    ['a fault', fault],
    ['an opening that failed', failed(1)],
  ])('%s says nothing while it is being fenced: the release is not promised to anybody', (_, report) => {
    const server = soloHolder().at(20).connects().tick(2000).at(2005).give(report).at(2010).closed('filer-a');
    expect(server.set('filer-a').role.name).toBe('observer');
    expect(server.write).toBeUndefined();
  });

  test('that it is closed changes nothing, and nothing of one that is open', () => {
    const observer = new OneServer().sees('filer-a', { holder: me, epoch: 4, renewal: 2 });
    const before = observer.set('filer-a').role;
    expect(observer.closed('filer-a').set('filer-a').role).toEqual(before);
    expect(observer.effects).toEqual([]);
    const open = soloHolder().at(20).closed('filer-a');
    expect(open.effects).toEqual([]);
    expect(open.set('filer-a').role).toMatchObject({ name: 'holder', port: 'open' });
  });
});

describe('a disk set that cannot be served here', () => {
  test('is released to the partner if one is connected, and else to nobody', () => {
    for (const [server, releasedTo] of [
      [pairedHolder(), 'filer-b'],
      [soloHolder(), null],
    ] as const) {
      server.at(730).give(fault).at(740).closed('filer-a');
      expect(server.write?.ownership).toMatchObject({ holder: null, releasedTo });
    }
  });

  test('is not claimed again by this server for four silences, and then it is', () => {
    const server = soloHolder().at(100).give(fault).at(110).closed('filer-a').applied(120);
    const until = 100 + 4 * silence;
    for (const now of [200, silence, until - 1]) expect(server.tick(now).write).toBeUndefined();
    expect(server.tick(until).write?.ownership).toMatchObject({ holder: me, epoch: 2 });
  });
});

describe('a planned stop', () => {
  test('waits for twice the lease until what runs is finished, and then cuts it off', () => {
    const server = pairedHolder().at(900).give({ kind: 'stop' });
    expect(server.traces()).toMatchObject([{ name: 'quiescing', epoch: 1, to: 'filer-b' }]);
    expect(server.sent('handingOver')).toEqual([{ kind: 'handingOver', home: 'filer-a', epoch: 1 }]);
    const until = 900 + 2 * timing.leaseMs;
    // The lease is kept meanwhile.
    for (let now = 1100; now <= until; now += 200) server.beat(now).acknowledged();
    expect(server.tick(until).of('closeDiskSet')).toEqual([]);
    server.tick(until + 1);
    expect(server.of('closeDiskSet')).toEqual([{ kind: 'closeDiskSet', home: 'filer-a', mode: 'fence' }]);
    expect(server.closed('filer-a').write?.ownership).toMatchObject({ holder: null, releasedTo: 'filer-b' });
  });

  test('during maintenance, or without a partner, releases to nobody and announces no hand-over', () => {
    const alone = soloHolder().at(100).give({ kind: 'stop' }).closed('filer-a');
    expect(alone.write?.ownership).toMatchObject({ holder: null, releasedTo: null });
    const server = pairedHolder().at(800);
    const { record } = server.set('filer-a').seen!;
    server.sees('filer-a', { ...record, maintenance: 'x' }, 'm').give({ kind: 'stop' });
    expect(server.sent('handingOver')).toEqual([]);
    expect(server.closed('filer-a').write?.ownership).toMatchObject({ holder: null, releasedTo: null });
  });

  test('of a server that holds nothing claims nothing any more', () => {
    const held = { holder: partner, epoch: 4, renewal: 8, acknowledger: me };
    const server = new OneServer().sees('filer-b', held).at(10).give({ kind: 'stop' });
    expect(server.of('stopped')).toHaveLength(1);
    expect(server.at(20).died(partner, 'filer-b', 4).write).toBeUndefined();
    expect(server.tick(10 * silence).write).toBeUndefined();
    expect(server.of('stopped'), 'said once').toEqual([]);
  });
});

describe('the Lease', () => {
  test.each([
    ['another holder at the same epoch', { holder: partner, epoch: 1, renewal: 9 }],
    ['nobody', { holder: null, epoch: 1, renewal: 9 }],
    ['this process at another epoch', { holder: me, epoch: 2, renewal: 9 }],
  ])('that names %s ends the service at once', (_, record) => {
    const server = soloHolder().at(50).sees('filer-a', record);
    expect(server.of('setServingLease')).toEqual([{ kind: 'setServingLease', home: 'filer-a', until: null }]);
    expect(server.of('closeDiskSet')).toEqual([{ kind: 'closeDiskSet', home: 'filer-a', mode: 'fence' }]);
  });

  test('that names this process at another epoch is told to the sentinel: a proof of death must name that one', () => {
    const server = soloHolder().at(50).sees('filer-a', { holder: me, epoch: 2, renewal: 9 });
    expect(server.of('holdings')).toEqual([{ kind: 'holdings', holdings: [{ home: 'filer-a', epoch: 2 }] }]);
  });

  test('of its own disk set has no gate', () => {
    const server = new OneServer();
    const gates: string[] = [];
    const note = () =>
      gates.push(...server.effects.map(({ kind }) => kind).filter((kind) => /Gate$/.test(kind)));
    server.sees('filer-a', {});
    note();
    server.applied(10);
    note();
    server.opened('filer-a', 1).tick(2000);
    note();
    expect(gates).toEqual([]);
  });
});
