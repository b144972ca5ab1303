/**
 * Clients that ask for long replies and take none, in a server whose seconds are short. The memory that their replies lie in is
 * bounded, and given back to those who read, who are served all the while.
 */
import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import * as nfs from '../../protocol/nfs3.ts';
import { beginRecord, endRecord } from '../../protocol/record.ts';
import { encodeCallHeader } from '../../protocol/rpc.ts';
import { XdrWriter } from '../../protocol/xdr.ts';
import { mount, openMessage, TestDataThread, temporaryDirectory } from './data-thread.fixture.ts';
import { ROOT, RpcClient } from './rpc-client.fixture.ts';

const TICK_MS = 20;
const MIB = 1024 * 1024;
/** Of each 4 MiB are handled at once, and the kernel takes a part: far more than a thread lends. */
const CROWD = 120;

let thread: TestDataThread;
let directory: { path: string; remove: () => void };
let port: number;
let sockets: Socket[];
beforeEach(async () => {
  sockets = [];
  directory = temporaryDirectory(existsSync('/dev/shm') ? '/dev/shm' : undefined);
  writeFileSync(join(directory.path, 'file'), new Uint8Array(MIB).fill(7));
  thread = new TestDataThread({ tickMs: TICK_MS }, { connections: 1, own: 1, partner: 1 });
  port = (await thread.open(openMessage(directory.path))).port;
});
afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  await thread.close('local', 'fence');
  await thread.stop();
  directory.remove();
});

function readCalls(file: Uint8Array, count: number): Uint8Array {
  const w = new XdrWriter();
  for (let xid = 1; xid <= count; xid++) {
    const mark = beginRecord(w);
    encodeCallHeader(w, xid, nfs.NFS_PROGRAM, nfs.NFS_V3, nfs.nfsproc3.READ, ROOT);
    nfs.nfs3Procedures.READ.args.encode(w, { file, offset: 0, count: MIB });
    endRecord(w, mark);
  }
  return w.written().slice();
}

test('are ended when others need the memory, and who reads is served', { timeout: 120_000 }, async () => {
  const client = await RpcClient.connect(port);
  const root = await mount(client, '/data');
  const found = await client.call('LOOKUP', { what: { dir: root, name: new TextEncoder().encode('file') } });
  if (found.status !== nfs.NFS3_OK) throw new Error(`LOOKUP: ${found.status}`);
  const calls = readCalls(found.object, 16);
  const ended = new Set<Socket>();
  for (let i = 0; i < CROWD; i++) {
    const socket = connect({ port, host: '127.0.0.1', localAddress: '127.0.0.2' });
    sockets.push(socket);
    socket.on('error', () => {});
    socket.once('close', () => ended.add(socket));
    socket.pause();
    await once(socket, 'connect');
    socket.write(calls);
  }
  // Many ticks, in which every client that reads is answered.
  const until = performance.now() + 100 * TICK_MS;
  let answered = 0;
  while (performance.now() < until || answered < 20) {
    const read = await client.call('READ', { file: found.object, offset: 0, count: MIB });
    expect(read.status).toBe(nfs.NFS3_OK);
    answered += 1;
  }
  // A socket that nobody reads does not tell of its end: those that are still there are answered now, and stay.
  for (const socket of sockets) socket.resume();
  await expect.poll(() => ended.size, { timeout: 20_000 }).toBeGreaterThan(CROWD / 2);
  client.close();
});
