/** The opening at its epoch uses what was read during a claim, and no other does. */

import { readdirSync, readlinkSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import * as nfs from '../../protocol/nfs3.ts';
import { eventually } from '../../testing/eventually.ts';
import { mount, openMessage, TestDataThread, temporaryDirectory } from '../data-path/data-thread.fixture.ts';
import { RpcClient } from '../data-path/rpc-client.fixture.ts';

let volume: ReturnType<typeof temporaryDirectory>;
let thread: TestDataThread;
beforeEach(() => {
  volume = temporaryDirectory();
  thread = new TestDataThread();
});
afterEach(async () => {
  await thread.stop();
  volume.remove();
});

const message = (epoch: number) => openMessage(volume.path, { epoch, incarnation: `filer-a/test/${epoch}` });
const prepare = (epoch: number | null): void =>
  thread.post({ kind: 'prepare', diskSet: 'local', epoch, volumes: message(1).volumes });

/** Descriptors of this process in the volume: all that its threads hold of it. */
function descriptors(): number {
  const links = readdirSync('/proc/self/fd').map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return '';
    }
  });
  return links.filter((link) => link.startsWith(volume.path)).length;
}

/** Serves once, makes a file, and is fenced: answers are left in the journal. The call as it was sent, and its answer. */
async function serveOnce(epoch: number, name: string) {
  const { port } = await thread.open(message(epoch));
  const client = await RpcClient.connect(port);
  const answer = await make(client, name, epoch);
  client.close();
  await thread.close('local', 'fence');
  await eventually('the volumes are closed', 20_000, () => descriptors() === 0);
  return answer;
}

async function make(client: RpcClient, name: string, xid: number) {
  const dir = await mount(client, '/data');
  const where = { dir, name: new TextEncoder().encode(name) };
  const obj_attributes = { ...nfs.SATTR3_NOTHING, mode: 0o600 };
  const res = await client.call('CREATE', { where, how: { mode: nfs.GUARDED, obj_attributes } }, { xid });
  return { status: res.status, handle: res.status === nfs.NFS3_OK ? res.obj : null };
}

test('an opening finds what was read for its claim, and answers from it', async () => {
  const answer = await serveOnce(1, 'file');
  prepare(2);
  await eventually('the volumes are open', 20_000, () => descriptors() > 0);
  const { port } = await thread.open(message(2));
  const client = await RpcClient.connect(port);
  // Sent again: it is not executed twice.
  expect(await make(client, 'file', 1)).toEqual(answer);
  expect(answer.status).toBe(nfs.NFS3_OK);
  client.close();
  await thread.close('local', 'quiesce');
  await eventually('the volumes are closed', 20_000, () => descriptors() === 0);
});

test('what was read for another claim is not used: somebody may have served meanwhile', async () => {
  await serveOnce(1, 'first');
  prepare(2);
  await eventually('the volumes are open', 20_000, () => descriptors() > 0);
  // Another process serves at that epoch.
  const other = new TestDataThread();
  const { port } = await other.open(message(2));
  const client = await RpcClient.connect(port);
  const answer = await make(client, 'second', 2);
  client.close();
  await other.close('local', 'fence');
  await other.stop();
  const opened = await thread.open(message(3));
  const again = await RpcClient.connect(opened.port);
  expect(await make(again, 'second', 2)).toEqual(answer);
  expect(answer.status).toBe(nfs.NFS3_OK);
  again.close();
  await thread.close('local', 'quiesce');
  await eventually('the volumes are closed', 20_000, () => descriptors() === 0);
});

test('a claim that was lost leaves nothing open', async () => {
  await serveOnce(1, 'file');
  prepare(2);
  await eventually('the volumes are open', 20_000, () => descriptors() > 0);
  prepare(null);
  await eventually('the volumes are closed', 20_000, () => descriptors() === 0);
});

test('what belongs to another home is refused, prepared or not', async () => {
  await serveOnce(1, 'file');
  prepare(2);
  await eventually('the volumes are open', 20_000, () => descriptors() > 0);
  await expect(thread.open({ ...message(2), home: 'filer-b' })).rejects.toThrow('belongs to filer-a');
  await eventually('the volumes are closed', 20_000, () => descriptors() === 0);
});
