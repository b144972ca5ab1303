/** An operation of several steps of which a later one fails: it fails as a whole. */
import { readdirSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import * as nfs from '../../protocol/nfs3.ts';
import { mount, openMessage, TestDataThread, temporaryDirectory } from './data-thread.fixture.ts';
import { RpcClient } from './rpc-client.fixture.ts';

const directory = temporaryDirectory();
let thread: TestDataThread;
let client: RpcClient;
let root: Uint8Array;

beforeAll(async () => {
  thread = new TestDataThread();
  client = await RpcClient.connect((await thread.open(openMessage(directory.path))).port);
  root = await mount(client, '/data');
});
afterAll(async () => {
  client?.close();
  await thread.close('local', 'fence');
  await thread.stop();
  directory.remove();
});

test('CREATE of a file that can never be so long leaves no file', async () => {
  const where = { dir: root, name: new TextEncoder().encode('long') };
  // More than ext4, xfs and tmpfs can hold, less than what the server refuses by itself.
  const obj_attributes = { ...nfs.SATTR3_NOTHING, mode: 0o600, size: 2 ** 53 - 4096 };
  const made = await client.call('CREATE', { where, how: { mode: nfs.GUARDED, obj_attributes } });
  if (made.status === nfs.NFS3_OK) return;
  expect(nfs.nfsstat3Name(made.status)).toBe('NFS3ERR_FBIG');
  expect(readdirSync(directory.path)).toEqual(['.filerpair']);
  const attributes = { ...obj_attributes, size: 5 };
  const again = await client.call('CREATE', {
    where,
    how: { mode: nfs.GUARDED, obj_attributes: attributes },
  });
  expect(nfs.nfsstat3Name(again.status)).toBe('NFS3_OK');
});
