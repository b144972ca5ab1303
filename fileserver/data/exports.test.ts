// Exports that change while clients are served: who loses a right has lost it with `exportsReplaced`, whatever was in progress.
import { existsSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import * as nfs from '../../protocol/nfs3.ts';
import { EVERYBODY, mount, openMessage, TestDataThread, temporaryDirectory } from './data-thread.fixture.ts';
import type { ExportSpec } from './messages.ts';
import { RpcClient } from './rpc-client.fixture.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const DATA: ExportSpec = { path: '/data', volume: 'data', ...EVERYBODY };

let thread: TestDataThread;
let directory: { path: string; remove: () => void };
beforeAll(() => {
  thread = new TestDataThread();
});
afterAll(() => thread.stop());
beforeEach(() => {
  thread.messages.length = 0;
  directory = temporaryDirectory(existsSync('/dev/shm') ? '/dev/shm' : undefined);
});
afterEach(async () => {
  await thread.close('own', 'fence');
  directory.remove();
});

function post(exports: readonly ExportSpec[]): void {
  thread.post({ kind: 'exports', diskSet: 'own', exports });
}

async function replace(exports: readonly ExportSpec[]): Promise<void> {
  const replaced = thread.of('exportsReplaced');
  post(exports);
  await replaced;
}

async function make(client: RpcClient, dir: Uint8Array, name: string): Promise<Uint8Array> {
  const how = { mode: nfs.UNCHECKED, obj_attributes: { ...nfs.SATTR3_NOTHING, mode: 0o644 } };
  const made = await client.call('CREATE', { where: { dir, name: bytes(name) }, how });
  if (made.status !== nfs.NFS3_OK) throw new Error(nfs.nfsstat3Name(made.status));
  return made.obj!;
}

async function write(client: RpcClient, file: Uint8Array, size: number, stable: nfs.stable_how) {
  const data = new Uint8Array(size);
  return (await client.call('WRITE', { file, offset: 0, count: size, stable, data })).status;
}

test.each([
  ['becomes ReadOnly', [{ ...DATA, access: 'ReadOnly' as const }], nfs.NFS3ERR_ROFS],
  ['is for other clients', [{ ...DATA, clients: ['10.9.9.9'] }], nfs.NFS3ERR_ACCES],
  ['is gone', [], nfs.NFS3ERR_STALE],
])('an export that %s while COMMITs are in progress stays so', async (_title, changed, refusal) => {
  const { port } = await thread.open(openMessage(directory.path));
  const client = await RpcClient.connect(port);
  const root = await mount(client, '/data');
  const files = await Promise.all(['a', 'b', 'c', 'd'].map((name) => make(client, root, name)));
  for (let round = 0; round < 12; round++) {
    await replace([DATA]);
    let going = true;
    let written = 0;
    const load = files.map(async (file) => {
      while (going) {
        await write(client, file, 65_536, nfs.UNSTABLE);
        await client.call('COMMIT', { file, offset: 0, count: 0 });
        written += 1;
      }
    });
    await expect.poll(() => written).toBeGreaterThan(20 + round);
    await replace(changed);
    const writes = await Promise.all(files.map((file) => write(client, file, 1, nfs.FILE_SYNC)));
    going = false;
    await Promise.all(load);
    const fresh = await RpcClient.connect(port);
    const later = await Promise.all(files.map((file) => write(fresh, file, 1, nfs.FILE_SYNC)));
    fresh.close();
    expect([...writes, ...later]).toEqual(Array.from({ length: 8 }, () => refusal));
  }
  client.close();
});
