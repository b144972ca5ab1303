/** docs/conformance.md, from what the last run of each test found. */
import { writeFileSync } from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';
import { REPOSITORY } from '../environment.ts';
import { reasonFor } from './forced-by-nfsv3.ts';
import type { BuildResult, ConformanceResults, RecordedResults } from './results.ts';

/** Not where only some tests have been run: the page would lose what it says of the others. */
export function writeReport({ posix, interoperability, build, fsx }: RecordedResults): void {
  if (!posix || !interoperability || !build || !fsx) return;
  const parts = [
    INTRODUCTION,
    posixPart(posix.day, posix.found),
    interoperabilityPart(interoperability.day, interoperability.found),
    buildPart(build.day, build.found),
    fsxPart(fsx.day, fsx.found),
  ];
  writeFileSync(join(REPOSITORY, 'docs/conformance.md'), `${parts.join('\n\n')}\n`);
}

const INTRODUCTION = `# Conformance

Written by \`make conformance\`, from the last run of each test. The mount is one of the Linux kernel's NFS client (Debian
12's, in an emulated machine); the server's files are on Linux ${release().split('-')[0]}.`;

function posixPart(day: string, { local, mounted, differences }: ConformanceResults['posix']): string {
  const row = (name: string, { ok = 0, FAILED = 0, skipped = 0 }: Readonly<Record<string, number>>) =>
    `| ${name} | ${ok} | ${FAILED} | ${skipped} |`;
  const listed = differences.map(
    ({ name, mounted: { detail } }) => `| ${name} | ${reasonFor(name) ?? `**a defect**: ${detail}`} |`,
  );
  return `## POSIX: pjdfstest

${day}. The same tests in the mount and on the directory that the server serves.

| pjdfstest | succeeded | failed | skipped |
| --- | --- | --- | --- |
${row('on the local file system', local)}
${row('through NFSv3', mounted)}

What succeeds locally and not through NFSv3:

${listed.length === 0 ? 'Nothing.' : `| test | reason |\n| --- | --- |\n${listed.join('\n')}`}`;
}

function interoperabilityPart(day: string, found: ConformanceResults['interoperability']): string {
  const names = (group: string) =>
    Object.entries(found)
      .filter(([name]) => name.startsWith(`${group}::`))
      .map(([name, { verdict }]) => `${name.split('::')[1]}${verdict === 'ok' ? '' : ` (**${verdict}**)`}`);
  const ok = Object.values(found).filter(({ verdict }) => verdict === 'ok').length;
  return `## Interoperability: the basic and special tests

${day}. ${ok} of ${Object.keys(found).length} succeed in the mount, as on the local file system. They follow the list of the
Connectathon suite (its README): that suite itself is not among Debian's packages, so these are our own, in C
([e2e/conformance/interoperability](../e2e/conformance/interoperability)).
Its general tests build a C project, as ours below; its lock tests need the network lock manager, which this server does
not have (mounts are made with \`nolock\`).

- basic: ${names('basic').join(', ')}
- special: ${names('special').join(', ')}`;
}

function buildPart(day: string, { project, files, objects, seconds, secondsLocal }: BuildResult): string {
  return `## Real work: a C project

${day}. The sources of ${project} are unpacked, configured and made in the mount, with tcc and two jobs of make: ${files} files,
${objects} objects, in ${seconds} s (${secondsLocal} s in the guest's own memory). Every file is the same byte by byte as where it
is built there, make finds nothing left to do, the program runs, and \`make clean\` and \`rm -r\` leave nothing.`;
}

function fsxPart(day: string, { operations, seconds, firstSeed }: ConformanceResults['fsx']): string {
  return `## Contents of files: fsx

${day}. ${operations.toLocaleString('en-US')} random operations on two files at once in ${seconds} s, seeds from
${firstSeed}: reads, writes, mappings, truncations, flushes, reopening, dropped caches; every byte read is the one written. For
longer: \`make conformance TEST=fsx FSX_SECONDS=3600\`.`;
}
