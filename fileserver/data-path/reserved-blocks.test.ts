/**
 * A user of NFS may take no more of a file system than the same user on the server: not the blocks that ext4 keeps for root. The
 * server's own journal, and root, may.
 */
import { chmodSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import * as nfs from '../../protocol/nfs3.ts';
import { mount, openMessage, TestDataThread } from './data-thread.fixture.ts';
import { ext4WithReservedBlocks } from './file-systems.fixture.ts';
import { RpcClient, userCredential } from './rpc-client.fixture.ts';

const CAP_SYS_RESOURCE = 24n;
const MIB = 1024 * 1024;
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const how: nfs.createhow3 = { mode: nfs.GUARDED, obj_attributes: { ...nfs.SATTR3_NOTHING, mode: 0o644 } };

/** Without it in this process no user gets at those blocks, and the test could not fail. */
function hasCapability(): boolean {
  const [, effective = '0'] = /CapEff:\s+(\w+)/.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
  return ((BigInt(`0x${effective}`) >> CAP_SYS_RESOURCE) & 1n) === 1n;
}

describe.skipIf(ext4WithReservedBlocks.missing !== null || !hasCapability())(
  'blocks reserved for root',
  () => {
    test('are not for users, and the server works on without those', async () => {
      const disk = ext4WithReservedBlocks.mount();
      chmodSync(disk.path, 0o777);
      const thread = new TestDataThread();
      try {
        const { port } = await thread.open(openMessage(disk.path));
        const client = await RpcClient.connect(port);
        const dir = await mount(client, '/data');
        const credential = userCredential(1000, 1000);
        const made = await client.call(
          'CREATE',
          { where: { dir, name: bytes('of-user') }, how },
          { credential },
        );
        if (made.status !== nfs.NFS3_OK) throw new Error(`CREATE: ${made.status}`);
        const data = new Uint8Array(MIB).fill(1);
        let status: number = nfs.NFS3_OK;
        for (let offset = 0; status === nfs.NFS3_OK && offset < 128 * MIB; offset += MIB) {
          const write = { file: made.obj!, offset, count: MIB, stable: nfs.DATA_SYNC, data } as const;
          ({ status } = await client.call('WRITE', write, { credential }));
        }
        expect(nfs.nfsstat3Name(status as nfs.nfsstat3)).toBe('NFS3ERR_NOSPC');
        const left = await client.call('FSSTAT', { fsroot: dir });
        if (left.status !== nfs.NFS3_OK) throw new Error(`FSSTAT: ${left.status}`);
        expect(Number(left.fbytes)).toBeGreaterThan(10 * MIB);
        // Root's, and the server's own, with their intents in the journal.
        const own = await client.call('CREATE', { where: { dir, name: bytes('of-root') }, how });
        expect(nfs.nfsstat3Name(own.status)).toBe('NFS3_OK');
        const removed = await client.call(
          'REMOVE',
          { object: { dir, name: bytes('of-user') } },
          { credential },
        );
        expect(nfs.nfsstat3Name(removed.status)).toBe('NFS3_OK');
        client.close();
        await thread.close('local', 'quiesce');
      } finally {
        await thread.stop();
        disk.unmount();
      }
    });
  },
);
