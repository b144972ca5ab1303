/**
 * From what servers and clients report to one timeline. All servers and the demo run on one machine, so their times on
 * CLOCK_BOOTTIME can be laid side by side.
 */
import type { Status } from '../fileserver/agent/status.ts';

type Transition = NonNullable<Status['lastTransition']>;
type Handover = NonNullable<Status['lastHandover']>;

/** A phase for out/demo.json: when it ended, ms after the story's beginning. */
export interface PhaseRecord {
  readonly name: string;
  readonly atMs: number;
}

/** Phases of a takeover or giveback as the new owner saw them, each at its end. */
export function transitionPhases(transition: Transition, zeroBootMs: number): PhaseRecord[] {
  const startedMs = transition.startedBootMs - zeroBootMs;
  return [
    { name: 'detected', atMs: startedMs },
    ...transition.phases.map(({ name, atMs, tookMs }) => ({ name, atMs: startedMs + atMs + tookMs })),
  ];
}

/** Phases of a hand-over as the giver saw them, each at its end. */
export function handoverPhases(handover: Handover, zeroBootMs: number): PhaseRecord[] {
  const startedMs = handover.startedBootMs - zeroBootMs;
  return handover.phases.map(({ name, atMs, tookMs }) => ({ name, atMs: startedMs + atMs + tookMs }));
}
