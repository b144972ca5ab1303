/**
 * A full disk: what frees space works, what needs it says NFS3ERR_NOSPC, and the partner can still take over. On a small ext4 of
 * its own, so as root only.
 */
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import * as nfs from '../../protocol/nfs3.ts';
import { mount, openMessage, TestDataThread } from './data-thread.fixture.ts';
import { fileSystems, type MountedFileSystem } from './file-systems.fixture.ts';
import { RpcClient, userCredential } from './rpc-client.fixture.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const kinds = fileSystems.filter(({ name, missing }) => name.includes('loop device') && missing === null);
const USER = { credential: userCredential(0, 0) };

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

test.skipIf(kinds.length > 0)('needs root and mkfs', () => {});

for (const { name, mount: mountFileSystem } of kinds) {
  let fileSystem: MountedFileSystem;
  let thread: TestDataThread;
  beforeAll(() => {
    thread = new TestDataThread();
  });
  afterAll(async () => {
    await thread.close('local', 'fence');
    await thread.close('partner', 'fence');
    await thread.stop();
    fileSystem?.unmount();
  });

  test(`${name}: REMOVE and takeover work when nothing else does`, async () => {
    fileSystem = mountFileSystem();
    const { port } = await thread.open(openMessage(fileSystem.path));
    const client = await RpcClient.connect(port);
    const root = await mount(client, '/data');
    const at = (file: string): nfs.diropargs3 => ({ dir: root, name: bytes(file) });
    const how = { mode: nfs.GUARDED, obj_attributes: { ...nfs.SATTR3_NOTHING, mode: 0o600 } };
    const made = await client.call('CREATE', { where: at('filler'), how }, USER);
    if (made.status !== nfs.NFS3_OK) throw new Error(`CREATE: ${made.status}`);
    const file = made.obj!;
    let offset = 0;
    let status: number = nfs.NFS3_OK;
    // Down to the last block: large pieces first, then small ones.
    for (let size = 1024 * 1024; size >= 512; size /= 2) {
      const data = new Uint8Array(size).fill(0x5a);
      for (;;) {
        const args = { file, offset, count: size, stable: nfs.DATA_SYNC, data };
        const result = await client.call('WRITE', args, USER);
        status = result.status;
        if (result.status !== nfs.NFS3_OK) break;
        offset += result.count;
      }
      expect(nfs.nfsstat3Name(status)).toBe('NFS3ERR_NOSPC');
    }
    client.close();
    await thread.close('local', 'fence');

    const takenOver = openMessage(fileSystem.path, { diskSet: 'partner', server: 'filer-b', epoch: 2 });
    const other = await RpcClient.connect((await thread.open(takenOver)).port);
    const removed = await other.call('REMOVE', { object: at('filler') }, USER);
    expect(nfs.nfsstat3Name(removed.status)).toBe('NFS3_OK');
    const again = await other.call('CREATE', { where: at('new'), how }, USER);
    expect(nfs.nfsstat3Name(again.status)).toBe('NFS3_OK');
    other.close();
    expect(thread.messages.filter(({ kind }) => kind === 'fault')).toEqual([]);
  });
}
