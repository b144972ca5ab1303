import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { afterEach, expect, it, vi } from 'vitest';
import { bootMs } from '../system/boottime.ts';
import { allocateLeaseTable, LeaseTable } from './lease-table.ts';

/** What the clock says; null: the time. */
let clock: number | null = null;
vi.mock(import('../system/boottime.ts'), async (original) => {
  const real = await original();
  return { ...real, bootMs: () => clock ?? real.bootMs() };
});
afterEach(() => {
  clock = null;
});

it('ends at the moment that is its end', () => {
  const table = new LeaseTable(allocateLeaseTable());
  table.set('local', 1000.5);
  for (const [now, isHeld] of [
    [1000.4999, true],
    [1000.5, false],
    [1001, false],
  ] as const) {
    clock = now;
    expect(table.held('local')).toBe(isHeld);
  }
});

it('grants nothing before anyone has granted anything', () => {
  const table = new LeaseTable(allocateLeaseTable());
  expect(table.held('local')).toBe(false);
  expect(table.held('partner')).toBe(false);
});

it('keeps the two disk sets apart', () => {
  const table = new LeaseTable(allocateLeaseTable());
  table.set('partner', bootMs() + 60_000);
  expect(table.held('local')).toBe(false);
  expect(table.held('partner')).toBe(true);
  table.set('local', bootMs() + 60_000);
  table.set('partner', 0);
  expect(table.held('local')).toBe(true);
  expect(table.held('partner')).toBe(false);
});

it('ends by itself when the time is over, without anyone writing to it', () => {
  const table = new LeaseTable(allocateLeaseTable());
  const deadline = bootMs() + 5;
  table.set('local', deadline);
  let askedAt = 0;
  let heldWhenAsked = true;
  while (heldWhenAsked) {
    const now = bootMs();
    heldWhenAsked = table.held('local');
    if (heldWhenAsked) askedAt = now;
  }
  expect(askedAt).toBeLessThan(deadline);
  expect(bootMs()).toBeGreaterThanOrEqual(deadline);
});

it('a thread sees it in the middle of a loop, without reading messages', async () => {
  const table = new LeaseTable(allocateLeaseTable());
  table.set('local', bootMs() + 60_000);
  const worker = new Worker(
    `const { workerData, parentPort } = require('node:worker_threads');
     import(workerData.module).then(({ LeaseTable }) => {
       const table = new LeaseTable(workerData.buffer);
       parentPort.postMessage('looping');
       while (table.held('local'));
       parentPort.postMessage('ended');
     });`,
    {
      eval: true,
      workerData: { buffer: table.buffer, module: new URL('./lease-table.ts', import.meta.url).href },
    },
  );
  expect(await once(worker, 'message')).toEqual(['looping']);
  table.set('local', 0);
  expect(await once(worker, 'message')).toEqual(['ended']);
  await worker.terminate();
});

it.each([
  ['local', 'partner'],
  ['partner', 'local'],
] as const)('halted, %s is not held until it is resumed; the other one is', (side, other) => {
  const table = new LeaseTable(allocateLeaseTable());
  const deadline = bootMs() + 60_000;
  for (const each of [side, other] as const) table.set(each, deadline);
  table.halt(side);
  expect([table.held(side), table.held(other)]).toEqual([false, true]);
  expect([table.deadline(side), table.deadline(other)]).toEqual([deadline, deadline]);
  table.set(side, deadline + 1);
  expect(table.held(side)).toBe(false);
  table.resume(other);
  expect(table.held(side)).toBe(false);
  table.resume(side);
  expect([table.held(side), table.deadline(side)]).toEqual([true, deadline + 1]);
});

it.each([
  ['local', 'partner'],
  ['partner', 'local'],
] as const)('a change of %s is under way until it has ended, in all threads', (side, other) => {
  const table = new LeaseTable(allocateLeaseTable());
  const elsewhere = new LeaseTable(table.buffer);
  const isChanging = (): boolean[] => [elsewhere.isChanging(side), elsewhere.isChanging(other)];
  expect([table.beginChange(side), ...isChanging()]).toEqual([false, false, false]);
  table.set(side, bootMs() + 60_000);
  expect([table.beginChange(side), ...isChanging()]).toEqual([true, true, false]);
  expect([elsewhere.beginChange(side), ...isChanging()]).toEqual([true, true, false]);
  table.set(side, 0);
  table.endChange(side);
  expect(isChanging()).toEqual([true, false]);
  elsewhere.endChange(side);
  expect(isChanging()).toEqual([false, false]);
});
