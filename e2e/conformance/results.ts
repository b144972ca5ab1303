/**
 * What each test of this directory found when it was run whole (`make conformance`): out/conformance.json, one entry a test
 * with the day of its run, for programs and for the page that report.ts makes of it.
 */
import { join } from 'node:path';
import { REPOSITORY } from '../environment.ts';
import { readJsonFile, writeJsonFile } from '../machine/json-file.ts';
import type { Difference, TestOutcome } from './outcome.ts';

export interface ConformanceResults {
  readonly posix: {
    readonly local: Readonly<Record<string, number>>;
    readonly mounted: Readonly<Record<string, number>>;
    readonly differences: readonly Difference[];
  };
  readonly interoperability: Readonly<Record<string, TestOutcome>>;
  readonly fsx: { readonly operations: number; readonly seconds: number; readonly firstSeed: number };
  readonly build: BuildResult;
}

/** A C project that was built in the mount, and the same on the guest's own file system. */
export interface BuildResult {
  readonly project: string;
  readonly files: number;
  readonly objects: number;
  readonly seconds: number;
  readonly secondsLocal: number;
}

export type RecordedResults = {
  readonly [K in keyof ConformanceResults]?: { readonly day: string; readonly found: ConformanceResults[K] };
};

const FILE = join(REPOSITORY, 'out/conformance.json');

export const readConformance = (): RecordedResults => readJsonFile<RecordedResults>(FILE, {});

export function writeConformance<K extends keyof ConformanceResults>(
  name: K,
  found: ConformanceResults[K],
): void {
  const day = new Date().toISOString().slice(0, 10);
  writeJsonFile(FILE, { ...readConformance(), [name]: { day, found } });
}
