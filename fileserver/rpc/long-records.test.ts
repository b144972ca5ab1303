/**
 * Calls that are executed from the memory they were received in: many connections, calls of all sizes mixed, and every byte
 * arrives where it belongs.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import * as nfs from '../../protocol/nfs3.ts';
import { mount, openMessage, TestDataThread, temporaryDirectory } from '../data-path/data-thread.fixture.ts';
import { RpcClient } from '../data-path/rpc-client.fixture.ts';
import { LongRecords } from './long-records.ts';

const how: nfs.createhow3 = { mode: nfs.GUARDED, obj_attributes: { ...nfs.SATTR3_NOTHING, mode: 0o644 } };
const SIZES = [1, 4096, 60_000, 65_536, 100_001, 262_144, 700_000, 1_048_576];
const FILE_SIZE = 8 * 1024 * 1024;

test('every WRITE puts its own bytes in its own place, whatever came before it in the same memory', async () => {
  const directory = temporaryDirectory();
  const thread = new TestDataThread();
  try {
    const { port } = await thread.open(openMessage(directory.path));
    const clients = await Promise.all(Array.from({ length: 4 }, () => RpcClient.connect(port)));
    const root = await mount(clients[0]!, '/data');
    await Promise.all(
      clients.map(async (client, number) => {
        const name = new TextEncoder().encode(`file-${number}`);
        const made = await client.call('CREATE', { where: { dir: root, name }, how });
        if (made.status !== nfs.NFS3_OK) throw new Error(`CREATE: ${made.status}`);
        const file = made.obj!;
        const expected = randomBytes(FILE_SIZE);
        const writes: Promise<{ status: number }>[] = [];
        for (let at = 0, i = number; at < FILE_SIZE; i++) {
          const size = Math.min(SIZES[(i * 5) % SIZES.length]!, FILE_SIZE - at);
          const data = expected.subarray(at, at + size);
          writes.push(client.call('WRITE', { file, offset: at, count: size, stable: nfs.UNSTABLE, data }));
          // In between: what is executed where the connection is, and calls other than WRITE that travel the same way.
          if (i % 7 === 0) writes.push(client.call('GETATTR', { object: file }));
          if (i % 9 === 0) writes.push(client.call('COMMIT', { file, offset: 0, count: 0 }));
          at += size;
        }
        for (const { status } of await Promise.all(writes)) expect(status).toBe(nfs.NFS3_OK);
        expect(Buffer.compare(readFileSync(join(directory.path, `file-${number}`)), expected)).toBe(0);
      }),
    );
    for (const client of clients) client.close();
    await thread.close('local', 'quiesce');
  } finally {
    await thread.stop();
    directory.remove();
  }
});

test('memory that went to another thread is not lent again before it is back; what nobody uses is given up', () => {
  const records = new LongRecords();
  const first = records.take()!;
  expect(records.passOn(first.subarray(1), 0)).toBe(null);
  const passedOn = records.passOn(first, 0);
  expect(passedOn).toBe(first.buffer);
  // The parser does not know where it went.
  records.giveBack(first);
  const second = records.take()!;
  expect(second.buffer).not.toBe(first.buffer);
  records.giveBack(second);
  records.keep(passedOn!);
  expect(records.take()?.buffer).toBe(passedOn);
  records.trim();
  expect(records.trim()).toEqual([second.buffer]);
});
