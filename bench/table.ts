/** The figures as a table for people, one line a workload. */

import type { ComparisonFigures, Measured, Ratio, WorkloadFigures } from './comparison.ts';

const WIDTHS = [14, 6, 12, 9, 9, 9, 13, 9, 9, 9, 22] as const;

function row(cells: readonly string[]): string {
  return cells.map((cell, i) => (i === 0 ? cell.padEnd(WIDTHS[i]!) : cell.padStart(WIDTHS[i]!))).join('');
}

/** `peer`: name of the server that FilerPair is measured beside. */
export function tableHead(peer: string): string {
  const columns = ['per second', 'p50 us', 'p99 us', 'cpu us'];
  const first = row(['', '', 'FilerPair', '', '', '', peer, '', '', '', '']);
  const second = row(['workload', 'load', ...columns, ...columns, 'ratio (rounds)']);
  return `${first}\n${second}\n${'-'.repeat(second.length)}`;
}

export function tableRow(figures: WorkloadFigures): string {
  const { filerpair } = figures.servers;
  const peer = figures.servers.ganesha ?? figures.servers['other revision'];
  const load = `${figures.connections}x${figures.depth}`;
  return row([figures.workload, load, ...cells(filerpair), ...cells(peer), ratioCell(figures.ratio)]);
}

function cells(measured: Measured | undefined): string[] {
  if (measured === undefined) return ['-', '', '', ''];
  const { latencyUs, mibPerSecond, perSecond, serverCpuUs } = measured;
  // Streams are better known by their bytes.
  const streaming = mibPerSecond !== undefined && mibPerSecond / perSecond >= 1;
  const rate = streaming ? `${Math.round(mibPerSecond)} MiB` : Math.round(perSecond).toLocaleString('en');
  const times = [Math.round(latencyUs.p50), Math.round(latencyUs.p99)].map(String);
  return [rate, ...times, serverCpuUs.toFixed(1)];
}

export function ratioCell(ratio: Ratio | undefined): string {
  if (ratio === undefined) return '';
  const [median, least, greatest] = [ratio.median, ratio.least, ratio.greatest].map((one) => one.toFixed(2));
  return `${median} (${least} to ${greatest})`;
}

export function memoryLines(figures: ComparisonFigures): string[] {
  return Object.entries(figures.memoryMiB).map(
    ([name, { idle, loaded }]) =>
      `memory of ${name}: ${Math.round(idle.resident)} MiB idle, ` +
      `${Math.round(loaded.resident)} MiB after the load, ${Math.round(loaded.peak)} MiB at most`,
  );
}
