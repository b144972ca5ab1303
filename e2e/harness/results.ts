/** What the scenarios measured, for programs: out/e2e.json, one object a scenario. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { REPOSITORY } from '../environment.ts';
import { readJsonFile, writeJsonFile } from '../machine/json-file.ts';

export interface ScenarioResult {
  readonly passed: boolean;
  /** What happened, as a sentence. */
  readonly fault?: string;
  /** Longest time in ms that the writer waited for an acknowledgement while the fault was on, and at giveback. */
  readonly gapMs?: number;
  readonly givebackGapMs?: number;
  /** Of many in a row. */
  readonly medianGapMs?: number;
  readonly medianGivebackGapMs?: number;
  /**
   * Longest waits of another client, which used the survivor's own disk set all the time, ms: for what must be on the disk,
   * for attributes, and for a timer of its own, beyond its time.
   */
  readonly survivorsClientMs?: {
    readonly durable: number;
    readonly attributes: number;
    readonly ownClockLate: number;
  };
  /** The goal of the design for gapMs. Reported, not asserted: the machine may be busy. */
  readonly gapMsGoal?: number;
  /** Owners that followed the first one: 2 where nothing but the fault and the giveback happened. */
  readonly ownerChanges?: number;
  /** What the longest gap was made of, ms, in order; where it is measured. */
  readonly phasesMs?: Readonly<Record<string, number>>;
  readonly acknowledged?: number;
  readonly lost?: number;
  readonly duplicated?: number;
  /** Violations of "one owner an epoch", and of "nothing that clients know a pair by has changed". */
  readonly ownersViolated?: number;
  readonly identityChanges?: number;
  /** The pair's lease: longer on a machine that is slow. */
  readonly leaseMs?: number;
  readonly tookMs: number;
}

export type Results = Readonly<Record<string, ScenarioResult>>;

const FILE = join(REPOSITORY, 'out/e2e.json');

export const readResults = (): Results => readJsonFile<Results>(FILE, {});

export function clearResults(): void {
  rmSync(FILE, { force: true });
}

export function recordResult(scenario: string, result: ScenarioResult): void {
  writeJsonFile(FILE, { ...readResults(), [scenario]: result });
}

/** A table for people. */
export function resultsTable(results: Results): string {
  const header = [
    'scenario',
    'result',
    'longest gap',
    'goal',
    'at giveback',
    'acknowledged',
    'lost',
    'twice',
  ];
  const ms = (value: number | undefined) => (value === undefined ? '' : `${Math.round(value)} ms`);
  const ofMany = (medianMs: number | undefined) =>
    medianMs === undefined ? '' : ` (median ${ms(medianMs)})`;
  const rows = Object.entries(results).map(([name, one]) => [
    name,
    one.passed ? 'passed' : 'FAILED',
    ms(one.gapMs) + ofMany(one.medianGapMs),
    ms(one.gapMsGoal),
    ms(one.givebackGapMs) + ofMany(one.medianGivebackGapMs),
    String(one.acknowledged ?? ''),
    String(one.lost ?? ''),
    String(one.duplicated ?? ''),
  ]);
  const widths = header.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]!.length)),
  );
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) => (column < 2 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)))
      .join('  ')
      .trimEnd();
  return [header, ...rows].map(line).join('\n');
}
