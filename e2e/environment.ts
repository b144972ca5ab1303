// What the set-up found and made, handed to the tests as a file: the tests run in processes of their own, one of
// them may be started alone (npx vitest), and none of them reads environment variables.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Images } from './application/images.ts';
import type { Cluster } from './kind/cluster.ts';

export interface TestEnvironment {
  readonly cluster: Cluster;
  readonly images: Images;
  /** Paths of the programs that drive the cluster. */
  readonly kubectl: string;
  readonly helm: string;
  readonly kind: string;
}

export const REPOSITORY = join(import.meta.dirname, '..');
const FILE = join(REPOSITORY, '.cache/e2e/environment.json');

export function writeEnvironment(environment: TestEnvironment): void {
  mkdirSync(dirname(FILE), { recursive: true });
  writeFileSync(FILE, JSON.stringify(environment, null, 2));
}

export function readEnvironment(): TestEnvironment {
  try {
    return JSON.parse(readFileSync(FILE, 'utf8')) as TestEnvironment;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    throw new Error(
      'these tests need a cluster: run "make kind" first, or "make e2e" for everything at once',
    );
  }
}
