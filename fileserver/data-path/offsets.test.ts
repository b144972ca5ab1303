/** Offsets and sizes up to 2^63 - 1, as far as each file system goes: exact to the byte, or refused; never rounded. */
import { closeSync, openSync, readSync, statSync, truncateSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as nfs from '../../protocol/nfs3.ts';
import type { XdrReader } from '../../protocol/xdr.ts';
import { mount, openMessage, TestDataThread } from './data-thread.fixture.ts';
import { fileSystems, type MountedFileSystem } from './file-systems.fixture.ts';
import { RpcClient } from './rpc-client.fixture.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const MIB = 2n ** 20n;
const LARGEST = 2n ** 63n - 1n;
/** What a double can't hold, with every way to round wrongly: odd, above 2^53, above 2^60, and the very end. */
const FAR = [2n ** 53n - 1n, 2n ** 53n + 4097n, 2n ** 60n + 12345n, LARGEST - 2n];
const kinds = fileSystems.filter(({ name, missing }) => name.includes('loop device') && missing === null);

test.skipIf(kinds.length > 0)('needs root and mkfs', () => {});

describe.each(kinds)('on $name', ({ name, mount: mountFileSystem }) => {
  /** ext4's depends on its block size; the others go as far as Linux does. */
  const limit = name.startsWith('ext4') ? null : LARGEST;

  let fileSystem: MountedFileSystem;
  let thread: TestDataThread;
  let client: RpcClient;
  let root: Uint8Array;
  let path: string;

  beforeAll(async () => {
    fileSystem = mountFileSystem();
    path = fileSystem.path;
    thread = new TestDataThread();
    client = await RpcClient.connect((await thread.open(openMessage(path))).port);
    root = await mount(client, '/data');
  });
  afterAll(async () => {
    client.close();
    await thread.close('local', 'quiesce');
    await thread.stop();
    fileSystem.unmount();
  });

  async function create(file: string): Promise<Uint8Array> {
    const how = { mode: nfs.GUARDED, obj_attributes: { ...nfs.SATTR3_NOTHING, mode: 0o600 } } as const;
    const made = await client.call('CREATE', { where: { dir: root, name: bytes(file) }, how });
    if (made.status !== nfs.NFS3_OK) throw new Error(nfs.nfsstat3Name(made.status));
    return made.obj!;
  }

  /** Of a reply with fattr3 behind its status: decodeRes() is for clients and saturates. */
  async function sizeOf(object: Uint8Array): Promise<bigint> {
    const { r } = await rawCall('GETATTR', { object });
    expect(r.u32()).toBe(nfs.NFS3_OK);
    for (let word = 0; word < 5; word++) r.u32();
    return r.u64();
  }

  async function rawCall<Name extends nfs.Nfs3Name>(
    procedure: Name,
    args: nfs.Nfs3Calls[Name]['args'],
  ): Promise<{ r: XdrReader }> {
    const codec = nfs.nfs3Procedures[procedure];
    return client.raw(nfs.NFS_PROGRAM, nfs.NFS_V3, codec.proc, (w) => codec.args.encode(w, args));
  }

  const statusName = ({ status }: { status: number }): string => nfs.nfsstat3Name(status as nfs.nfsstat3);
  const write = (file: Uint8Array, offset: number | bigint, text: string) =>
    client.call('WRITE', { file, offset, count: text.length, stable: nfs.FILE_SYNC, data: bytes(text) });

  test('FSINFO says the largest file, WRITE and SETATTR go up to it and not beyond', async () => {
    const { r } = await rawCall('FSINFO', { fsroot: root });
    expect(r.u32()).toBe(nfs.NFS3_OK);
    r.u32();
    r.position += nfs.FATTR3_SIZE + 7 * 4;
    const most = r.u64();
    if (limit !== null) expect(most).toBe(limit);
    const file = await create('largest');
    const cut = (size: bigint) =>
      client.call('SETATTR', {
        object: file,
        new_attributes: { ...nfs.SATTR3_NOTHING, size },
        guard: null,
      });
    expect(statusName(await cut(most))).toBe('NFS3_OK');
    expect(await sizeOf(file)).toBe(most);
    expect(statSync(join(path, 'largest'), { bigint: true }).size).toBe(most);
    for (const size of [most + 1n, 2n ** 63n, 2n ** 64n - 1n]) {
      expect(statusName(await cut(size))).toBe('NFS3ERR_FBIG');
      expect(statusName(await write(file, size, 'x'))).toBe('NFS3ERR_FBIG');
    }
    expect(statusName(await write(file, most, 'x'))).toBe('NFS3ERR_FBIG');
    expect(await sizeOf(file)).toBe(most);
  });

  test('what is written far out is there and nowhere else', async () => {
    const file = await create('far');
    for (const offset of FAR) {
      const written = await write(file, offset, 'xy');
      if (limit === null) {
        expect(statusName(written)).toBe('NFS3ERR_FBIG');
        continue;
      }
      expect(statusName(written)).toBe('NFS3_OK');
      expect(await sizeOf(file)).toBe(offset + 2n);
      const fd = openSync(join(path, 'far'), 'r');
      const found = Buffer.alloc(2);
      const got = readSync(fd, found, 0, 2, offset);
      closeSync(fd);
      expect([got, found.toString()]).toEqual([2, 'xy']);
      const read = (at: bigint, count: number) => client.call('READ', { file, offset: at, count });
      expect(await read(offset - 1n, 2)).toMatchObject({ data: bytes('\0x'), eof: false });
      expect(await read(offset, 2)).toMatchObject({ data: bytes('xy'), eof: true });
      expect(await read(offset + 1n, 100)).toMatchObject({ data: bytes('y'), eof: true });
      expect(await read(offset + 2n, 1)).toMatchObject({ count: 0, eof: true });
      expect(await read(offset - MIB, 10)).toMatchObject({ count: 10, eof: false });
      expect(statusName(await client.call('COMMIT', { file, offset, count: 2 }))).toBe('NFS3_OK');
    }
    for (const offset of [LARGEST, 2n ** 63n, 2n ** 64n - 1n]) {
      expect(await client.call('READ', { file, offset, count: 5 })).toMatchObject({ count: 0, eof: true });
    }
  });

  test('a file that was made so long on the server is read to its end', async () => {
    if (limit === null) return;
    const size = 2n ** 53n + 5n;
    const fd = openSync(join(path, 'long'), 'w');
    writeSync(fd, bytes('end'), 0, 3, Number(2n ** 53n - 3n));
    closeSync(fd);
    const nearly = Number(2n ** 53n - 1n);
    truncateSync(join(path, 'long'), nearly);
    const found = await client.call('LOOKUP', { what: { dir: root, name: bytes('long') } });
    if (found.status !== nfs.NFS3_OK) throw new Error(statusName(found));
    const file = found.object;
    expect(await client.call('READ', { file, offset: nearly - 2, count: 100 })).toMatchObject({
      data: bytes('en'),
      eof: true,
    });
    await write(file, size - 1n, 'z');
    expect(await client.call('READ', { file, offset: nearly - 2, count: 4 })).toMatchObject({
      count: 4,
      eof: false,
    });
    expect(await client.call('READ', { file, offset: nearly - 2, count: 100 })).toMatchObject({
      count: 8,
      eof: true,
    });
  });
});
