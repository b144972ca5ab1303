/** All faults: of which a seed's run draws, and among which the explorer chooses. */
import { administratorFaults } from './administrator.ts';
import { diskFaults } from './disks.ts';
import type { Explored, Fault, FaultSet } from './fault.ts';
import { networkFaults } from './network.ts';
import { processFaults } from './processes.ts';
import { witnessFaults } from './witness.ts';

export const FAULTS: readonly Fault[] = [
  ...processFaults,
  ...networkFaults,
  ...witnessFaults,
  ...diskFaults,
  ...administratorFaults,
];

export const EXPLORED: readonly Explored[] = FAULTS.flatMap(({ explored }) => explored ?? []);

/** The faults of that set, by place. */
export function menuOf(set: FaultSet): readonly NonNullable<Fault['strike']>[] {
  const menu: NonNullable<Fault['strike']>[] = [];
  const placed = (one: FaultSet): void => {
    for (const { places, strike } of FAULTS) for (const place of places?.[one] ?? []) menu[place] = strike!;
  };
  if (set === 'times' || set === 'volumes') placed('all');
  placed(set);
  return menu;
}
