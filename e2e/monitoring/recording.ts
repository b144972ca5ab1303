/** Recordings of real runs for promtool: where they are, what is recorded, and what a Prometheus scraped as one of them. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { REPOSITORY } from '../environment.ts';
import {
  GRID_SECONDS,
  onGrid,
  type Recording,
  recordingText,
  seriesText,
} from '../harness/recorded-series.ts';
import type { Prometheus, ScrapedSeries } from './prometheus.ts';

/** A planned takeover, a kill, and ping-pong, on a kind cluster. */
export const RECORDED_TAKEOVERS = 'recorded-takeovers.yaml';
/** A server that is dead, a sentinel that is, a volume that runs full, on a pair of one machine. */
export const RECORDED_SERVERS = 'recorded-servers.yaml';

export interface TimedMoment {
  readonly name: string;
  /** Ms since the epoch. */
  readonly at: number;
  readonly firing: readonly string[];
}

/** Metrics that the chart's alerts look at, without the buckets of histograms: nobody uses the pair of such a run. */
export function watchedMetrics(): string[] {
  const rules = readFileSync(join(REPOSITORY, 'helm/filerpair/files/alerts.yaml'), 'utf8');
  const names = rules.match(/\bfilerpair_\w+/g) ?? [];
  return [...new Set(names)].filter((name) => !/_bucket$|_dev_pair$|_client_/.test(name)).toSorted();
}

export function writeRecording(file: string, recording: Recording): void {
  writeFileSync(join(REPOSITORY, 'e2e/monitoring', file), recordingText(recording));
}

/** From `beganAt` to the last moment. Ms since the epoch. */
export async function recordingOf(
  prometheus: Prometheus,
  title: string,
  beganAt: number,
  moments: readonly TimedMoment[],
): Promise<Recording> {
  // The last step before it: what comes right after the moment is in the next one.
  const stepAt = (at: number): number => Math.floor((at - beganAt) / (GRID_SECONDS * 1000));
  const steps = Math.max(...moments.map(({ at }) => stepAt(at))) + 1;
  const endsAt = beganAt + steps * GRID_SECONDS * 1000;
  const all: ScrapedSeries[] = [];
  for (const name of watchedMetrics()) all.push(...(await prometheus.samples(name, beganAt, endsAt)));
  return {
    title,
    day: new Date(beganAt).toISOString().slice(0, 10),
    series: all.map(({ labels, samples }) => ({
      series: seriesText(labels),
      values: onGrid(samples, beganAt, steps),
    })),
    moments: moments.map(({ name, at, firing }) => ({ name, firing, step: stepAt(at) })),
  };
}
