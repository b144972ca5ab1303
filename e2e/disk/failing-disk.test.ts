/**
 * Disks that fail: a flush or a write that ends with EIO, a file system that turns read-only. What can't be made durable is
 * never answered, and the volume's service ends.
 */
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { mount, openMessage, TestDataThread } from '../../fileserver/data-path/data-thread.fixture.ts';
import { RpcClient } from '../../fileserver/data-path/rpc-client.fixture.ts';
import * as nfs from '../../protocol/nfs3.ts';
import { type FileSystemType, type LoopMount, missingForDisks, RecordingDisk } from './recording-disk.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const GUARDED = { mode: nfs.GUARDED, obj_attributes: { ...nfs.SATTR3_NOTHING, mode: 0o600 } } as const;
const TIMEOUT_MS = 60_000;

interface Stage {
  readonly disk: RecordingDisk;
  readonly mounted: LoopMount;
  readonly volume: string;
  readonly thread: TestDataThread;
  readonly client: RpcClient;
  readonly root: Uint8Array;
  /** A file that exists, empty. */
  readonly file: Uint8Array;
}

let stage: Stage | null = null;

async function set(type: FileSystemType): Promise<Stage> {
  const disk = await RecordingDisk.make(type, { record: false });
  const mounted = disk.mount();
  const volume = join(mounted.path, 'volume');
  mkdirSync(volume);
  const thread = new TestDataThread();
  const client = await RpcClient.connect((await thread.open(openMessage(volume))).port);
  const root = await mount(client, '/data');
  const made = await client.call('CREATE', { where: { dir: root, name: bytes('there') }, how: GUARDED });
  if (made.status !== nfs.NFS3_OK) throw new Error(nfs.nfsstat3Name(made.status));
  stage = { disk, mounted, volume, thread, client, root, file: made.obj! };
  return stage;
}

afterEach(async () => {
  if (stage === null) return;
  const { disk, mounted, thread, client } = stage;
  stage = null;
  client.close();
  await disk.behave({});
  await thread.close('local', 'fence');
  // A flush that is still under way has its file open; the thread closes it when it has ended.
  await mounted.unmount();
  await thread.stop();
  await disk.discard();
});

/** The call gets no answer, the service ends with the fault, and stays so when the disk is well again. */
async function expectFault(
  call: (one: Stage) => Promise<unknown>,
  reasons: readonly string[],
): Promise<void> {
  const { thread, disk } = stage!;
  const fault = thread.of('fault');
  await expect(call(stage!)).rejects.toThrow('connection closed');
  expect(reasons).toContain((await fault).reason);
  await disk.behave({});
  expect(thread.messages.filter(({ kind }) => kind === 'fault')).toHaveLength(1);
}

const create = ({ client, root }: Stage) =>
  client.call('CREATE', { where: { dir: root, name: bytes('new') }, how: GUARDED });
const write = ({ client, file }: Stage, stable: nfs.stable_how) =>
  client.call('WRITE', { file, offset: 0, count: 4, stable, data: bytes('data') });

for (const type of ['ext4', 'xfs', 'btrfs'] as const) {
  const possible = missingForDisks(type) === null;

  test.skipIf(!possible)(
    `${type}: a flush that fails ends the service before anything is answered: CREATE`,
    async () => {
      await set(type);
      await stage!.disk.behave({ failFlushes: true });
      await expectFault(create, ['IoError', 'ReadOnly']);
    },
    TIMEOUT_MS,
  );

  test.skipIf(!possible)(
    `${type}: the same for a stable WRITE`,
    async () => {
      await set(type);
      await stage!.disk.behave({ failFlushes: true });
      await expectFault((one) => write(one, nfs.FILE_SYNC), ['IoError', 'ReadOnly']);
    },
    TIMEOUT_MS,
  );

  test.skipIf(!possible)(
    `${type}: data that the disk does not take is not committed`,
    async () => {
      const one = await set(type);
      await one.disk.behave({ failWrites: true });
      const written = await write(one, nfs.UNSTABLE);
      expect(nfs.nfsstat3Name(written.status)).toBe('NFS3_OK');
      await expectFault(
        ({ client, file }) => client.call('COMMIT', { file, offset: 0, count: 0 }),
        ['IoError', 'ReadOnly'],
      );
    },
    TIMEOUT_MS,
  );

  test.skipIf(!possible)(
    `${type}: what could not be announced in the journal is not done`,
    async () => {
      const one = await set(type);
      await one.disk.behave({ failWrites: true });
      await expectFault(create, ['IoError', 'ReadOnly']);
      expect(readdirSync(one.volume).sort()).toEqual(['.filerpair', 'there']);
    },
    TIMEOUT_MS,
  );
}

test.skipIf(missingForDisks('ext4') !== null)(
  'ext4 that has turned read-only: the service ends, nothing is answered',
  async () => {
    const one = await set('ext4');
    one.mounted.remount('errors=remount-ro');
    writeFileSync(`/sys/fs/ext4/${basename(one.mounted.device)}/trigger_fs_error`, 'test');
    await expectFault(create, ['ReadOnly', 'IoError']);
  },
  TIMEOUT_MS,
);
