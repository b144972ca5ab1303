/** What clients do is what the figures say, added up over all threads. */
import { existsSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import * as nfs from '../../protocol/nfs3.ts';
import { mount, openMessage, TestDataThread, temporaryDirectory } from '../data-path/data-thread.fixture.ts';
import { RpcClient } from '../data-path/rpc-client.fixture.ts';
import { exportIdOf } from '../storage/handles/file-handle.ts';
import { RESULTS, SECONDS, slotNumber } from './data-metrics.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const how: nfs.createhow3 = { mode: nfs.GUARDED, obj_attributes: { ...nfs.SATTR3_NOTHING, mode: 0o644 } };
const own = slotNumber('local');

let thread: TestDataThread;
let directory: { path: string; remove: () => void };
beforeAll(() => {
  thread = new TestDataThread();
  directory = temporaryDirectory(existsSync('/dev/shm') ? '/dev/shm' : undefined);
});
afterAll(async () => {
  await thread.close('local', 'fence');
  await thread.stop();
  directory.remove();
});

function calls(procedure: string, result: (typeof RESULTS)[number]): number {
  return thread.figures.calls(own, thread.figures.procedures.indexOf(procedure), RESULTS.indexOf(result));
}

test('calls, results, times, bytes, connections and flushes are counted', async () => {
  const { port } = await thread.open(openMessage(directory.path));
  // On different threads.
  const clients = [
    await RpcClient.connect(port),
    await RpcClient.connect(port),
    await RpcClient.connect(port),
  ];
  let root!: Uint8Array;
  for (const client of clients) root = await mount(client, '/data');
  expect(thread.figures.connections(own)).toBe(3);
  const name = { dir: root, name: bytes('file') };
  const made = await clients[0]!.call('CREATE', { where: name, how });
  if (made.status !== nfs.NFS3_OK) throw new Error(`CREATE: ${made.status}`);
  expect((await clients[1]!.call('CREATE', { where: name, how })).status).toBe(nfs.NFS3ERR_EXIST);
  const file = made.obj!;
  for (const client of clients) {
    const data = new Uint8Array(1000);
    await client.call('WRITE', { file, offset: 0, count: 1000, stable: nfs.FILE_SYNC, data });
    await client.call('READ', { file, offset: 10, count: 5000 });
    await client.call('GETATTR', { object: file });
  }
  await clients[2]!.call('LOOKUP', { what: { dir: root, name: bytes('none') } });
  await clients[2]!.raw(nfs.NFS_PROGRAM, nfs.NFS_V3, nfs.nfsproc3.NULL, () => {});
  expect(calls('CREATE', 'OK')).toBe(1);
  expect(calls('CREATE', 'EXIST')).toBe(1);
  expect(calls('WRITE', 'OK')).toBe(3);
  expect(calls('READ', 'OK')).toBe(3);
  expect(calls('GETATTR', 'OK')).toBe(3);
  expect(calls('LOOKUP', 'NOENT')).toBe(1);
  expect(calls('NULL', 'OK')).toBe(1);
  expect(calls('MOUNT', 'OK')).toBe(3);
  const { counts, ms } = thread.figures.times(own, thread.figures.procedures.indexOf('WRITE'));
  expect(counts.length).toBe(SECONDS.length + 1);
  expect(counts.reduce((a, b) => a + b)).toBe(3);
  expect(ms).toBeGreaterThan(0);
  const one = thread.figures.exported(own, exportIdOf('/data'));
  expect(one).toEqual({ calls: 12, bytesRead: 3 * 990, bytesWritten: 3000 });
  await expect.poll(() => thread.figures.volumeAt(own, 0)?.flushCount, { timeout: 5000 }).toBeGreaterThan(3);
  expect(thread.figures.volumeAt(own, 0)?.journalSize).toBeGreaterThan(0);
  for (const client of clients) client.close();
  await expect.poll(() => thread.figures.connections(own)).toBe(0);
});
