// What each test of this directory found when it was run whole (`make conformance`): out/conformance.json, one entry a test
// with the day of its run, for programs and for the page that report.ts makes of it.
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { REPOSITORY } from '../environment.ts';
import type { Difference, TestOutcome } from './outcome.ts';

export interface ConformanceResults {
  readonly posix: {
    readonly local: Readonly<Record<string, number>>;
    readonly mounted: Readonly<Record<string, number>>;
    readonly differences: readonly Difference[];
  };
  readonly interoperability: Readonly<Record<string, TestOutcome>>;
  readonly fsx: { readonly operations: number; readonly seconds: number; readonly firstSeed: number };
}

export type RecordedResults = {
  readonly [K in keyof ConformanceResults]?: { readonly day: string; readonly found: ConformanceResults[K] };
};

const FILE = join(REPOSITORY, 'out/conformance.json');

export function readConformance(): RecordedResults {
  try {
    return JSON.parse(readFileSync(FILE, 'utf8')) as RecordedResults;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {};
    throw error;
  }
}

export function writeConformance<K extends keyof ConformanceResults>(
  name: K,
  found: ConformanceResults[K],
): void {
  mkdirSync(join(REPOSITORY, 'out'), { recursive: true });
  const day = new Date().toISOString().slice(0, 10);
  const all = { ...readConformance(), [name]: { day, found } };
  writeFileSync(`${FILE}.tmp`, `${JSON.stringify(all, null, 2)}\n`);
  renameSync(`${FILE}.tmp`, FILE);
}
