/**
 * A disk that does not answer: what waits for it, and what goes on. The file systems are real, on loop devices; fsfreeze holds
 * whatever would change one of them inside the kernel, as a stuck disk does.
 */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import * as nfs from '../../protocol/nfs3.ts';
import { pause } from '../../testing/pause.ts';
import { EVERYBODY, mount, openMessage, TestDataThread, temporaryDirectory } from './data-thread.fixture.ts';
import { fileSystems, type MountedFileSystem } from './file-systems.fixture.ts';
import { RpcClient } from './rpc-client.fixture.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const how: nfs.createhow3 = { mode: nfs.GUARDED, obj_attributes: { ...nfs.SATTR3_NOTHING, mode: 0o644 } };

/** The threads of this process that wait in the kernel for a disk: state D of proc_pid_stat(5). */
function threadsInDisk(): readonly string[] {
  return readdirSync('/proc/self/task').filter((thread) => {
    try {
      const stat = readFileSync(`/proc/self/task/${thread}/stat`, 'latin1');
      return stat.startsWith('D', stat.lastIndexOf(')') + 2);
    } catch {
      return false; // It ended between the two looks.
    }
  });
}

/** Waits until a thread is stuck: seen there twice, since a moment in the disk is nothing unusual. */
async function untilStuck(): Promise<void> {
  let before: readonly string[] = [];
  const stuck = (): boolean => {
    const now = threadsInDisk();
    const both = now.some((thread) => before.includes(thread));
    before = now;
    return both;
  };
  await expect.poll(stuck, { timeout: 10_000, interval: 20 }).toBe(true);
}

const ext4 = fileSystems.find(({ name }) => name.startsWith('ext4'))!;

describe.skipIf(ext4.missing !== null)('a frozen volume', () => {
  let thread: TestDataThread;
  let stuck: MountedFileSystem;
  let healthy: { path: string; remove: () => void };
  let other: { path: string; remove: () => void };
  let clients: RpcClient[];
  let frozen: boolean;

  beforeEach(() => {
    thread = new TestDataThread();
    stuck = ext4.mount();
    healthy = temporaryDirectory();
    other = temporaryDirectory();
    clients = [];
    frozen = false;
  });
  afterEach(async () => {
    thaw();
    for (const client of clients) client.close();
    await thread.close('local', 'fence');
    await thread.close('partner', 'fence');
    await thread.stop();
    stuck.unmount();
    healthy.remove();
    other.remove();
  });

  function freeze(): void {
    execFileSync('fsfreeze', ['--freeze', stuck.path]);
    frozen = true;
  }
  function thaw(): void {
    if (frozen) execFileSync('fsfreeze', ['--unfreeze', stuck.path]);
    frozen = false;
  }

  async function connect(port: number): Promise<RpcClient> {
    const client = await RpcClient.connect(port);
    clients.push(client);
    return client;
  }

  async function create(client: RpcClient, dir: Uint8Array, name: string): Promise<Uint8Array> {
    const made = await client.call('CREATE', { where: { dir, name: bytes(name) }, how });
    if (made.status !== nfs.NFS3_OK) throw new Error(`CREATE: ${made.status}`);
    return made.obj!;
  }

  const write = (client: RpcClient, file: Uint8Array, data: string) =>
    client.call('WRITE', { file, offset: 0, count: data.length, stable: nfs.UNSTABLE, data: bytes(data) });

  async function open(volumeStalledMs = 0) {
    const own = await thread.open(
      openMessage(stuck.path, {
        volumes: [
          { name: 'stuck', path: stuck.path },
          { name: 'healthy', path: healthy.path },
        ],
        exports: [
          { path: '/stuck', volume: 'stuck', ...EVERYBODY },
          { path: '/healthy', volume: 'healthy', ...EVERYBODY },
        ],
        volumeStalledMs,
      }),
    );
    const partner = await thread.open(openMessage(other.path, { diskSet: 'partner' }));
    return { own: own.port, partner: partner.port };
  }

  test('stops only its own changes: its reads, the other volume on the same connection and the other disk set go on', async () => {
    const ports = await open();
    const client = await connect(ports.own);
    const stuckRoot = await mount(client, '/stuck');
    const file = await create(client, stuckRoot, 'file');
    await write(client, file, 'before');
    // What has been looked at is open where it is read; for the rest the disk may be needed.
    expect((await client.call('READ', { file, offset: 0, count: 10 })).status).toBe(nfs.NFS3_OK);
    const healthyRoot = await mount(client, '/healthy');
    const partnerClient = await connect(ports.partner);
    const partnerRoot = await mount(partnerClient, '/data');
    freeze();
    // Enough to hold up every thread that could be held up.
    const held = Promise.all([
      ...Array.from({ length: 20 }, () => write(client, file, 'during')),
      create(client, stuckRoot, 'late'),
    ]);
    let answered = false;
    void held.then(() => {
      answered = true;
    });
    for (let i = 0; i < 10; i++) {
      const made = await create(client, healthyRoot, `file-${i}`);
      expect((await write(client, made, 'x')).status).toBe(nfs.NFS3_OK);
      await create(partnerClient, partnerRoot, `file-${i}`);
      expect((await client.call('READ', { file, offset: 0, count: 10 })).status).toBe(nfs.NFS3_OK);
      expect((await client.call('GETATTR', { object: file })).status).toBe(nfs.NFS3_OK);
    }
    expect(answered).toBe(false);
    thaw();
    const results = await held;
    for (const result of results.slice(0, 20)) expect(result).toMatchObject({ status: nfs.NFS3_OK });
    const read = await client.call('READ', { file, offset: 0, count: 10 });
    expect(read).toMatchObject({ status: nfs.NFS3_OK, data: bytes('during') });
  });

  test('is noticed, and the agent is told when it has lasted too long', async () => {
    const ports = await open(1200);
    const client = await connect(ports.own);
    const file = await create(client, await mount(client, '/stuck'), 'file');
    freeze();
    const stalled = thread.of('stalled');
    const held = write(client, file, 'x');
    expect(await stalled).toMatchObject({ diskSet: 'local', volume: 'stuck' });
    thaw();
    await held;
    const log = () => thread.messages.flatMap((one) => (one.kind === 'log' ? [one.message] : []));
    expect(log().join('\n')).toContain('volume stuck: its disk has not answered for');
    await expect.poll(() => log().join('\n'), { timeout: 10_000 }).toContain('its disk answers again');
    expect(thread.messages.some(({ kind }) => kind === 'fault')).toBe(false);
  });

  test('is not said to be closed while a call may still change it; nothing of it is answered meanwhile', async () => {
    const ports = await open();
    const client = await connect(ports.own);
    const file = await create(client, await mount(client, '/stuck'), 'file');
    freeze();
    const held = write(client, file, 'x').then(
      () => 'answered',
      () => 'reset',
    );
    // Only a WRITE that is in the kernel holds up the closing; one that has not come that far is dropped.
    await untilStuck();
    const partnerClient = await connect(ports.partner);
    const partnerRoot = await mount(partnerClient, '/data');
    let closed = false;
    const closing = thread.close('local', 'fence').then(() => {
      closed = true;
    });
    expect(await held).toBe('reset');
    await expect(RpcClient.connect(ports.own)).rejects.toThrow('ECONNREFUSED');
    await create(partnerClient, partnerRoot, 'file');
    expect(closed).toBe(false);
    thaw();
    await closing;
  });

  test.each([0, 1, 2])(
    'closed %i ms after a call was sent: the call is waited for, or never done',
    async (ms) => {
      const ports = await open();
      const client = await connect(ports.own);
      const file = await create(client, await mount(client, '/stuck'), 'file');
      freeze();
      const held = write(client, file, 'x').catch(() => 'reset');
      if (ms > 0) await pause(ms, 'the call is at some point of its way');
      let closed = false;
      const closing = thread.close('local', 'fence').then(() => {
        closed = true;
      });
      expect(await held).toBe('reset');
      await pause(200, 'one that does not wait would be closed');
      const closedWhileFrozen = closed;
      thaw();
      await closing;
      await pause(100, 'a call that is still somewhere would be done'); // A call that is still somewhere would be done now.
      const allowed = closedWhileFrozen ? [''] : ['', 'x'];
      expect(allowed).toContain(readFileSync(join(stuck.path, 'file'), 'latin1'));
    },
  );
});

describe.skipIf(ext4.missing !== null)('what is not in memory', () => {
  test('is read all the same, and in any order with what is', async () => {
    const disk = ext4.mount();
    const thread = new TestDataThread();
    try {
      const content = randomBytes(8 * 1024 * 1024);
      const path = join(disk.path, 'file');
      writeFileSync(path, content);
      const { port } = await thread.open(openMessage(disk.path));
      const client = await RpcClient.connect(port);
      const root = await mount(client, '/data');
      const found = await client.call('LOOKUP', { what: { dir: root, name: bytes('file') } });
      if (found.status !== nfs.NFS3_OK) throw new Error(`LOOKUP: ${found.status}`);
      const file = found.object;
      // Flushes the file and drops its pages.
      execFileSync('dd', [`of=${path}`, 'conv=notrunc,fdatasync', 'oflag=nocache', 'count=0'], {
        stdio: 'ignore',
      });
      const offsets = Array.from({ length: 64 }, (_, i) => ((i * 37) % 64) * 128 * 1024);
      const reads = offsets.map(async (offset) => {
        const result = await client.call('READ', { file, offset, count: 100_000 });
        if (result.status !== nfs.NFS3_OK) throw new Error(`READ: ${result.status}`);
        expect(Buffer.compare(result.data, content.subarray(offset, offset + 100_000))).toBe(0);
      });
      await Promise.all(reads);
      const end = await client.call('READ', { file, offset: content.length - 10, count: 100 });
      expect(end).toMatchObject({ status: nfs.NFS3_OK, count: 10, eof: true });
      client.close();
      await thread.close('local', 'quiesce');
    } finally {
      await thread.stop();
      disk.unmount();
    }
  });
});
