/**
 * What is wrong with one file or one directory of a volume is the answer to the call that meets it, and the volume is served on.
 * Real file systems: a block whose checksum does not match, a read-only snapshot, and (the other way round) a volume that has
 * become read-only as a whole.
 */
import { execFileSync } from 'node:child_process';
import { closeSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import * as nfs from '../../protocol/nfs3.ts';
import { mount, openMessage, TestDataThread } from './data-thread.fixture.ts';
import { fileSystems, type MountedFileSystem } from './file-systems.fixture.ts';
import { RpcClient } from './rpc-client.fixture.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const btrfs = fileSystems.find(({ name }) => name.startsWith('btrfs'))!;
const ext4 = fileSystems.find(({ name }) => name.startsWith('ext4'))!;
const how: nfs.createhow3 = { mode: nfs.GUARDED, obj_attributes: { ...nfs.SATTR3_NOTHING, mode: 0o644 } };

let disk: MountedFileSystem;
let thread: TestDataThread;
let client: RpcClient;
let root: Uint8Array;

beforeEach(() => {
  thread = new TestDataThread();
});
afterEach(async () => {
  client.close();
  await thread.close('local', 'fence');
  await thread.stop();
  disk.unmount();
});

async function open(): Promise<void> {
  const { port } = await thread.open(openMessage(disk.path));
  client = await RpcClient.connect(port);
  root = await mount(client, '/data');
}

async function lookup(dir: Uint8Array, name: string): Promise<Uint8Array> {
  const found = await client.call('LOOKUP', { what: { dir, name: bytes(name) } });
  if (found.status !== nfs.NFS3_OK) throw new Error(`LOOKUP ${name}: ${nfs.nfsstat3Name(found.status)}`);
  return found.object;
}

async function create(dir: Uint8Array, name: string): Promise<string> {
  return nfs.nfsstat3Name((await client.call('CREATE', { where: { dir, name: bytes(name) }, how })).status);
}

const faults = (): unknown[] => thread.messages.filter(({ kind }) => kind === 'fault');

/** Flushes the file and drops its pages. */
function forget(path: string): void {
  const args = [`of=${path}`, 'conv=notrunc,fdatasync', 'oflag=nocache', 'count=0'];
  execFileSync('dd', args, { stdio: 'ignore' });
}

/** Every block of the image that begins with these bytes gets other ones: its checksum does not match any more. */
function spoil(image: string, beginning: Buffer): number {
  const content = readFileSync(image);
  const fd = openSync(image, 'r+');
  let spoilt = 0;
  for (let at = content.indexOf(beginning); at >= 0; at = content.indexOf(beginning, at + 1)) {
    if (at % 4096 !== 0) continue;
    writeSync(fd, Buffer.from('spoilt'), 0, 6, at);
    spoilt += 1;
  }
  closeSync(fd);
  return spoilt;
}

describe.skipIf(btrfs.missing !== null)('on btrfs', () => {
  beforeEach(() => {
    disk = btrfs.mount();
  });

  test('a file that cannot be read is NFS3ERR_IO; the others, and its readable blocks, are served', async () => {
    const path = join(disk.path, 'spoilt');
    const marker = Buffer.alloc(4096, 'what is to be found on the disk ');
    writeFileSync(path, Buffer.concat([marker, Buffer.alloc(61_440, 'readable')]));
    forget(path);
    expect(spoil(disk.image!, marker)).toBeGreaterThan(0);
    await open();
    const file = await lookup(root, 'spoilt');
    const read = (offset: number) => client.call('READ', { file, offset, count: 4096 });
    expect(nfs.nfsstat3Name((await read(0)).status)).toBe('NFS3ERR_IO');
    expect(nfs.nfsstat3Name((await read(32_768)).status)).toBe('NFS3_OK');
    expect(await create(root, 'another')).toBe('NFS3_OK');
    expect(faults()).toEqual([]);
  });

  test('a change below a read-only snapshot is NFS3ERR_ROFS; the volume is served on', async () => {
    const run = (...args: string[]): void => void execFileSync('btrfs', args, { stdio: 'ignore' });
    run('subvolume', 'create', join(disk.path, 'project'));
    writeFileSync(join(disk.path, 'project', 'file'), 'text');
    run('subvolume', 'snapshot', '-r', join(disk.path, 'project'), join(disk.path, 'snapshot'));
    await open();
    const dir = await lookup(root, 'snapshot');
    const file = await lookup(dir, 'file');
    const times = { ...nfs.SATTR3_NOTHING, mtime: { how: nfs.SET_TO_SERVER_TIME } as const };
    const object = { dir, name: bytes('file') };
    const calls = [
      client.call('CREATE', { where: { dir, name: bytes('new') }, how }),
      client.call('MKDIR', { where: { dir, name: bytes('new') }, attributes: nfs.SATTR3_NOTHING }),
      client.call('REMOVE', { object }),
      client.call('RENAME', { from: object, to: { dir, name: bytes('other') } }),
      client.call('LINK', { file, link: { dir, name: bytes('other') } }),
      client.call('SETATTR', { object: file, new_attributes: times, guard: null }),
      client.call('WRITE', { file, offset: 0, count: 1, stable: nfs.FILE_SYNC, data: bytes('x') }),
    ];
    const results = (await Promise.all(calls)).map(({ status }) => nfs.nfsstat3Name(status));
    expect(results).toEqual(calls.map(() => 'NFS3ERR_ROFS'));
    expect(await create(root, 'beside')).toBe('NFS3_OK');
    expect(faults()).toEqual([]);
  });
});

describe.skipIf(ext4.missing !== null)('on ext4', () => {
  beforeEach(() => {
    disk = ext4.mount();
  });

  test('a volume that has become read-only as a whole, because ext4 has found an error, is given up', async () => {
    execFileSync('mount', ['-o', 'remount,errors=remount-ro', disk.path]);
    await open();
    const device = execFileSync('findmnt', ['-no', 'SOURCE', disk.path]).toString().trim();
    const fault = thread.of('fault');
    writeFileSync(join('/sys/fs/ext4', basename(device), 'trigger_fs_error'), '1');
    void create(root, 'file').catch(() => {});
    expect(await fault).toMatchObject({ volume: 'data', reason: 'ReadOnly' });
  });
});
