// What a run of the conformance suite found: out/conformance.json for programs; after a run of everything also
// docs/conformance.md for people.
import { mkdirSync, writeFileSync } from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';
import { REPOSITORY } from '../environment.ts';
import { reasonFor } from './forced-by-nfsv3.ts';
import type { Difference, TestOutcome } from './outcome.ts';

export interface ConformanceRun {
  /** Of the tests' names; empty: all were run. */
  readonly patterns: readonly string[];
  readonly local: ReadonlyMap<string, TestOutcome>;
  readonly mounted: ReadonlyMap<string, TestOutcome>;
  readonly found: readonly Difference[];
}

export function writeReport(run: ConformanceRun): void {
  mkdirSync(join(REPOSITORY, 'out'), { recursive: true });
  const { patterns, found } = run;
  const counts = { local: count(run.local), mounted: count(run.mounted) };
  const facts = { patterns, counts, differences: found };
  writeFileSync(join(REPOSITORY, 'out/conformance.json'), `${JSON.stringify(facts, null, 2)}\n`);
  if (patterns.length === 0) writeFileSync(join(REPOSITORY, 'docs/conformance.md'), page(run));
}

function count(outcomes: ReadonlyMap<string, TestOutcome>): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { verdict } of outcomes.values()) counts[verdict] = (counts[verdict] ?? 0) + 1;
  return counts;
}

function page({ local, mounted, found }: ConformanceRun): string {
  const row = (name: string, outcomes: ReadonlyMap<string, TestOutcome>): string => {
    const { ok = 0, FAILED = 0, skipped = 0 } = count(outcomes);
    return `| ${name} | ${ok} | ${FAILED} | ${skipped} |`;
  };
  const listed = found.map(
    ({ name, mounted: { detail } }) => `| ${name} | ${reasonFor(name) ?? `**a defect**: ${detail}`} |`,
  );
  return `# Conformance

Written by \`make conformance\`: pjdfstest inside a mount of the Linux kernel's NFS client (Debian 12's, emulated), and
the same tests on the directory that the server serves, on Linux ${release().split('-')[0]}.

| pjdfstest | succeeded | failed | skipped |
| --- | --- | --- | --- |
${row('on the local file system', local)}
${row('through NFSv3', mounted)}

## What succeeds locally and not through NFSv3

${listed.length === 0 ? 'Nothing.' : `| test | reason |\n| --- | --- |\n${listed.join('\n')}`}
`;
}
