// The figures as a table for people, one line a workload.

import type { ComparisonFigures, Measured, WorkloadFigures } from './comparison.ts';

const WIDTHS = [14, 6, 12, 10, 10, 12, 10, 10, 8] as const;

function row(cells: readonly string[]): string {
  return cells.map((cell, i) => (i === 0 ? cell.padEnd(WIDTHS[i]!) : cell.padStart(WIDTHS[i]!))).join('');
}

export function tableHead(): string {
  const first = row(['', '', 'FilerPair', '', '', 'nfs-ganesha', '', '', '']);
  const names = [
    'workload',
    'load',
    'per second',
    'p50 us',
    'p99 us',
    'per second',
    'p50 us',
    'p99 us',
    'ratio',
  ];
  const second = row(names);
  return `${first}\n${second}\n${'-'.repeat(second.length)}`;
}

export function tableRow(figures: WorkloadFigures): string {
  const { filerpair, ganesha } = figures.servers;
  const load = `${figures.connections}x${figures.depth}`;
  const ratio = figures.ratio === undefined ? '' : figures.ratio.toFixed(2);
  return row([figures.workload, load, ...cells(filerpair), ...cells(ganesha), ratio]);
}

function cells(measured: Measured | undefined): string[] {
  if (measured === undefined) return ['-', '', ''];
  const { latencyUs, mibPerSecond, perSecond } = measured;
  // Streams are better known by their bytes.
  const streaming = mibPerSecond !== undefined && mibPerSecond / perSecond >= 1;
  const rate = streaming ? `${Math.round(mibPerSecond)} MiB` : Math.round(perSecond).toLocaleString('en');
  return [rate, Math.round(latencyUs.p50).toString(), Math.round(latencyUs.p99).toString()];
}

export function memoryLines(figures: ComparisonFigures): string[] {
  return Object.entries(figures.memoryMiB).map(
    ([name, { idle, loaded }]) =>
      `memory of ${name}: ${Math.round(idle.resident)} MiB idle, ` +
      `${Math.round(loaded.resident)} MiB after the load, ${Math.round(loaded.peak)} MiB at most`,
  );
}
