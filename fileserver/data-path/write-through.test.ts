/** Storage type SharedWriteThrough (docs/design.md R9): what a client need not have on the disk yet is on the disk all the same. */
import { afterAll, expect, test } from 'vitest';
import * as nfs from '../../protocol/nfs3.ts';
import { mount, openMessage, TestDataThread, temporaryDirectory } from './data-thread.fixture.ts';
import { RpcClient } from './rpc-client.fixture.ts';

const directory = temporaryDirectory();
const thread = new TestDataThread();
afterAll(async () => {
  await thread.stop();
  directory.remove();
});

test.each([
  [true, nfs.DATA_SYNC],
  [false, nfs.UNSTABLE],
])('with writeThrough %s an unstable WRITE is answered as %i', async (writeThrough, committed) => {
  const epoch = writeThrough ? 1 : 2;
  const volumes = [{ name: 'data', path: directory.path, writeThrough }];
  const { port } = await thread.open(openMessage(directory.path, { volumes, epoch }));
  const client = await RpcClient.connect(port);
  const root = await mount(client, '/data');
  const how = { mode: nfs.UNCHECKED, obj_attributes: { ...nfs.SATTR3_NOTHING, mode: 0o600 } };
  const where = { dir: root, name: new TextEncoder().encode('file') };
  const made = await client.call('CREATE', { where, how });
  if (made.status !== nfs.NFS3_OK) throw new Error(nfs.nfsstat3Name(made.status));
  const data = new Uint8Array(4096);
  const args = { file: made.obj!, offset: 0, count: data.length, stable: nfs.UNSTABLE, data };
  const written = await client.call('WRITE', args);
  if (written.status !== nfs.NFS3_OK) throw new Error(nfs.nfsstat3Name(written.status));
  expect(written.committed).toBe(committed);
  client.close();
  await thread.close('local', 'quiesce');
});

test.each([
  [true, 1],
  [false, 0],
])(
  'with writeThrough %s the journal that an owner begins is flushed %i times before it serves',
  async (writeThrough, flushes) => {
    const volumes = [{ name: 'data', path: directory.path, writeThrough }];
    await thread.open(openMessage(directory.path, { volumes, epoch: writeThrough ? 3 : 4 }));
    expect(thread.figures.volumeAt(0, 0)?.flushCount).toBe(flushes);
    await thread.close('local', 'quiesce');
  },
);
