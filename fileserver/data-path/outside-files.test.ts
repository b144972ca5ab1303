/**
 * A volume that is a directory of a larger file system. A handle with a good signature leads nowhere beside it, wherever it comes
 * from, and what lies on the volume is found whatever the kernel has forgotten.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import * as nfs from '../../protocol/nfs3.ts';
import {
  exportIdOf,
  HANDLE_SIZE_MAX,
  isSigned,
  sign,
  writeUnsigned,
} from '../storage/handles/file-handle.ts';
import { IdentityReader } from '../storage/handles/file-identity.ts';
import { AT_FDCWD } from '../system/file-calls.ts';
import { mount, openMessage, TestDataThread } from './data-thread.fixture.ts';
import { DiskImage, loopTypes } from './file-systems.fixture.ts';
import { RpcClient } from './rpc-client.fixture.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

describe.runIf(loopTypes.includes('ext4'))('on ext4', () => {
  let disk: DiskImage;
  let keys: string;
  let place: string;
  let volume: string;
  let thread: TestDataThread;
  let client: RpcClient;
  let root: Uint8Array;
  let epoch = 0;

  beforeAll(() => {
    disk = new DiskImage('ext4', 64);
    thread = new TestDataThread(undefined, { connections: 1, own: 1, partner: 1 });
    keys = mkdtempSync(join(tmpdir(), 'filerpair-keys-'));
    writeFileSync(join(keys, 'current'), new Uint8Array(32).fill(1));
  });
  afterAll(async () => {
    await thread.stop();
    disk.remove();
    rmSync(keys, { recursive: true });
  });

  beforeEach(() => {
    place = disk.mount();
    volume = join(place, 'volume');
    mkdirSync(join(volume, 'a/b'), { recursive: true });
    writeFileSync(join(volume, 'a/b/file'), 'inside');
    writeFileSync(join(place, 'treasure'), 'outside');
  });
  afterEach(async () => {
    client.close();
    await thread.close('local', 'fence');
    for (const name of readdirSync(place)) rmSync(join(place, name), { recursive: true });
    disk.unmount();
  });

  async function open(path = volume, handleKeysDirectory?: string): Promise<void> {
    epoch += 1;
    const spec = {
      name: 'data',
      path,
      ...(handleKeysDirectory === undefined ? {} : { handleKeysDirectory }),
    };
    const { port } = await thread.open(openMessage(path, { epoch, volumes: [spec] }));
    client = await RpcClient.connect(port);
    root = await mount(client, '/data');
  }

  async function close(): Promise<void> {
    client.close();
    await thread.close('local', 'quiesce');
  }

  async function lookup(...names: string[]): Promise<Uint8Array> {
    let dir = root;
    for (const name of names) {
      const found = await client.call('LOOKUP', { what: { dir, name: bytes(name) } });
      if (found.status !== nfs.NFS3_OK) throw new Error(`LOOKUP ${name}: ${nfs.nfsstat3Name(found.status)}`);
      dir = found.object.slice();
    }
    return dir;
  }

  const read = async (file: Uint8Array): Promise<string> => {
    const result = await client.call('READ', { file, offset: 0, count: 100 });
    return result.status === nfs.NFS3_OK
      ? Buffer.from(result.data).toString()
      : nfs.nfsstat3Name(result.status);
  };

  /** As the server would sign it, of any file of the file system. */
  function forged(path: string, key: Uint8Array): Uint8Array {
    const identity = new IdentityReader('kernelHandle');
    expect(identity.ofName(AT_FDCWD, bytes(path))).toBe(0);
    const unsigned = new Uint8Array(HANDLE_SIZE_MAX);
    const uuid = root.slice(6, 22);
    const { type, bytes: id, start, size } = identity;
    const length = writeUnsigned(unsigned, exportIdOf('/data'), uuid, type, id, start, size);
    return sign(key, unsigned.subarray(0, length)).slice();
  }

  test('a file beside the volume is stale, though the signature is good', async () => {
    await open(volume, keys);
    const key = new Uint8Array(32).fill(1);
    expect(await read(forged(join(volume, 'a/b/file'), key))).toBe('inside');
    expect(await read(forged(join(place, 'treasure'), key))).toBe('NFS3ERR_STALE');
    const write = { file: forged(join(place, 'treasure'), key), offset: 0, count: 1, stable: nfs.UNSTABLE };
    expect((await client.call('WRITE', { ...write, data: bytes('x') })).status).toBe(nfs.NFS3ERR_STALE);
    await close();
  });

  test('the same where the directory is mounted by itself', async () => {
    const bound = join(place, 'bound');
    mkdirSync(bound);
    execFileSync('mount', ['--bind', volume, bound]);
    try {
      await open(bound, keys);
      const key = new Uint8Array(32).fill(1);
      expect(await read(forged(join(volume, 'a/b/file'), key))).toBe('inside');
      expect(await read(forged(join(place, 'treasure'), key))).toBe('NFS3ERR_STALE');
      await close();
    } finally {
      execFileSync('umount', [bound]);
    }
  });

  test('what the kernel knows no path of is found, and is gone when it is moved away', async () => {
    await open();
    const file = await lookup('a', 'b', 'file');
    await close();
    disk.unmount();
    disk.mount();
    await open();
    expect(await read(file)).toBe('inside');
    renameSync(join(volume, 'a/b/file'), join(place, 'moved'));
    await expect.poll(() => read(file), { timeout: 20_000 }).toBe('NFS3ERR_STALE');
    renameSync(join(place, 'moved'), join(volume, 'back'));
    await expect.poll(() => read(file), { timeout: 20_000 }).toBe('inside');
    await close();
  });

  test('with keys of the pair the volume has none, and two of them count at a time', async () => {
    await open(volume, keys);
    const file = await lookup('a', 'b', 'file');
    expect(isSigned([new Uint8Array(32).fill(1)], file)).toBe(true);
    expect(readdirSync(join(volume, '.filerpair'))).not.toContain('secret');
    await close();
    const later = mkdtempSync(join(tmpdir(), 'filerpair-keys-'));
    writeFileSync(join(later, 'current'), new Uint8Array(32).fill(2));
    writeFileSync(join(later, 'previous'), new Uint8Array(32).fill(1));
    await open(volume, later);
    expect(await read(file)).toBe('inside');
    const signed = await lookup('a', 'b', 'file');
    expect(isSigned([new Uint8Array(32).fill(2)], signed)).toBe(true);
    // One file, whichever handle it is asked for by.
    expect(await read(file)).toBe('inside');
    expect(await read(signed)).toBe('inside');
    await close();
    rmSync(join(later, 'previous'));
    await open(volume, later);
    expect(await read(file)).toBe('NFS3ERR_BADHANDLE');
    expect(await read(signed)).toBe('inside');
    await close();
    rmSync(later, { recursive: true });
  });

  test('a volume with a key on itself goes on with it, until that is renamed', async () => {
    const pair = new Uint8Array(32).fill(1);
    const said = (): string =>
      thread.messages.flatMap((message) => (message.kind === 'log' ? message.message : [])).join('\n');
    await open();
    const file = await lookup('a', 'b', 'file');
    expect(said()).toContain('give both servers a key of their own (handleKeysDirectory)');
    await close();
    // An earlier version of the partner may have to serve it next.
    await open(volume, keys);
    expect(isSigned([pair], await lookup('a', 'b', 'file'))).toBe(false);
    await close();
    renameSync(join(volume, '.filerpair/secret'), join(volume, '.filerpair/secret.previous'));
    thread.messages.length = 0;
    await open(volume, keys);
    expect(await read(file)).toBe('inside');
    expect(isSigned([pair], await lookup('a', 'b', 'file'))).toBe(true);
    expect(said()).toContain('handles that were signed with the key on it still count');
    await close();
    rmSync(join(volume, '.filerpair/secret.previous'));
    await open(volume, keys);
    expect(await read(file)).toBe('NFS3ERR_BADHANDLE');
    await close();
  });

  test('a whole file system keeps its key on itself', async () => {
    await open(place, keys);
    expect(readdirSync(join(place, '.filerpair'))).toContain('secret');
    await close();
  });
});
