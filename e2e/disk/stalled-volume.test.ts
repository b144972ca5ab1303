/**
 * Two servers as in production, and a volume of one of them that is stuck. Its server says so; after a while it gives the disk
 * set up, and its dead man's switch ends it. The partner serves the disk set as soon as the disk answers.
 */

import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { firstAnswer, Pair } from '../../fileserver/agent/pair.fixture.ts';
import { mount } from '../../fileserver/data-path/data-thread.fixture.ts';
import { RpcClient } from '../../fileserver/data-path/rpc-client.fixture.ts';
import * as nfs from '../../protocol/nfs3.ts';
import { eventually } from '../../testing/eventually.ts';
import { LoopMount, makeImage, missingForDisks, workDirectory } from './recording-disk.ts';

const possible = missingForDisks('ext4') === null;
const TIMEOUT_MS = 120_000;
const VOLUME_STALLED_MS = 2000;
const how: nfs.createhow3 = { mode: nfs.GUARDED, obj_attributes: { ...nfs.SATTR3_NOTHING, mode: 0o644 } };

let directory: string | null = null;
let mounted: LoopMount;
let pair: Pair;
let frozen = false;

function freeze(yes: boolean): void {
  if (frozen === yes) return;
  execFileSync('fsfreeze', [yes ? '--freeze' : '--unfreeze', mounted.path]);
  frozen = yes;
}

afterEach(async () => {
  if (directory === null) return;
  freeze(false);
  // Before the pair's directory is removed: the volume is mounted in it.
  await pair.kill();
  await mounted.unmount();
  await pair.stop();
  rmSync(directory, { recursive: true, force: true });
}, TIMEOUT_MS);

/** Both servers, filer-a's volume on a file system of its own; resolves with them and a client of filer-a. */
async function start(volumeStalledMs: number) {
  directory = workDirectory();
  const image = join(directory, 'image');
  makeImage(image, 'ext4');
  pair = await Pair.create(() => ({ volumeStalledMs }));
  const path = join(pair.directory, 'volumes/filer-a/data');
  mkdirSync(path, { recursive: true });
  mounted = new LoopMount('ext4', image, path);
  const first = pair.startServer('filer-a');
  const second = pair.startServer('filer-b');
  await pair.paired();
  const client = await RpcClient.connect(pair.ports['filer-a'].primary);
  return { first, second, client, root: await mount(client, '/home') };
}

function create(client: RpcClient, dir: Uint8Array, name: string) {
  return client.call('CREATE', { where: { dir, name: new TextEncoder().encode(name) }, how });
}

test.skipIf(!possible)(
  'a volume that is stuck for too long is given up, and the partner serves it when the disk answers',
  async () => {
    const { first, second, client, root } = await start(VOLUME_STALLED_MS);
    freeze(true);
    const held = create(client, root, 'file').then(
      () => 'answered',
      () => 'not answered',
    );
    await eventually('filer-a gives its disk set up', 60_000, () => first.output().includes('VolumeStalled'));
    expect(await held).toBe('not answered');
    // The thread inside the kernel can't say that it is done, nor end: its server's silence is what the partner hears.
    await eventually('filer-b claims it', 60_000, () =>
      second.output().includes('Claiming filer-a at epoch 2'),
    );
    freeze(false);
    await firstAnswer(pair.ports['filer-b'].secondary);
    expect((await first.ended).signal).toBe('SIGKILL');
    const other = await RpcClient.connect(pair.ports['filer-b'].secondary);
    expect(nfs.nfsstat3Name((await create(other, root, 'after')).status)).toBe('NFS3_OK');
    other.close();
    client.close();
    const epochs = pair.history('filer-a').map(({ holder, epoch }) => `${epoch} ${holder?.split('/')[0]}`);
    expect(epochs.at(-1)).toMatch(/filer-b$/);
  },
  TIMEOUT_MS,
);

test.skipIf(!possible)(
  'a server with a stuck volume works and says that it is not ready, which volume it is and for how long',
  async () => {
    const { client, root } = await start(0);
    const ask = (path: string) => pair.control('filer-a', 'GET', path);
    const stuck = async () =>
      (await pair.status('filer-a'))?.diskSets.find(({ home }) => home === 'filer-a')?.stuckVolumes;
    expect((await ask('/readyz')).status).toBe(200);
    expect(await stuck()).toEqual([]);
    freeze(true);
    const held = create(client, root, 'file');
    await eventually('it is not ready', 60_000, async () => (await ask('/readyz')).status === 503);
    expect((await ask('/readyz')).body).toMatch(
      /^the disk of filer-a's volume data has not answered for \d+ s\n$/,
    );
    expect(await stuck()).toMatchObject([{ name: 'data' }]);
    expect((await ask('/metrics')).body).toMatch(
      /^filerpair_volume_stuck_seconds\{disk_set="filer-a",volume="data"\} \d/m,
    );
    // A new process would wait for the same disk.
    expect((await ask('/healthz')).status).toBe(200);
    // Nobody takes over from a server that is right to serve.
    expect(pair.history('filer-a').at(-1)).toMatchObject({ epoch: 1 });
    freeze(false);
    expect(nfs.nfsstat3Name((await held).status)).toBe('NFS3_OK');
    await eventually('it is ready again', 60_000, async () => (await ask('/readyz')).status === 200);
    expect(await stuck()).toEqual([]);
    client.close();
  },
  TIMEOUT_MS,
);
