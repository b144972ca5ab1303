/**
 * Links and disks that are slower than a client's patience, under a real data thread: whatever is begun ends, in about the time
 * that its bytes need, and they are not sent again and again.
 */
import { execFileSync } from 'node:child_process';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  openMessage,
  TestDataThread,
  temporaryDirectory,
} from '../fileserver/data-path/data-thread.fixture.ts';
import { fileSystems } from '../fileserver/data-path/file-systems.fixture.ts';
import { pause } from '../testing/pause.ts';
import type { AttemptsOptions } from './attempts-state.ts';
import { FilerPairClient } from './index.ts';
import { NfsProxy } from './proxy/proxy.ts';
import { SlowLink } from './slow-link.fixture.ts';
import { tcpAddress } from './transport-address.ts';

const MIB = 1024 * 1024;
const KIB = 1024;

const cleanUp: (() => unknown)[] = [];
/** What lies below the data thread. */
const below: (() => unknown)[] = [];
let thread: TestDataThread;

beforeEach(() => {
  thread = new TestDataThread();
});
afterEach(async () => {
  for (const each of cleanUp.splice(0).reverse()) await each();
  await thread.close('local', 'fence');
  await thread.stop();
  for (const each of below.splice(0).reverse()) await each();
});

async function connected(port: number, attempts: Partial<AttemptsOptions> = {}): Promise<FilerPairClient> {
  const client = await FilerPairClient.connect(`nfs://127.0.0.1:${port}/data?alone`, { attempts });
  cleanUp.push(() => client.destroy());
  return client;
}

/** A real data thread with a file of `size` bytes, behind a link. */
async function linked(size: number, bytesPerSecond: number): Promise<SlowLink> {
  const directory = temporaryDirectory();
  below.push(() => directory.remove());
  const { port } = await thread.open(openMessage(directory.path));
  await (await connected(port)).writeFile('big', Buffer.alloc(size, 7));
  const link = await SlowLink.to(port, bytesPerSecond);
  cleanUp.push(() => link.close());
  return link;
}

describe('a link on which a record takes longer than the patience', () => {
  const SIZE = 3 * MIB;
  const RATE = 600 * KIB;

  it('carries a file down, with less than twice its bytes', async () => {
    const link = await linked(SIZE, RATE);
    const client = await connected(link.port);
    expect((await client.readFile('big')).length).toBe(SIZE);
    expect(link.down).toBeLessThan(2 * SIZE);
  });

  it('carries a file up, with at most twice its bytes', async () => {
    const link = await linked(1, RATE);
    const client = await connected(link.port);
    await client.writeFile('up', Buffer.alloc(SIZE, 1));
    expect(link.up).toBeLessThanOrEqual(2 * SIZE);
  });
});

describe('a link that many share', () => {
  const READERS = 6;
  const SIZE = 2 * MIB;
  const RATE = 2 * MIB;

  it.each(['the library', 'the proxy'])('gives each of them its part, through %s', async (way) => {
    const link = await linked(SIZE, RATE);
    let { port } = link;
    let attempts: Partial<AttemptsOptions> = {};
    if (way === 'the proxy') {
      const endpoints = { primary: tcpAddress('127.0.0.1', link.port), secondary: null };
      const proxy = await NfsProxy.listen({ endpoints, host: '127.0.0.1', port: 0 });
      cleanUp.push(() => proxy.close());
      port = proxy.port;
      // As the kernel's client, which has no doubts.
      attempts = { patienceMs: 1e9, patienceMsMax: 1e9 };
    }
    const clients = await Promise.all(Array.from({ length: READERS }, () => connected(port, attempts)));
    link.down = 0;
    await Promise.all(clients.map((client) => client.readFile('big')));
    expect(link.down).toBeLessThan(2 * READERS * SIZE);
  });
});

const ext4 = fileSystems.find(({ name }) => name.startsWith('ext4'))!;

describe.skipIf(ext4.missing !== null)('a disk that stands still for a while', () => {
  it('is given what the client has to write at most twice', async () => {
    const volume = ext4.mount();
    below.push(() => volume.unmount());
    let frozen = false;
    const freeze = (how: '--freeze' | '--unfreeze') => {
      execFileSync('fsfreeze', [how, volume.path]);
      frozen = how === '--freeze';
    };
    try {
      const { port } = await thread.open(openMessage(volume.path));
      const link = await SlowLink.to(port, 1000 * MIB);
      cleanUp.push(() => link.close());
      const client = await connected(link.port);
      const { writer } = await client.open('file', 'wx');
      link.up = 0;
      const connectionsBefore = link.connections;
      freeze('--freeze');
      // The library's own window: more than the server holds for a disk that it waits for.
      const data = Buffer.alloc(8 * MIB, 1);
      const done = writer.write(0, data).then(() => writer.commit());
      await pause(6000, 'the disk stands still for so long');
      freeze('--unfreeze');
      await done;
      expect(link.up).toBeLessThanOrEqual(2 * (data.length + 64 * KIB));
      expect(link.connections - connectionsBefore).toBeLessThan(20);
    } finally {
      if (frozen) freeze('--unfreeze');
    }
  }, 60_000);
});
