// The measured half of docs/failure-modes.md: a table between two marks, written by the run that measured it.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { REPOSITORY } from '../environment.ts';
import type { Results, ScenarioResult } from './results.ts';

const FILE = join(REPOSITORY, 'docs/failure-modes.md');
const BEGIN = '<!-- measured: begin (node e2e/main.ts failures) -->';
const END = '<!-- measured: end -->';

/** Replaces the table. `about` is the line above it: when and where. */
export function writeFailureModes(results: Results, about: string): void {
  const text = readFileSync(FILE, 'utf8');
  writeFileSync(FILE, withTable(text, `${about}\n\n${failureTable(results)}`));
}

/** Pure: the document with what stands between the marks exchanged. */
export function withTable(text: string, table: string): string {
  const [from, to] = [text.indexOf(BEGIN), text.indexOf(END)];
  if (from < 0 || to < from) throw new Error(`${FILE} has no marks for the table of what was measured`);
  return `${text.slice(0, from + BEGIN.length)}\n\n${table}\n\n${text.slice(to)}`;
}

/** Pure: one line a scenario in which something was measured. */
export function failureTable(results: Results): string {
  const header =
    '| what happens | longest gap | goal | at giveback | acknowledged | lost | twice | scenario |';
  const rule = '| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |';
  const rows = Object.entries(results)
    .filter(([, one]) => one.gapMs !== undefined)
    .map(([name, one]) => row(name, one));
  return [header, rule, ...rows].join('\n');
}

function row(name: string, one: ScenarioResult): string {
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
    `${name}${one.passed ? '' : ' (FAILED)'}`,
  ];
  return `| ${cells.map((cell) => cell ?? '').join(' | ')} |`;
}
