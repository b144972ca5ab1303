/**
 * The right to serve is cut at every point at which another thread may cut it, while a volume is opened, recovered, changed, held
 * or closed gracefully. It is cut before each callback and behind each `await` of all that. From that moment on nothing on the
 * volume changes, and no phase of its opening is reported as done.
 */
import { createHook } from 'node:async_hooks';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import * as nfs from '../../protocol/nfs3.ts';
import { XdrWriter } from '../../protocol/xdr.ts';
import { pause } from '../../testing/pause.ts';
import { ConnectionOrder } from '../callers/connection-order.ts';
import { ServedVolume } from '../nfs3/served-volume.fixture.ts';
import { allocateLeaseTable, LeaseTable } from '../serving-lease/lease-table.ts';
import { bootMs } from '../system/boottime.ts';
import { startIoPool } from '../system/thread-identity.ts';
import type { WriteGate } from '../system/write-gate.ts';
import { volumeService } from '../threads/volume-service.fixture.ts';
import type { VolumeService } from '../threads/volume-service.ts';
import { openMessage } from './data-thread.fixture.ts';

const HOUR_MS = 3_600_000;
const LONG_MS = 240_000;
/**
 * One of so many parts of a scenario's points is cut at in one run, so that all are in some days of runs. EVERY_POINT=1 cuts at
 * each, as `make crashes` does. Scenarios with few points are cut at each anyway.
 */
const CUTS_MAX = process.env['EVERY_POINT'] ? Number.POSITIVE_INFINITY : 60;

const order = new ConnectionOrder(ConnectionOrder.allocate());
const user = { uid: process.geteuid!(), gid: process.getegid!(), groups: [] };
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

let parent: string;
let volume: string;
let leases: LeaseTable;
let told: string[];
let volumes = 0;

beforeAll(startIoPool);
beforeEach(() => {
  parent = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'filerpair-cut-'));
});
afterEach(() => rmSync(parent, { recursive: true, force: true }));

/** Everything below a directory: names, modes, contents. */
function stateOf(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .sort()
    .map((name) => {
      const path = join(directory, name);
      const { mode, size, mtimeMs } = statSync(path);
      const content = size > 0 && (mode & 0o170000) === 0o100000 ? crc32(readFileSync(path)) : 0;
      return `${name} ${mode.toString(8)} ${size} ${mtimeMs} ${content}`;
    });
}

/** Counts callbacks; at one of them, before it runs, it calls `cut`. */
class Points {
  passed = 0;
  readonly #hook;

  constructor(at: number, cut: () => void) {
    this.#hook = createHook({
      before: () => {
        this.passed += 1;
        if (this.passed === at) cut();
      },
    });
  }

  async during(work: () => Promise<unknown>): Promise<void> {
    this.#hook.enable();
    try {
      await work();
    } finally {
      this.#hook.disable();
    }
  }
}

const service = (session: number, epoch: number): VolumeService =>
  volumeService(openMessage(volume, { epoch }), { session, leases, told });

interface Scenario {
  /** On a volume that is not there yet. `gate`: for what does not use a VolumeService. */
  readonly before: (gate: WriteGate) => Promise<void>;
  /** What is cut. */
  readonly work: () => Promise<void>;
  /** Ends with nothing open. */
  readonly after: () => Promise<void>;
}

/** Of one run: how many points it had, and what changed or was promised after the cut. `at`: 0 cuts nowhere. */
async function run(
  { before, work, after }: Scenario,
  at: number,
): Promise<{ points: number; late: string[] }> {
  volumes += 1;
  volume = mkdtempSync(join(parent, `${volumes}-`));
  leases = new LeaseTable(allocateLeaseTable());
  leases.set('local', bootMs() + HOUR_MS);
  told = [];
  await before({ begin: () => leases.beginChange('local'), end: () => leases.endChange('local') });
  let seen: string[] | null = null;
  const points = new Points(at, () => {
    leases.set('local', 0);
    seen = stateOf(volume);
    // The same list: the service has it.
    told.length = 0;
  });
  await points.during(work);
  await after();
  const late = seen === null ? [] : stateOf(volume).filter((line) => !seen!.includes(line));
  // The listeners of these rely on the lease.
  if (seen !== null) late.push(...told.filter((kind) => kind === 'verified' || kind === 'serving'));
  rmSync(volume, { recursive: true, force: true });
  return { points: points.passed, late };
}

async function cutEverywhere(scenario: Scenario): Promise<number> {
  const { points } = await run(scenario, 0);
  const step = Math.max(1, Math.floor(points / CUTS_MAX));
  const first = 1 + Math.floor(Math.random() * step);
  const found: string[] = [];
  for (let at = first; at <= points; at += step) {
    const { late } = await run(scenario, at);
    if (late.length > 0) found.push(`cut at point ${at} of ${points}: ${late.join(', ')}`);
  }
  expect(found).toEqual([]);
  return points;
}

/** A volume whose owner was killed with operations executed and not answered. */
async function killed(): Promise<void> {
  const served = await ServedVolume.open(volume, 1);
  await served.submit(create(served, 'answered'));
  served.onStep = (_operation, step) => {
    if (step === 'duringExecution') served.kill();
  };
  served.submit(create(served, 'half'));
  await expect.poll(() => served.isKilled).toBe(true);
  await served.close();
}

/** With attributes that take several calls. */
function create(served: ServedVolume, name: string) {
  const dir = served.diskSet.rootOf(served.diskSet.exports.all[0]!);
  if (typeof dir === 'string') throw new Error(dir);
  const w = new XdrWriter();
  const time = { how: nfs.SET_TO_CLIENT_TIME, time: { seconds: 7, nseconds: 0 } } as const;
  const obj_attributes = { ...nfs.SATTR3_NOTHING, mode: 0o640, size: 5000, mtime: time };
  const where = { dir: dir.handle, name: bytes(name) };
  nfs.nfs3Procedures.CREATE.args.encode(w, { where, how: { mode: nfs.GUARDED, obj_attributes } });
  return served.make(nfs.nfsproc3.CREATE, w.written().slice(), name.padEnd(16, '.'), user);
}

let opened: VolumeService;

test(
  'a fresh volume is made and opened',
  async () => {
    const points = await cutEverywhere({
      before: async () => {},
      work: async () => {
        opened = service(1, 1);
        await opened.verify();
        await opened.serve(order);
      },
      after: () => opened.close('fence'),
    });
    expect(points).toBeGreaterThan(20);
  },
  LONG_MS,
);

test(
  'a volume is taken over from an owner that was killed in an operation',
  async () => {
    await cutEverywhere({
      before: killed,
      work: async () => {
        opened = service(2, 2);
        await opened.verify();
        await opened.serve(order);
      },
      after: () => opened.close('fence'),
    });
  },
  LONG_MS,
);

test(
  'operations are executed',
  async () => {
    let served: ServedVolume;
    await cutEverywhere({
      before: async (gate) => {
        served = await ServedVolume.open(volume, 1, () => {}, undefined, gate);
      },
      work: async () => {
        for (const name of ['one', 'two', 'three']) served.submit(create(served, name));
        await served.idle();
      },
      after: () => served.close(),
    });
  },
  LONG_MS,
);

test(
  'a volume is held, released, and closed gracefully',
  async () => {
    await cutEverywhere({
      before: async () => {
        opened = service(1, 1);
        await opened.verify();
        await opened.serve(order);
      },
      work: async () => {
        opened.replaceMounts([{ host: 'client', path: '/data' }]);
        await opened.freeze();
        opened.thaw();
        opened.replaceMounts([]);
        await opened.close('quiesce');
      },
      after: () => opened.close('fence'),
    });
  },
  LONG_MS,
);

test('while it is held nothing changes, and after `closed` nothing either', async () => {
  volume = mkdtempSync(join(parent, 'held-'));
  leases = new LeaseTable(allocateLeaseTable());
  leases.set('local', bootMs() + HOUR_MS);
  told = [];
  opened = service(1, 1);
  await opened.verify();
  await opened.serve(order);
  opened.replaceMounts([{ host: 'client', path: '/data' }]);
  await opened.freeze();
  expect(told).toContain('frozen');
  const held = stateOf(volume);
  opened.replaceMounts([]);
  // Longer than once a second, when the list is written.
  await pause(2500, 'longer than a second, in which the list is written');
  expect(stateOf(volume)).toEqual(held);
  opened.thaw();
  await opened.close('quiesce');
  expect(readFileSync(join(volume, '.filerpair/mounts.json'), 'utf8')).toBe('[]');
  expect(readFileSync(join(volume, '.filerpair/ownership'), 'utf8')).toContain('"clean":true');
  const closed = stateOf(volume);
  opened.replaceMounts([{ host: 'late', path: '/data' }]);
  await pause(2500, 'longer than a second, in which the list is written');
  expect(stateOf(volume)).toEqual(closed);
});
