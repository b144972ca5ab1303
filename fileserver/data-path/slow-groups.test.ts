/**
 * A name service that takes its time: calls of users whose groups it has not told yet wait in memory. A client that makes up a
 * user and sends long calls gets no more of it than with calls that wait for a disk.
 */
import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, expect, test } from 'vitest';
import * as nfs from '../../protocol/nfs3.ts';
import { beginRecord, endRecord } from '../../protocol/record.ts';
import { encodeCallHeader } from '../../protocol/rpc.ts';
import { XdrWriter } from '../../protocol/xdr.ts';
import { pause } from '../../testing/pause.ts';
import { mount, openMessage, TestDataThread, temporaryDirectory } from './data-thread.fixture.ts';
import { RpcClient, userCredential } from './rpc-client.fixture.ts';

const MIB = 1024 * 1024;
const CALLS = 48;
/** What the kernel's buffers of both ends hold, and the server's of a connection. */
const TAKEN_MAX = 24 * MIB;
/** Less than the server waits for a name service. */
const WATCHED_MS = 2500;

let thread: TestDataThread;
let directory: { path: string; remove: () => void };
let port: number;
beforeEach(async () => {
  directory = temporaryDirectory();
  // Nobody answers there.
  thread = new TestDataThread(undefined, { connections: 1, own: 1, partner: 1 }, randomUUID());
  port = (await thread.open(openMessage(directory.path))).port;
});
afterEach(async () => {
  await thread.close('local', 'fence');
  await thread.stop();
  directory.remove();
});

test('long calls that wait for it are read no further than what may wait', async () => {
  const client = await RpcClient.connect(port);
  const root = await mount(client, '/data');
  const stranger = userCredential(4711, 4711);
  const data = new Uint8Array(MIB);
  for (let xid = 1; xid <= CALLS; xid++) {
    const w = new XdrWriter(2 * MIB);
    const mark = beginRecord(w);
    encodeCallHeader(w, xid, nfs.NFS_PROGRAM, nfs.NFS_V3, nfs.nfsproc3.WRITE, stranger);
    const args = { file: root, offset: 0, count: MIB, stable: nfs.UNSTABLE, data };
    nfs.nfs3Procedures.WRITE.args.encode(w, args);
    endRecord(w, mark);
    client.socket.write(w.written());
  }
  await pause(WATCHED_MS, 'more would be read');
  expect(client.socket.writableLength).toBeGreaterThan(CALLS * MIB - TAKEN_MAX);
  client.close();
});
