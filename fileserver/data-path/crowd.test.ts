/**
 * What a thousand idle clients and two hundred slow ones cost one that works: nothing that it would notice, and the server no
 * memory without bound. Rates are printed, not asserted: bench/ measures them.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import * as nfs from '../../protocol/nfs3.ts';
import { slotNumber } from '../metrics/data-metrics.ts';
import { Crowd } from './crowd.fixture.ts';
import { mount, openMessage, TestDataThread, temporaryDirectory } from './data-thread.fixture.ts';
import { ROOT, RpcClient } from './rpc-client.fixture.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const MIB = 1024 * 1024;
const CROWD = { idle: 1000, slowReaders: 100, readsEach: 24, slowWriters: 100 };
/** The slow readers have asked for three times as much. What the crowd itself needs in this process varies by a hundred. */
const MEMORY_GROWTH_MAX = 800 * MIB;

let thread: TestDataThread;
let directory: { path: string; remove: () => void };
beforeAll(() => {
  thread = new TestDataThread();
  directory = temporaryDirectory();
});
afterAll(async () => {
  await thread.close('local', 'fence');
  await thread.stop();
  directory.remove();
});

async function work(client: RpcClient, root: Uint8Array, file: Uint8Array): Promise<number> {
  const begun = performance.now();
  const done = async (call: Promise<{ status: number }>): Promise<void> => {
    expect((await call).status).toBe(nfs.NFS3_OK);
  };
  const data = new Uint8Array(4096);
  for (let i = 0; i < 300; i++) {
    await done(client.call('GETATTR', { object: root }));
    await done(client.call('READ', { file, offset: 4096 * (i % 100), count: 4096 }));
    await done(
      client.call('WRITE', { file, offset: 4096 * (i % 100), count: 4096, stable: nfs.UNSTABLE, data }),
    );
  }
  return 900_000 / (performance.now() - begun);
}

test('1,000 idle and 200 slow clients leave a normal one its speed, and memory its bounds', async () => {
  writeFileSync(join(directory.path, 'file'), new Uint8Array(2 * MIB));
  const { port } = await thread.open(openMessage(directory.path));
  const client = await RpcClient.connect(port);
  const root = await mount(client, '/data');
  const found = await client.call('LOOKUP', { what: { dir: root, name: bytes('file') } });
  if (found.status !== nfs.NFS3_OK) throw new Error(`LOOKUP: ${found.status}`);
  const file = found.object;
  const alone = await work(client, root, file);
  const before = process.memoryUsage().rss;
  const crowd = await Crowd.gather(port, file, ROOT, CROWD);
  try {
    await expect.poll(() => thread.figures.connections(slotNumber('local')), { timeout: 20_000 }).toBe(1201);
    // The slow readers' first replies fill the kernel's buffers; then they are slow.
    let read = -1;
    const settled = (): boolean => {
      const before = read;
      read = thread.figures.calls(slotNumber('local'), thread.figures.procedures.indexOf('READ'), 0);
      return read === before;
    };
    await expect.poll(settled, { interval: 300, timeout: 25_000 }).toBe(true);
    const among = await work(client, root, file);
    const grown = process.memoryUsage().rss - before;
    console.log(
      `one client: ${Math.round(alone)} calls/s alone, ${Math.round(among)} among 1,200; ` +
        `memory grew by ${Math.round(grown / MIB)} MiB (server and crowd)`,
    );
    expect(grown).toBeLessThan(MEMORY_GROWTH_MAX);
  } finally {
    crowd.disperse();
  }
  client.close();
  await expect.poll(() => thread.figures.connections(slotNumber('local')), { timeout: 20_000 }).toBe(0);
});
