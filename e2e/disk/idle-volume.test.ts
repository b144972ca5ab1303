/**
 * A volume that no client uses, on a disk that answers nothing any more. The server's own looks at it must not take what
 * everybody else needs (libuv's pool), and it is this volume that is told as silent.
 */
import { execFileSync } from 'node:child_process';
import { lookup } from 'node:dns/promises';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import {
  EVERYBODY,
  mount,
  openMessage,
  TestDataThread,
  temporaryDirectory,
} from '../../fileserver/data-path/data-thread.fixture.ts';
import { RpcClient } from '../../fileserver/data-path/rpc-client.fixture.ts';
import * as nfs from '../../protocol/nfs3.ts';
import { pause } from '../../testing/pause.ts';
import { missingForDisks, RecordingDisk } from './recording-disk.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const TIMEOUT_MS = 60_000;
const LOOK_MS = 5;
/** Looks that would have been begun by then: many times the threads of the pool (64 in the server). */
const LOOKS = 400;
const how: nfs.createhow3 = { mode: nfs.UNCHECKED, obj_attributes: { ...nfs.SATTR3_NOTHING, mode: 0o644 } };

/** Drops the file's pages, which are on the disk: the next one who reads it has to wait for the disk. */
function forget(path: string): void {
  execFileSync('dd', [`of=${path}`, 'conv=notrunc', 'oflag=nocache', 'count=0'], { stdio: 'ignore' });
}

test.skipIf(missingForDisks('ext4') !== null)(
  'an idle volume on a dead disk stops nothing else, and is told as silent itself',
  async () => {
    const disk = await RecordingDisk.make('ext4', { record: false });
    const mounted = disk.mount();
    const path = join(mounted.path, 'volume');
    mkdirSync(path);
    const healthy = temporaryDirectory();
    const thread = new TestDataThread({ ownerLookMs: LOOK_MS });
    let client: RpcClient | null = null;
    try {
      const { port } = await thread.open(
        openMessage(path, {
          volumes: [
            { name: 'idle', path },
            { name: 'healthy', path: healthy.path },
          ],
          exports: [
            { path: '/idle', volume: 'idle', ...EVERYBODY },
            { path: '/healthy', volume: 'healthy', ...EVERYBODY },
          ],
          volumeStalledMs: 3000,
        }),
      );
      client = await RpcClient.connect(port);
      const dir = await mount(client, '/healthy');
      const made = await client.call('CREATE', { where: { dir, name: bytes('file') }, how });
      if (made.status !== nfs.NFS3_OK) throw new Error(`CREATE: ${made.status}`);
      const stalled = thread.of('stalled');
      execFileSync('sync', ['-f', mounted.path]);
      disk.hang();
      forget(join(path, '.filerpair', 'ownership'));
      await pause(LOOK_MS * LOOKS, 'the server looks at its volumes so often');
      // A stable WRITE flushes in the pool; a name is looked up there.
      const data = bytes('x');
      const write = { file: made.obj!, offset: 0, count: 1, stable: nfs.FILE_SYNC, data } as const;
      for (let i = 0; i < 10; i++) expect((await client.call('WRITE', write)).status).toBe(nfs.NFS3_OK);
      await lookup('localhost');
      expect(await stalled).toMatchObject({ diskSet: 'local', volume: 'idle' });
      const told = thread.messages.filter(({ kind }) => kind === 'stalled' || kind === 'volumeWaits');
      expect(told.every((message) => 'volume' in message && message.volume === 'idle')).toBe(true);
      expect(thread.messages.filter(({ kind }) => kind === 'fault')).toEqual([]);
    } finally {
      disk.goOn();
      client?.close();
      await thread.close('local', 'fence');
      await mounted.unmount();
      await thread.stop();
      await disk.discard();
      healthy.remove();
    }
  },
  TIMEOUT_MS,
);
