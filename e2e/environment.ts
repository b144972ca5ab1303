/**
 * What the set-up found and made, handed to the tests as a file. The tests run in processes of their own, one of them may be
 * started alone (npx vitest), and none of them reads environment variables.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Images } from './application/images.ts';
import type { PreviousRelease } from './install/previous-release.ts';
import type { Cluster } from './kind/cluster.ts';
import type { GuestImage } from './linux/guest-image.ts';

export interface TestEnvironment {
  readonly cluster: Cluster;
  readonly images: Images;
  /** Paths of the programs that drive the cluster. */
  readonly kubectl: string;
  readonly helm: string;
  readonly kind: string;
}

export const REPOSITORY = join(import.meta.dirname, '..');
const DIRECTORY = join(REPOSITORY, '.cache/e2e');

export function writeEnvironment(environment: TestEnvironment): void {
  write('cluster.json', environment);
}

export function readEnvironment(): TestEnvironment {
  return read<TestEnvironment>(
    'cluster.json',
    'a cluster: run "make kind" first, or "make e2e" for everything at once',
  );
}

/** How many times slower than an ordinary machine this one is (machine/slowness.ts); 1 and greater. */
export function writeSlowness(slowness: number): void {
  write('slowness.json', { slowness });
}

/** 1 where it was not measured: a test that is run by itself. */
export function readSlowness(): number {
  const path = join(DIRECTORY, 'slowness.json');
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as { slowness: number }).slowness : 1;
}

/** Paths of the programs of a control plane without nodes. */
export interface ControlPlanePrograms {
  readonly etcd: string;
  readonly apiServer: string;
  readonly helm: string;
  readonly kubectl: string;
  readonly policyEnforcer: string;
}

export function writeControlPlanePrograms(programs: ControlPlanePrograms): void {
  write('control-plane.json', programs);
}

export function readControlPlanePrograms(): ControlPlanePrograms {
  return read<ControlPlanePrograms>('control-plane.json', 'an API server: run "make admission"');
}

/** Paths of Prometheus and its tool. */
export interface PrometheusPrograms {
  readonly prometheus: string;
  readonly promtool: string;
}

export function writePrometheusPrograms(programs: PrometheusPrograms): void {
  write('prometheus.json', programs);
}

export function readPrometheusPrograms(): PrometheusPrograms {
  return read<PrometheusPrograms>('prometheus.json', 'Prometheus: run "make monitoring"');
}

export function writePreviousRelease(release: PreviousRelease): void {
  write('previous-release.json', release);
}

export function readPreviousRelease(): PreviousRelease {
  return read<PreviousRelease>('previous-release.json', 'the release before: run "make upgrade-check"');
}

export function writeGuestImage(image: GuestImage): void {
  write('guest.json', image);
}

export function readGuestImage(): GuestImage {
  return read<GuestImage>('guest.json', 'the Linux guest: run "make clients"');
}

/** A guest in which the kernel's path is tested. */
export interface KernelGuest {
  readonly debian: string;
  readonly image: GuestImage;
}

export function writeKernelGuests(guests: readonly KernelGuest[]): void {
  write('kernel-guests.json', guests);
}

export function readKernelGuests(): KernelGuest[] {
  return read<KernelGuest[]>('kernel-guests.json', 'a Linux guest: run "make clients" or "make kernel-path"');
}

export interface ConformancePrograms {
  readonly pjdfstest: string;
  readonly fsx: string;
  readonly interoperability: string;
  /** How long fsx is to run. */
  readonly fsxSeconds: number;
}

export function writeConformancePrograms(programs: ConformancePrograms): void {
  write('conformance.json', programs);
}

export function readConformancePrograms(): ConformancePrograms {
  return read<ConformancePrograms>('conformance.json', 'the conformance suites: run "make conformance"');
}

/** Archive of the sources that are built in a mount. */
export interface CProject {
  readonly archive: string;
}

export function writeCProject(project: CProject): void {
  write('c-project.json', project);
}

export function readCProject(): CProject {
  return read<CProject>('c-project.json', 'the sources of a C project: run "make conformance"');
}

function write(name: string, value: object): void {
  mkdirSync(DIRECTORY, { recursive: true });
  writeFileSync(join(DIRECTORY, name), JSON.stringify(value, null, 2));
}

function read<T>(name: string, need: string): T {
  try {
    return JSON.parse(readFileSync(join(DIRECTORY, name), 'utf8')) as T;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    throw new Error(`these tests need ${need}`);
  }
}
