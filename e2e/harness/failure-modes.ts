/** The measured half of docs/failure-modes.md: a table between two marks, written by the runs that measured it. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { REPOSITORY } from '../environment.ts';
import type { Results, ScenarioResult } from './results.ts';

const FILE = join(REPOSITORY, 'docs/failure-modes.md');
const BEGIN = '<!-- measured: begin (node e2e/main.ts failures) -->';
const END = '<!-- measured: end -->';
const HEADER =
  '| what happens | longest gap | goal | at giveback | acknowledged | lost | twice | lease | scenario | day |';
const RULE = '| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- | --- |';
const FAILED = ' (FAILED)';

/**
 * Writes the lines of the scenarios that were run. Those of others stay as they are.
 *
 * @param about the line above the table: where
 * @param day of this run
 */
export function writeFailureModes(results: Results, about: string, day: string): void {
  const text = readFileSync(FILE, 'utf8');
  writeFileSync(
    FILE,
    withTable(text, about, (before) => failureTable(results, day, before)),
  );
}

/** Pure: the document with what stands between the marks exchanged. */
export function withTable(text: string, about: string, table: (before: string) => string): string {
  const [from, to] = [text.indexOf(BEGIN) + BEGIN.length, text.indexOf(END)];
  if (from < BEGIN.length || to < from)
    throw new Error(`${FILE} has no marks for the table of what was measured`);
  return `${text.slice(0, from)}\n\n${about}\n\n${table(text.slice(from, to))}\n\n${text.slice(to)}`;
}

/** Pure: one line a scenario in which something was measured, in the order of `before`, then of the results. */
export function failureTable(results: Results, day: string, before = ''): string {
  const rows = new Map<string, string>();
  for (const line of before.split('\n')) {
    const scenario = line.startsWith('| ') && line !== HEADER ? scenarioOf(line) : undefined;
    if (scenario !== undefined && scenario !== '---') rows.set(scenario, line);
  }
  for (const [name, one] of Object.entries(results))
    if (one.gapMs !== undefined) rows.set(name, row(name, one, day));
  return [HEADER, RULE, ...rows.values()].join('\n');
}

const scenarioOf = (line: string): string | undefined => line.split('|').at(-3)?.trim().replace(FAILED, '');

function row(name: string, one: ScenarioResult, day: string): string {
  const seconds = (ms: number | undefined) => (ms === undefined ? '' : `${(ms / 1000).toFixed(2)} s`);
  const ofMany = (median: number | undefined) => (median === undefined ? '' : ` (median ${seconds(median)})`);
  const cells = [
    one.fault ?? name,
    seconds(one.gapMs) + ofMany(one.medianGapMs),
    seconds(one.gapMsGoal),
    seconds(one.givebackGapMs) + ofMany(one.medianGivebackGapMs),
    one.acknowledged,
    one.lost,
    one.duplicated,
    one.leaseMs === undefined ? '' : `${one.leaseMs / 1000} s`,
    `${name}${one.passed ? '' : FAILED}`,
    day,
  ];
  return `| ${cells.map((cell) => cell ?? '').join(' | ')} |`;
}
