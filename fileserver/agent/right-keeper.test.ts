/** The order of table and switch (R10), seen from inside: what stands at the moment of each step. */
import { afterEach, expect, it, vi } from 'vitest';
import { allocateRightTable, RightTable } from '../right-table.ts';
import { bootMs } from '../system/boottime.ts';
import { DeadMansSwitch } from '../system/dead-man-switch.ts';
import { RightKeeper } from './right-keeper.ts';

const { arm, disarm } = DeadMansSwitch.prototype;
afterEach(() => vi.restoreAllMocks());

/** Logs each call with the deadline that the table showed at that moment. */
function watched() {
  const table = new RightTable(allocateRightTable());
  const keeper = new RightKeeper(table, 'own', 500);
  const calls: [call: string, tableThen: number][] = [];
  vi.spyOn(DeadMansSwitch.prototype, 'arm').mockImplementation(function (this: DeadMansSwitch, deadline) {
    calls.push([`arm ${deadline}`, table.deadline('own')]);
    arm.call(this, deadline);
  });
  vi.spyOn(DeadMansSwitch.prototype, 'disarm').mockImplementation(function (this: DeadMansSwitch) {
    calls.push(['disarm', table.deadline('own')]);
    disarm.call(this);
  });
  return { table, keeper, calls };
}

it('arms for later before it extends the right, half a guard after its end', () => {
  const { table, keeper, calls } = watched();
  const now = Math.floor(bootMs());
  keeper.set(now + 60_000);
  keeper.set(now + 70_000);
  expect(calls).toEqual([
    [`arm ${now + 60_250}`, 0],
    [`arm ${now + 70_250}`, now + 60_000],
  ]);
  expect(table.deadline('own')).toBe(now + 70_000);
  keeper.disarm();
});

it('cuts the right before it disarms, and leaves the switch armed until told', () => {
  const { table, keeper, calls } = watched();
  const now = Math.floor(bootMs());
  keeper.set(now + 60_000);
  keeper.set(null);
  expect(table.held('own')).toBe(false);
  expect(calls).toHaveLength(1);
  keeper.disarm();
  expect(calls.at(-1)).toEqual(['disarm', 0]);
});

it('shortens the right before it arms for earlier', () => {
  const { keeper, calls } = watched();
  const now = Math.floor(bootMs());
  keeper.set(now + 60_000);
  keeper.set(now + 50_000);
  expect(calls.at(-1)).toEqual([`arm ${now + 50_250}`, now + 50_000]);
  keeper.disarm();
});
