/**
 * Thousands of random operations by NFS and by system calls side by side: see differential.fixture.ts. A failure names the seed
 * and the step. `make conformance` tries other seeds, and more of them.
 */
import { chmodSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { SeededRandom } from '../../testing/seeded-random.ts';
import * as calls from '../system/file-calls.ts';
import { OPEN } from '../system/open-gate.fixture.ts';
import { StatBuffer } from '../system/statx.ts';
import { mount, openMessage, TestDataThread } from './data-thread.fixture.ts';
import { TwinTrees } from './differential.fixture.ts';
import { fileSystems, type MountedFileSystem } from './file-systems.fixture.ts';
import { user } from './kernel-oracle.fixture.ts';
import { RpcClient } from './rpc-client.fixture.ts';

declare module 'vitest' {
  interface ProvidedContext {
    readonly seeds?: number;
    readonly from?: number;
  }
}
const FROM = Number(inject('from') ?? 1);
const SEEDS = Number(inject('seeds') ?? 1);
const STEPS = 700;

const isRoot = process.geteuid!() === 0;
/** Root first. One group that two of them share, one that only one has, one whose user and group are another's. */
const USERS = [
  user(0, 0, []),
  user(1001, 1001, [2001]),
  user(1002, 1002, [2001, 2002]),
  user(1003, 1001, []),
];

/**
 * Do two changes in a row have two times here? Older kernels count time in ticks of some milliseconds, and tmpfs (below
 * the overlay) does so still for a directory of which a name is taken.
 */
function hasFineTimes(fd: number): boolean {
  const stat = new StatBuffer();
  const name = new TextEncoder().encode('tried');
  const seen = new Set<string>();
  const changes: readonly (() => number)[] = [
    () => calls.changeMode(OPEN, fd, 0o776),
    () => calls.changeMode(OPEN, fd, 0o777),
    () => calls.makeDirectoryAt(OPEN, fd, name, 0o777),
    () => calls.unlinkAt(OPEN, fd, name, calls.AT_REMOVEDIR),
  ];
  for (let i = 0; i < 20; i++) {
    changes[i % changes.length]!();
    stat.ofFd(fd);
    seen.add(`${stat.ctimeSeconds}.${stat.ctimeNanoseconds}`);
  }
  return seen.size === 20;
}

describe.each(fileSystems)('on $name', ({ missing: missingHere, mount: mountFileSystem }) => {
  // Without root a file is found by its names from the volume's root on. A directory on the way that its owner may not search
  // ends it, where the kernel goes on from a descriptor.
  const missing = isRoot ? missingHere : 'needs root';
  if (missing !== null) {
    test.skip(missing, () => {});
    return;
  }
  let fileSystem: MountedFileSystem;
  let thread: TestDataThread;
  let client: RpcClient;
  /** Of all seeds. */
  const statuses = new Map<string, number>();

  beforeAll(async () => {
    calls.clearUmask();
    fileSystem = mountFileSystem();
    for (const name of ['volume', 'local']) {
      mkdirSync(join(fileSystem.path, name));
      chmodSync(join(fileSystem.path, name), 0o777);
    }
    thread = new TestDataThread();
    const { port } = await thread.open(openMessage(join(fileSystem.path, 'volume')));
    client = await RpcClient.connect(port);
  });
  afterAll(async () => {
    client.close();
    await thread.close('local', 'quiesce');
    await thread.stop();
    fileSystem.unmount();
  });

  test.each(Array.from({ length: SEEDS }, (_, i) => FROM + i))('seed %i', async (seed) => {
    for (const side of ['volume', 'local']) {
      const path = join(fileSystem.path, side, String(seed));
      mkdirSync(path);
      chmodSync(path, 0o777);
    }
    const local = new TextEncoder().encode(join(fileSystem.path, 'local', String(seed)));
    const fd = calls.openAt(calls.AT_FDCWD, local, calls.O_PATH | calls.O_DIRECTORY);
    const handle = await mount(client, `/data/${seed}`);
    const trees = new TwinTrees(client, new SeededRandom(seed), USERS, { handle, fd }, hasFineTimes(fd));
    try {
      for (let step = 0; step < STEPS; step++) {
        try {
          await trees.step();
        } catch (error) {
          throw new Error(`seed ${seed}, step ${step}: ${(error as Error).message}`);
        }
      }
      for (const [status, times] of trees.statuses) statuses.set(status, (statuses.get(status) ?? 0) + times);
    } finally {
      trees.close();
    }
  });

  test('these were not merely refusals on both sides', () => {
    for (const name of ['CREATE', 'RENAME', 'LINK', 'SETATTR-MODE', 'WRITE', 'READ']) {
      expect([name, statuses.get(`${name} NFS3_OK`) ?? 0]).not.toEqual([name, 0]);
    }
  });
});
