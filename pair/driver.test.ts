/** What the driver asks of its ports, in which order: filer-b, about the disk set of filer-a. */
import { beforeEach, describe, expect, test } from 'vitest';
import { type DriverPorts, PairDriver } from './driver.ts';
import { incarnationOf } from './incarnation.ts';
import { emptyLease, type LeaseRecord } from './lease.ts';
import { initialServer } from './server/state.ts';
import { step } from './server.ts';
import { silenceMs } from './serving-lease.ts';
import type { Input, LeaseWriteOutcome } from './types.ts';

const timing = { leaseMs: 2000, guardMs: 500, heartbeatMs: 200 };
const me = incarnationOf('filer-b', 'podB', 'run1');
const partner = incarnationOf('filer-a', 'podA', 'run1');
const HOME = 'filer-a';
/** A claim follows an announced release within this time, or not at all. */
const EXPECT_MS = 2 * timing.leaseMs + silenceMs(timing);

let now: number;
let calls: string[];
let onCall: (call: string) => void;
let record: LeaseRecord;
let token: number;
let driver: PairDriver;

function called(call: string): void {
  calls.push(call);
  onCall(call);
}

const ports: DriverPorts = {
  clock: { now: () => now, wakeAt: (at) => calls.push(`wakeAt ${at}`) },
  witness: {
    read: (of) => called(`read ${of}`),
    compareAndSwap: (of, number, _, { holder, epoch }) => {
      token = number;
      called(`write ${of} ${holder === me ? 'me' : holder} ${epoch}`);
    },
    answer: (_, id, result) => called(`answer ${id} ${result}`),
    noteWentBack: (of) => called(`noteWentBack ${of}`),
  },
  interconnect: { send: (_, { kind }) => called(`send ${kind}`) },
  dataPath: {
    grant: (_, until) => called(`grant ${until}`),
    prepare: (_, epoch) => called(`prepare ${epoch}`),
    open: (_, epoch, written) => called(`open ${epoch} ${JSON.stringify(written)}`),
    close: (_, mode) => called(`close ${mode}`),
    freeze: (_, id, msMax) => called(`freeze ${id} ${msMax}`),
    thaw: (_, id) => called(`thaw ${id}`),
    disksAt: (_, directory, could) => called(`disksAt ${directory} ${could}`),
  },
  watchdog: { arm: (_, at) => called(`arm ${at}`), disarm: () => called('disarm') },
  sentinel: { setHoldings: (holdings) => called(`holdings ${holdings.map(({ epoch }) => epoch)}`) },
  gate: {
    open: (epoch) => called(`gate open ${epoch}`),
    withdraw: (epoch) => called(`gate withdraw ${epoch}`),
    close: (epoch) => called(`gate close ${epoch}`),
  },
  observer: { traced: (_, { name }) => called(`trace ${name}`) },
  stopped: () => called('stopped'),
  failed: (error) => called(`failed ${(error as Error).message}`),
};

beforeEach(() => {
  now = 0;
  calls = [];
  onCall = () => {};
  record = { ...emptyLease, holder: partner, epoch: 3, acknowledger: me, renewal: 7 };
  driver = new PairDriver(initialServer({ me, server: 'filer-b', partner: 'filer-a', timing }, now), ports);
});

/** Feeds it and returns what was asked of the ports, but for the clock and what only people hear. */
function feed(input: Input, at = now): string[] {
  now = at;
  calls = [];
  driver.feed(input);
  return calls.filter((call) => !/^(wakeAt|trace|disksAt false|send heartbeat|read filer-b)/.test(call));
}

const sees = (change: Partial<LeaseRecord> = {}) => {
  record = { ...record, ...change };
  const sighting = { version: String(record.renewal), record };
  return feed({ kind: 'leaseSeen', home: HOME, sighting });
};
const written = (outcome: LeaseWriteOutcome['kind'], at = now) => {
  if (outcome !== 'applied')
    return feed(
      {
        kind: 'leaseWritten',
        home: HOME,
        token,
        outcome: { kind: outcome, message: '' } as LeaseWriteOutcome,
      },
      at,
    );
  record = { ...record, holder: me, epoch: 4, acknowledger: null, renewal: record.renewal + 1 };
  const sighting = { version: String(record.renewal), record };
  return feed({ kind: 'leaseWritten', home: HOME, token, outcome: { kind: 'applied', sighting } }, at);
};
const tick = (at: number) => feed({ kind: 'tick' }, at);
const died = () =>
  feed({
    kind: 'died',
    died: { kind: 'died', incarnation: partner, holdings: [{ home: HOME, epoch: 3 }], evidence: '' },
  });
/** Serves the partner's disk set at epoch 4; the claim was sent at 0. */
function serves(): void {
  sees();
  died();
  written('applied', 10);
  feed({ kind: 'diskSetOpened', home: HOME, epoch: 4 });
}

describe('R10: the dead man’s switch', () => {
  test('is armed before the right is published, for half a guard after its end, and before anything is opened', () => {
    sees();
    died();
    expect(written('applied', 10)).toEqual([
      'holdings 4',
      'arm 2250',
      'grant 2000',
      'open 4 undefined',
      'gate open 4',
    ]);
  });

  test('stays armed when the right is cut, until the data path has said that it is closed', () => {
    serves();
    expect(tick(2000)).toEqual(['grant null', 'close fence', 'gate close 4']);
    expect(feed({ kind: 'diskSetClosed', home: HOME }, 2100)).toContain('disarm');
  });

  test('is disarmed when no change is under way after the cut, and nothing else comes before it is closed', () => {
    serves();
    expect(feed({ kind: 'changesEnded', home: HOME }, 500), 'the right is held').not.toContain('disarm');
    tick(2000);
    expect(feed({ kind: 'changesEnded', home: HOME }, 2010)).toEqual(['disarm']);
    expect(tick(60_000)).toEqual([]);
    expect(feed({ kind: 'diskSetClosed', home: HOME }, 60_010)).toContain('disarm');
  });
});

describe('the loop', () => {
  test('an input that comes during a port call waits until the step is carried out', () => {
    sees();
    died();
    onCall = (call) => {
      if (call.startsWith('grant 2000'))
        driver.feed({ kind: 'diskSetFault', home: HOME, reason: 'IoError', message: '' });
    };
    const asked = written('applied', 10);
    expect(asked.slice(0, 8)).toEqual([
      'holdings 4',
      'arm 2250',
      'grant 2000',
      'open 4 undefined',
      'gate open 4',
      'grant null',
      'close fence',
      'gate close 4',
    ]);
  });

  test('an exception ends it: nobody goes on with half of a step', () => {
    sees();
    onCall = (call) => {
      if (call.startsWith('write')) throw new Error('no thread');
    };
    expect(died().at(-1)).toBe('failed no thread');
    onCall = () => {};
    expect(tick(60_000)).toEqual([]);
  });

  test('a step that throws ends it too, and input after the stop counts no more', () => {
    driver = new PairDriver(driver.state, ports, (state, input, at) => {
      if (input.kind === 'stop') throw new Error('a bug');
      return step(state, input, at);
    });
    expect(feed({ kind: 'stop' })).toEqual(['failed a bug']);
    expect(sees()).toEqual([]);
  });

  test('asks to be woken when the machine wants it', () => {
    serves();
    tick(20);
    expect(calls.at(-1)).toBe(`wakeAt ${timing.leaseMs / 3}`);
  });
});

describe('the failover gate', () => {
  const announce = (from = partner, epoch = 3) =>
    feed({ kind: 'message', from, message: { kind: 'handingOver', home: HOME, epoch } });

  test('opens with a claim, with the volumes being read meanwhile, and is withdrawn when that is lost', () => {
    sees();
    expect(died()).toEqual(['gate open 4', 'prepare 4', 'write filer-a me 4']);
    expect(written('conflict').slice(0, 2)).toEqual(['gate withdraw 4', 'prepare null']);
  });

  test('opens for a release that is announced, and stays open for the claim that follows', () => {
    sees();
    expect(announce()).toContain('gate open 4');
    sees({ holder: null, releasedTo: 'filer-b', renewal: 8 });
    written('applied', 10);
    feed({ kind: 'diskSetOpened', home: HOME, epoch: 4 });
    expect(tick(1900).join()).not.toContain('gate');
    expect(driver.state.partner.announced).toBeNull();
  });

  test('is withdrawn when no claim follows an announcement; of two the later counts', () => {
    sees();
    announce();
    now = 1000;
    announce();
    // Heartbeats keep the partner alive and this server from claiming.
    const beat = (at: number) =>
      feed(
        {
          kind: 'message',
          from: partner,
          message: { kind: 'heartbeat', seq: at, holdings: [{ home: HOME, epoch: 3 }] },
        },
        at,
      );
    let asked: string[] = [];
    for (let at = 1200; at < 1000 + EXPECT_MS; at += 200) asked.push(...beat(at));
    expect(asked.join()).not.toContain('gate');
    asked = beat(1000 + EXPECT_MS);
    expect(asked).toContain('gate withdraw 4');
  });

  test('heeds an announcement only of the Lease as this server has read it', () => {
    sees();
    expect(announce(incarnationOf('filer-a', 'podX', 'run1')).join()).not.toContain('gate');
    expect(announce(partner, 2).join()).not.toContain('gate');
  });

  test('of its own disk set there is none; a server that gives one away announces it before it closes', () => {
    serves();
    feed({ kind: 'partnerConnected', incarnation: incarnationOf('filer-a', 'podA', 'run2') });
    const asked = feed({ kind: 'stop' });
    expect(asked).toEqual(['send handingOver', 'close quiesce', 'gate close 4']);
  });
});

describe('news of the Lease', () => {
  test('waits for the outcome of a write that is under way: the partner may have acted on it already', () => {
    serves();
    feed({ kind: 'partnerConnected', incarnation: incarnationOf('filer-a', 'podA', 'run2') });
    feed({ kind: 'stop' });
    expect(feed({ kind: 'diskSetClosed', home: HOME }, 20)).toContain('write filer-a null 4');
    const before = record;
    // Released to filer-a, claimed by it, and both seen before the answer to the release.
    sees({ holder: incarnationOf('filer-a', 'podA', 'run2'), epoch: 5, renewal: 12 });
    expect(driver.state.partner.role.name).toBe('releasing');
    const released = { ...before, holder: null, releasedTo: 'filer-a', renewal: 11 };
    calls = [];
    driver.feed({
      kind: 'leaseWritten',
      home: HOME,
      token,
      outcome: { kind: 'applied', sighting: { version: '11', record: released } },
    });
    expect(calls).toContain('trace released');
    expect(driver.state.partner.seen?.record.epoch).toBe(5);
    expect(driver.state.partner.heldBack).toEqual([]);
  });

  test('is heeded after an unknown outcome too', () => {
    sees();
    died();
    sees({ holder: partner, epoch: 5, renewal: 20 });
    expect(driver.state.partner.seen?.record.epoch).toBe(3);
    expect(written('unknown', 100)).toContain('gate withdraw 4');
    expect(driver.state.partner).toMatchObject({
      role: { name: 'observer' },
      seen: { record: { epoch: 5 } },
    });
  });
});

describe('a volume whose disk does not answer', () => {
  const stalled = () => feed({ kind: 'volumeStalled', home: HOME, volume: 'data', waitedMs: 30_000 });

  test('is no reason to stop while no partner is connected that could try', () => {
    serves();
    expect(stalled()).toEqual([]);
    expect(calls).toContain('trace stalled');
  });

  test('costs the disk set when a partner is connected', () => {
    serves();
    feed({ kind: 'partnerConnected', incarnation: incarnationOf('filer-a', 'podA', 'run2') });
    expect(stalled()).toEqual(['grant null', 'close fence', 'gate close 4']);
  });

  test('says nothing of a disk set that is not served here', () => {
    sees();
    expect(stalled()).toEqual([]);
  });
});

describe('a freeze', () => {
  const wanted = (change: object) =>
    sees({
      freeze: { id: 'one', epoch: 4, msMax: 500, over: false, ...change },
      renewal: record.renewal,
    });

  test('begins once and ends once', () => {
    serves();
    expect(wanted({})).toEqual(['freeze one 500']);
    expect(tick(30)).toEqual([]);
    expect(wanted({ over: true })).toEqual(['thaw one']);
    expect(tick(40)).toEqual([]);
    expect(wanted({ id: 'two' })).toEqual(['freeze two 500']);
  });

  test('of another epoch, or one that is over before it began, is not obeyed', () => {
    serves();
    expect(wanted({ epoch: 3 })).toEqual([]);
    expect(wanted({ over: true })).toEqual([]);
  });
});

test('what the Lease knows of the volumes goes with the opening, and where their disks are before it', () => {
  sees({ written: { epoch: 3, volumes: { data: 'u' } }, disks: 'move-7' });
  expect(calls).toContain('disksAt move-7 false');
  died();
  expect(written('applied', 10)).toContain('open 4 {"epoch":3,"volumes":{"data":"u"}}');
});
