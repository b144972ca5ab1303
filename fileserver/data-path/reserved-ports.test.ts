/**
 * An export that takes calls from ports below 1024 only: who is not root on an allowed machine opens no such connection, and so
 * claims no user id, whatever the calls say.
 */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  dirpath,
  MNT3ERR_ACCES,
  MOUNT_PROGRAM,
  MOUNT_V3,
  mountproc3,
  mountres3,
} from '../../protocol/mount.ts';
import * as nfs from '../../protocol/nfs3.ts';
import { EVERYBODY, mount, openMessage, TestDataThread, temporaryDirectory } from './data-thread.fixture.ts';
import { RpcClient } from './rpc-client.fixture.ts';

const isRoot = process.geteuid!() === 0;
const how: nfs.createhow3 = { mode: nfs.UNCHECKED, obj_attributes: nfs.SATTR3_NOTHING };
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

let thread: TestDataThread;
let directory: { path: string; remove: () => void };
let port: number;
beforeAll(() => {
  thread = new TestDataThread(undefined, { connections: 1, own: 1, partner: 1 });
});
afterAll(() => thread.stop());
beforeEach(async () => {
  directory = temporaryDirectory();
  const exports = [
    { path: '/reserved', volume: 'data', ...EVERYBODY, ports: 'Reserved' as const },
    { path: '/any', volume: 'data', ...EVERYBODY },
  ];
  port = (await thread.open(openMessage(directory.path, { exports }))).port;
});
afterEach(async () => {
  await thread.close('local', 'fence');
  directory.remove();
});

/** A free port below 1024. */
async function fromReserved(): Promise<RpcClient> {
  for (let local = 1023; local > 512; local--) {
    try {
      return await RpcClient.connect(port, '127.0.0.1', local);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    }
  }
  throw new Error('no port below 1024 is free');
}

async function mountStatus(client: RpcClient, path: string): Promise<number> {
  const { r } = await client.raw(MOUNT_PROGRAM, MOUNT_V3, mountproc3.MNT, (w) =>
    dirpath.encode(w, bytes(path)),
  );
  return mountres3.decode(r).status;
}

describe.runIf(isRoot)('calls', () => {
  test('from other ports get neither a handle nor anything by one', async () => {
    const [root, ordinary] = [await fromReserved(), await RpcClient.connect(port)];
    const dir = await mount(root, '/reserved');
    const file = (await root.call('CREATE', { where: { dir, name: bytes('file') }, how })) as {
      obj?: Uint8Array;
    };
    expect(await mountStatus(ordinary, '/reserved')).toBe(MNT3ERR_ACCES);
    expect((await ordinary.call('GETATTR', { object: dir })).status).toBe(nfs.NFS3ERR_ACCES);
    const late = { where: { dir, name: bytes('late') }, how };
    expect((await ordinary.call('CREATE', late)).status).toBe(nfs.NFS3ERR_ACCES);
    const read = { file: file.obj!, offset: 0, count: 10 };
    expect((await ordinary.call('READ', read)).status).toBe(nfs.NFS3ERR_ACCES);
    expect((await root.call('READ', read)).status).toBe(nfs.NFS3_OK);
    root.close();
    ordinary.close();
  });

  test('to an export that says nothing of ports may come from any', async () => {
    const client = await RpcClient.connect(port);
    expect(await mountStatus(client, '/any')).toBe(0);
    client.close();
  });
});
