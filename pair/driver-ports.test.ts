/** Each effect reaches its port, whole; and after the end nothing does. */
import { describe, expect, test } from 'vitest';
import { type DriverPorts, PairDriver } from './driver.ts';
import { initialServer } from './server/state.ts';
import { me, partner, timing } from './testing/one-server.ts';
import type { Effect } from './types.ts';

const NOW = 100;
const HOME = 'filer-b';
const ownership = {
  holder: me,
  epoch: 4,
  acknowledger: null,
  renewal: 9,
  releasedTo: null,
  claimAfterMs: 2600,
  volumesAhead: null,
};
const message = { kind: 'heartbeat', seq: 1, holdings: [] } as const;
const event = { name: 'serving', epoch: 4 } as const;
const written = { epoch: 3, volumes: { data: 'uuid' } };

type Call = readonly [port: string, ...given: unknown[]];

/** Notes every call of every port. */
function recording(calls: Call[]): DriverPorts {
  const port = (name: string) =>
    new Proxy(
      {},
      {
        get:
          (_, method) =>
          (...given: unknown[]) =>
            void calls.push([`${name}.${String(method)}`, ...given]),
      },
    );
  const names = ['witness', 'interconnect', 'dataPath', 'watchdog', 'sentinel', 'gate', 'observer'] as const;
  return {
    ...(Object.fromEntries(names.map((name) => [name, port(name)])) as unknown as DriverPorts),
    clock: { now: () => NOW, wakeAt: (at) => void calls.push(['clock.wakeAt', at]) },
    stopped: () => void calls.push(['stopped']),
    failed: (error) => void calls.push(['failed', (error as Error).message]),
  };
}

/** What is called for these effects of one step; `after`: for a second input. */
function callsFor(...effects: Effect[]): {
  readonly calls: readonly Call[];
  readonly after: readonly Call[];
} {
  const calls: Call[] = [];
  const state = initialServer({ me, server: 'filer-a', partner: 'filer-b', timing }, 0);
  const driver = new PairDriver(state, recording(calls), () => ({ state, effects }));
  driver.feed({ kind: 'tick' });
  const first = calls.length;
  driver.feed({ kind: 'tick' });
  return { calls: calls.slice(0, first), after: calls.slice(first) };
}

describe('the effect', () => {
  test.each<[Effect, Call[]]>([
    [{ kind: 'send', to: partner, message }, [['interconnect.send', partner, message]]],
    [{ kind: 'readLease', home: HOME }, [['witness.read', HOME]]],
    [
      { kind: 'writeLease', home: HOME, token: 7, version: '12', ownership },
      [['witness.compareAndSwap', HOME, 7, '12', ownership]],
    ],
    [
      { kind: 'requestAnswered', home: HOME, requestId: 'r1', result: 'refused', message: 'no' },
      [['witness.answer', HOME, 'r1', 'refused', 'no']],
    ],
    [
      { kind: 'witnessWentBack', home: HOME, epoch: 4, message: 'restored' },
      [['witness.noteWentBack', HOME, 4, 'restored']],
    ],
    [
      { kind: 'setServingLease', home: HOME, until: 2000 },
      [
        ['watchdog.arm', HOME, 2000 + timing.guardMs / 2],
        ['dataPath.grant', HOME, 2000],
      ],
    ],
    [{ kind: 'setServingLease', home: HOME, until: null }, [['dataPath.grant', HOME, null]]],
    [{ kind: 'disarm', home: HOME }, [['watchdog.disarm', HOME]]],
    [{ kind: 'prepareDiskSet', home: HOME, epoch: 4 }, [['dataPath.prepare', HOME, 4]]],
    [{ kind: 'openDiskSet', home: HOME, epoch: 4, written }, [['dataPath.open', HOME, 4, written]]],
    [{ kind: 'closeDiskSet', home: HOME, mode: 'fence' }, [['dataPath.close', HOME, 'fence']]],
    [{ kind: 'freezeDiskSet', home: HOME, id: 's1', msMax: 500 }, [['dataPath.freeze', HOME, 's1', 500]]],
    [{ kind: 'thawDiskSet', home: HOME, id: 's1' }, [['dataPath.thaw', HOME, 's1']]],
    [
      { kind: 'disksAt', home: HOME, directory: 'move-7', partnerCouldServe: true },
      [['dataPath.disksAt', HOME, 'move-7', true]],
    ],
    [{ kind: 'openGate', epoch: 4 }, [['gate.open', 4]]],
    [{ kind: 'withdrawGate', epoch: 4 }, [['gate.withdraw', 4]]],
    [{ kind: 'closeGate', epoch: 4 }, [['gate.close', 4]]],
    [
      { kind: 'holdings', holdings: [{ home: HOME, epoch: 4 }] },
      [['sentinel.setHoldings', [{ home: HOME, epoch: 4 }]]],
    ],
    [{ kind: 'trace', home: HOME, event }, [['observer.traced', HOME, event, NOW]]],
  ])('%o is carried out, and then the driver sleeps', (effect, calls) => {
    const done = callsFor(effect);
    expect(done.calls.slice(0, -1)).toEqual(calls);
    expect(done.calls.at(-1)![0]).toBe('clock.wakeAt');
    expect(done.after).toEqual(done.calls);
  });

  test('`stopped` is the end: nothing wakes it, and no input counts', () => {
    expect(callsFor({ kind: 'stopped' })).toEqual({ calls: [['stopped']], after: [] });
  });

  test('that is none ends it as a bug', () => {
    const { calls, after } = callsFor({ kind: 'nonsense' } as unknown as Effect);
    expect(calls).toEqual([['failed', 'unexpected: {"kind":"nonsense"}']]);
    expect(after).toEqual([]);
  });
});
