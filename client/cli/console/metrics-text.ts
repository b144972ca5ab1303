/** Reads Prometheus' text format, as far as FilerPair's servers write it, and works out what happened between two readings. Pure. */
import type { Figures, ShownVolume } from './state.ts';

export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Reading {
  /** When it was read, ms. */
  readonly atMs: number;
  readonly samples: readonly Sample[];
}

export function samplesOf(text: string): Sample[] {
  return text.split('\n').flatMap((line) => {
    const match = /^([a-z_][\w]*)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (match === null) return [];
    const [, name = '', inner = '', value] = match;
    const labels = Object.fromEntries(
      [...inner.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, label, content]) => [
        label!,
        content!.replace(/\\n/g, '\n').replace(/\\(.)/g, '$1'),
      ]),
    );
    return [{ name, labels, value: Number(value) }];
  });
}

const sum = (reading: Reading, name: string, labels: Readonly<Record<string, string>>): number =>
  reading.samples
    .filter(
      (one) => one.name === name && Object.entries(labels).every(([key, value]) => one.labels[key] === value),
    )
    .reduce((total, { value }) => total + value, 0);

/** Figures of a disk set; null: this is the first reading, or the server has restarted since the last one. */
export function figuresBetween(before: Reading | undefined, now: Reading, diskSet: string): Figures | null {
  if (before === undefined || now.atMs <= before.atMs) return null;
  const seconds = (now.atMs - before.atMs) / 1000;
  const grown = (name: string, labels: Record<string, string> = {}): number =>
    sum(now, name, { disk_set: diskSet, ...labels }) - sum(before, name, { disk_set: diskSet, ...labels });
  const calls = grown('filerpair_nfs_calls_total');
  if (calls < 0) return null;
  const quantile = (part: number): number | null => quantileMs(before, now, diskSet, part);
  return {
    callsPerSecond: calls / seconds,
    readBytesPerSecond: grown('filerpair_export_bytes_total', { direction: 'read' }) / seconds,
    writtenBytesPerSecond: grown('filerpair_export_bytes_total', { direction: 'write' }) / seconds,
    medianMs: quantile(0.5),
    p99Ms: quantile(0.99),
  };
}

/** As histogram_quantile of Prometheus: linear within a class. */
function quantileMs(before: Reading, now: Reading, diskSet: string, part: number): number | null {
  const counts = new Map<number, number>();
  for (const [reading, sign] of [
    [now, 1],
    [before, -1],
  ] as const)
    for (const { name, labels, value } of reading.samples) {
      if (name !== 'filerpair_nfs_call_seconds_bucket' || labels['disk_set'] !== diskSet) continue;
      const bound = labels['le'] === '+Inf' ? Number.POSITIVE_INFINITY : Number(labels['le']);
      counts.set(bound, (counts.get(bound) ?? 0) + sign * value);
    }
  const classes = [...counts].toSorted(([a], [b]) => a - b);
  const all = classes.at(-1)?.[1] ?? 0;
  if (all <= 0) return null;
  let [lowerBound, below] = [0, 0];
  for (const [bound, upTo] of classes) {
    if (upTo >= part * all) {
      if (bound === Number.POSITIVE_INFINITY) return lowerBound * 1000;
      return (lowerBound + ((part * all - below) / (upTo - below)) * (bound - lowerBound)) * 1000;
    }
    [lowerBound, below] = [bound, upTo];
  }
  return null;
}

export function sessionsIn(reading: Reading, diskSet: string): number {
  return sum(reading, 'filerpair_nfs_connections', { disk_set: diskSet });
}

/** Whether the server hears its partner; null: it does not say. */
export function partnerHeard(reading: Reading): boolean | null {
  const found = reading.samples.find(({ name }) => name === 'filerpair_partner_connected');
  return found === undefined ? null : found.value === 1;
}

export function volumesIn(reading: Reading, diskSet: string): ShownVolume[] {
  return reading.samples
    .filter(({ name, labels }) => name === 'filerpair_volume_size_bytes' && labels['disk_set'] === diskSet)
    .map(({ labels, value }) => ({
      name: labels['volume'] ?? '',
      sizeBytes: value,
      availableBytes: sum(reading, 'filerpair_volume_available_bytes', {
        disk_set: diskSet,
        volume: labels['volume'] ?? '',
      }),
    }));
}
