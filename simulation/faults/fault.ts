/**
 * A fault: one descriptor says how it strikes a run of the simulation and what the explorer may do with it. Registered in
 * registry.ts.
 */
import type { Rules } from '../exploration/rules.ts';
import type { World as ExploredWorld, PendingEvent, Process } from '../exploration/world.ts';
import type { World } from '../world.ts';

/** Which faults strike a run of the simulation. */
export type FaultSet =
  | 'all'
  /** Only a network and an API that are cut and slow. */
  | 'network'
  /** Two incarnations of a server beside each other, in a network and before an API that are cut and slow. */
  | 'twins'
  /** A witness that loses what it had acknowledged, and volumes mounted where they do not belong. */
  | 'disks'
  /** Runs of one server of which some reach the API and others do not; answers of the API at the limit. */
  | 'apart'
  /** Disk sets of several volumes, of which single ones hang and fail. */
  | 'volumes'
  /** Machines that are paused as a whole: neither clock nor dead man's timer sees it. With several volumes, in odd seeds. */
  | 'machines'
  /** All, while the lease times are being changed: servers that run have others than those that start. */
  | 'times';

export interface Fault {
  readonly name: string;
  /**
   * Its places in the menus of which a run draws; several make it more likely. A seed draws places, so it means the same as long
   * as no fault moves: a new one takes the next place. `times` has the menu of `all`, `volumes` has it up to its last place.
   */
  readonly places?: Partial<Record<FaultSet, readonly number[]>>;
  readonly strike?: (world: World) => void;
  readonly explored?: Explored;
}

/** The explorer's side. Each transition spends one of the faults that its bounds allow; to undo one costs nothing. */
export interface Explored {
  /** Right before a process takes an event: in between nothing differs. */
  readonly before?: (moment: Moment, rules: Rules) => Transition[];
  /** While nothing is on its way. */
  readonly quiet?: (world: ExploredWorld, rules: Rules) => Transition[];
}

export interface Transition {
  readonly name: string;
  readonly world: ExploredWorld;
  /** It undoes a fault. */
  readonly mends?: true;
}

export interface Moment {
  readonly world: ExploredWorld;
  /** The event that is next, in words too, and the world without it. */
  readonly head: PendingEvent;
  readonly what: string;
  readonly rest: ExploredWorld;
  /** Whom it reaches or who makes it: alive, and not stopped. */
  readonly process: Process;
}

export function canStrike(world: ExploredWorld, fault: string): boolean {
  return (world.left[fault] ?? 0) > 0;
}

export function spend(world: ExploredWorld, fault: string): ExploredWorld {
  return { ...world, left: { ...world.left, [fault]: world.left[fault]! - 1 } };
}

/** Those that run: alive, and not stopped. */
export function running(world: ExploredWorld): readonly Process[] {
  return world.processes.filter(({ alive, paused }) => alive && !paused);
}

/** A part of a fault that begins later; once everything is healed it does not. */
export function strikeLater(world: World, ms: number, action: () => void): void {
  world.queue.after(ms, () => {
    if (!world.calm) action();
  });
}
