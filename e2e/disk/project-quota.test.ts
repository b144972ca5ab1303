/**
 * A share's directory has a project of its own, as a quota for it needs, on a volume whose root gives its project to what is made
 * in it. The kernel renames nothing between the two. The share goes with its directory all the same.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { TestDataThread } from '../../fileserver/data-path/data-thread.fixture.ts';
import { ShareApi } from '../../fileserver/shares/share-api.fixture.ts';
import { SharingServer } from '../../fileserver/shares/sharing-server.fixture.ts';
import { assertEventually } from '../../testing/assert-eventually.ts';
import { LoopMount, makeImage, missingForDisks, workDirectory } from './recording-disk.ts';

const TIMEOUT_MS = 120_000;
const possible = missingForDisks('xfs') === null;

let directory: string;
let mounted: LoopMount;
let volume: string;
let thread: TestDataThread;
let api: ShareApi;
let server: SharingServer;

const chattr = (...args: string[]): void => {
  execFileSync('chattr', args, { stdio: ['ignore', 'ignore', 'pipe'] });
};

beforeEach(async () => {
  if (!possible) return;
  directory = workDirectory();
  const image = join(directory, 'image');
  makeImage(image, 'xfs');
  mounted = new LoopMount('xfs', image, join(directory, 'mounted'));
  volume = join(mounted.path, 'volume');
  mkdirSync(volume);
  chattr('-p', '7', volume);
  chattr('+P', volume);
  thread = new TestDataThread();
  api = await ShareApi.start();
  server = new SharingServer(api, thread, volume);
}, TIMEOUT_MS);

afterEach(async () => {
  if (!possible) return;
  await server.stop();
  await api.close();
  await thread.stop();
  await mounted.unmount();
  rmSync(directory, { recursive: true, force: true });
}, TIMEOUT_MS);

test.runIf(possible)(
  'a directory with a project of its own is deleted with its share',
  async () => {
    const share = join(volume, 'shares', 'team');
    mkdirSync(join(share, 'below', 'deeper'), { recursive: true });
    writeFileSync(join(share, 'below', 'deeper', 'file'), 'x');
    chattr('-R', '-p', '5', share);
    api.put('team', { deletionPolicy: 'Delete' }, { finalizers: ['filerpair.dev/share-directory'] });
    await server.start();
    await server.open();
    await assertEventually(async () => expect(await server.tryMount('/team')).toBe(0));
    api.delete('team');
    await assertEventually(() =>
      expect(
        [api.condition('team', 'DirectoryDeleted'), api.message('team', 'DirectoryDeleted')].join(': '),
      ).toMatch(/^True Deleted/),
    );
    expect(existsSync(share)).toBe(false);
    const [place] = readdirSync(join(volume, '.filerpair', 'removed'));
    expect(readdirSync(join(volume, '.filerpair', 'removed', place!))).toEqual([]);
  },
  TIMEOUT_MS,
);
