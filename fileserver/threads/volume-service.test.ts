/**
 * An orderly stop says of a volume that nothing is lost, and so keeps the write verifier: only after everything is on the disk. A
 * fault of a volume ends the service in all threads.
 */

import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { assertEventually } from '../../testing/assert-eventually.ts';
import { ConnectionOrder } from '../callers/connection-order.ts';
import { openMessage } from '../data-path/data-thread.fixture.ts';
import { allocateLeaseTable, LeaseTable } from '../serving-lease/lease-table.ts';
import { DataFlusher } from '../storage/flush/data-flusher.ts';
import { readOwnership } from '../storage/ownership/ownership.ts';
import type { Volume } from '../storage/volume/volume.ts';
import { bootMs } from '../system/boottime.ts';
import { startIoPool } from '../system/thread-identity.ts';
import { volumeService } from './volume-service.fixture.ts';
import type { VolumeService } from './volume-service.ts';

const HOUR_MS = 3_600_000;

let directory: string;
let leases: LeaseTable;
let told: string[];
let service: VolumeService;

beforeAll(startIoPool);
beforeEach(async () => {
  directory = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'filerpair-stop-'));
  leases = new LeaseTable(allocateLeaseTable());
  leases.set('local', bootMs() + HOUR_MS);
  told = [];
  service = volumeService(openMessage(directory), { session: 1, leases, told });
  await service.verify();
  await service.serve(new ConnectionOrder(ConnectionOrder.allocate()));
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(directory, { recursive: true, force: true });
});

/** Those that it serves. */
const volumes = (): Volume[] => service.volumes;
const isClean = async (): Promise<boolean> => (await readOwnership(directory))!.clean;

test('a volume that is named like a member of every object, and that the Lease does not know yet, is opened', async () => {
  const path = mkdtempSync(join(directory, 'new-'));
  const volumes = [{ name: 'constructor', path }];
  const written = { epoch: 1, volumes: {} };
  const opened = volumeService(openMessage(path, { volumes, written, epoch: 2 }), {
    session: 2,
    leases,
    told,
  });
  await opened.verify();
  expect(told).not.toContain('failed');
  await opened.close('fence');
});

test('what was written unstable is flushed before the volume is declared clean', async () => {
  const flushed = Promise.withResolvers<Volume[]>();
  const flush = vi
    .spyOn(DataFlusher.prototype, 'flushUnstable')
    .mockReturnValueOnce(flushed.promise as never);
  const closed = service.close('quiesce');
  await assertEventually(() => expect(flush).toHaveBeenCalled());
  expect(await isClean()).toBe(false);
  flushed.resolve([]);
  await closed;
  expect(await isClean()).toBe(true);
});

test('a volume whose data could not be flushed is not declared clean', async () => {
  const flush = vi.spyOn(DataFlusher.prototype, 'flushUnstable');
  flush.mockResolvedValue(volumes() as never);
  await service.close('quiesce');
  expect(await isClean()).toBe(false);
});

test('a fault of a volume ends the right to serve for all threads before it is reported', async () => {
  const halt = vi.spyOn(leases, 'halt').mockImplementation((side) => {
    expect(told).not.toContain('fault');
    LeaseTable.prototype.halt.call(leases, side);
  });
  volumes()[0]!.fail('IoError', 'a disk error');
  expect(halt).toHaveBeenCalledWith('local');
  expect(leases.held('local')).toBe(false);
  expect(told).toContain('fault');
  await service.close('fence');
  expect(await isClean()).toBe(false);
});

test('the end of the right behind any change of the opening is noticed before a phase is reported as done', async () => {
  await service.close('fence');
  const endChange = LeaseTable.prototype.endChange;
  /** The phases reported after the lease has ended behind this change, of which there were so many. */
  const open = async (cutBehind: number): Promise<{ late: string[]; failed: boolean; changes: number }> => {
    const fresh = mkdtempSync(join(directory, 'fresh-'));
    let changes = 0;
    let late: string[] = [];
    leases = new LeaseTable(allocateLeaseTable());
    leases.set('local', bootMs() + HOUR_MS);
    told = [];
    vi.spyOn(leases, 'endChange').mockImplementation((side) => {
      endChange.call(leases, side);
      changes += 1;
      if (changes !== cutBehind) return;
      leases.set('local', 0);
      told.length = 0;
      late = told;
    });
    const opened = volumeService(openMessage(fresh), { session: 1, leases, told });
    await opened.verify();
    if (!told.includes('failed')) await opened.serve(new ConnectionOrder(ConnectionOrder.allocate()));
    const failed = told.includes('failed');
    await opened.close('fence');
    return { late, failed, changes };
  };
  const whole = await open(0);
  expect(whole).toMatchObject({ failed: false, late: [] });
  expect(whole.changes).toBeGreaterThan(2);
  for (let at = 1; at <= whole.changes; at++) {
    const { late, failed } = await open(at);
    expect([at, late.filter((kind) => kind === 'verified' || kind === 'serving'), failed]).toEqual([
      at,
      [],
      true,
    ]);
  }
});
