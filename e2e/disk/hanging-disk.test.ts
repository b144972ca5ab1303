/**
 * A disk that answers nothing any more, reads neither, while nothing of its volume is in memory. Whatever clients ask of that
 * volume, they wait; nobody else does, on the same connections and in the same threads neither.
 */
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  EVERYBODY,
  mount,
  openMessage,
  TestDataThread,
  temporaryDirectory,
} from '../../fileserver/data-path/data-thread.fixture.ts';
import { RpcClient } from '../../fileserver/data-path/rpc-client.fixture.ts';
import * as nfs from '../../protocol/nfs3.ts';
import { type LoopMount, missingForDisks, RecordingDisk } from './recording-disk.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const TIMEOUT_MS = 60_000;
/** Of calls that each connection makes. */
const KINDS = 8;
const CONNECTIONS = 6;
const FILES = 600;
const possible = missingForDisks('ext4') === null;
/** Longer than ext4 keeps in the inode. */
const LONG_TARGET = 'x'.repeat(200);

let disk: RecordingDisk;
let mounted: LoopMount;
let healthy: { path: string; remove: () => void };
let partner: { path: string; remove: () => void };
let thread: TestDataThread;
let clients: RpcClient[];

beforeEach(async () => {
  if (!possible) return;
  disk = await RecordingDisk.make('ext4', { record: false });
  healthy = temporaryDirectory();
  partner = temporaryDirectory();
  thread = new TestDataThread();
  clients = [];
}, TIMEOUT_MS);

afterEach(async () => {
  if (!possible) return;
  disk.goOn();
  for (const client of clients) client.close();
  await thread.close('local', 'fence');
  await thread.close('partner', 'fence');
  await mounted.unmount();
  await thread.stop();
  await disk.discard();
  healthy.remove();
  partner.remove();
}, TIMEOUT_MS);

async function connect(port: number): Promise<RpcClient> {
  const client = await RpcClient.connect(port);
  clients.push(client);
  return client;
}

async function lookup(client: RpcClient, dir: Uint8Array, name: string): Promise<Uint8Array> {
  const found = await client.call('LOOKUP', { what: { dir, name: bytes(name) } });
  if (found.status !== nfs.NFS3_OK) throw new Error(`LOOKUP ${name}: ${nfs.nfsstat3Name(found.status)}`);
  return found.object;
}

const directoryOf = (connection: number): string => `directory-${connection}`;

/** What clients know from before, of a volume of which nothing is in memory now. */
interface Known {
  readonly directories: readonly Uint8Array[];
  readonly files: readonly Uint8Array[];
  readonly links: readonly Uint8Array[];
}

/** Makes files and handles, then mounts the file system anew: the kernel has nothing of it in memory. */
async function prepare(): Promise<{ known: Known; port: number; partnerPort: number }> {
  mounted = disk.mount();
  const path = join(mounted.path, 'volume');
  mkdirSync(path);
  for (let i = 0; i < CONNECTIONS; i++) {
    const directory = join(path, directoryOf(i));
    mkdirSync(directory);
    // What a disk is asked for comes with its neighbours: so there are many, between one connection's and the next.
    for (let j = 0; j < FILES; j++) writeFileSync(join(directory, `file-${j}`), 'content');
    writeFileSync(join(directory, 'filler'), new Uint8Array(512 * 1024).fill(1));
    symlinkSync(LONG_TARGET, join(directory, 'link'));
  }
  const open = async (epoch: number): Promise<number> => {
    const message = openMessage(path, {
      epoch,
      volumes: [
        { name: 'hanging', path },
        { name: 'healthy', path: healthy.path },
      ],
      exports: [
        { path: '/hanging', volume: 'hanging', ...EVERYBODY },
        { path: '/healthy', volume: 'healthy', ...EVERYBODY },
      ],
    });
    return (await thread.open(message)).port;
  };
  const client = await connect(await open(1));
  const root = await mount(client, '/hanging');
  const known = { directories: [] as Uint8Array[], files: [] as Uint8Array[], links: [] as Uint8Array[] };
  for (let i = 0; i < CONNECTIONS; i++) {
    const directory = await lookup(client, root, directoryOf(i));
    known.directories.push(directory);
    known.files.push(await lookup(client, directory, 'file-0'));
    known.links.push(await lookup(client, directory, 'link'));
  }
  client.close();
  await thread.close('local', 'fence');
  await mounted.unmount();
  disk.forget();
  mounted = disk.mount();
  const port = await open(2);
  const partnerPort = (await thread.open(openMessage(partner.path, { diskSet: 'partner' }))).port;
  return { known, port, partnerPort };
}

test.skipIf(!possible)(
  'holds up nobody but who asks for it',
  async () => {
    const { known, port, partnerPort } = await prepare();
    writeFileSync(join(healthy.path, 'file'), 'here');
    const own = await Promise.all(Array.from({ length: CONNECTIONS }, () => connect(port)));
    const roots = await Promise.all(own.map((client) => mount(client, '/healthy')));
    const others = await Promise.all(Array.from({ length: CONNECTIONS }, () => connect(partnerPort)));
    const otherRoots = await Promise.all(others.map((client) => mount(client, '/data')));
    disk.hang();
    const waiting: Promise<{ status: number }>[] = own.flatMap((client, i) => {
      const [dir, file, symlink] = [known.directories[i]!, known.files[i]!, known.links[i]!];
      const cookieverf = new Uint8Array(8);
      return [
        client.call('LOOKUP', { what: { dir, name: bytes('file-7') } }),
        client.call('GETATTR', { object: file }),
        client.call('ACCESS', { object: dir, access: nfs.ACCESS3_READ }),
        client.call('READ', { file, offset: 0, count: 100 }),
        client.call('READLINK', { symlink }),
        client.call('READDIR', { dir, cookie: 0n, cookieverf, count: 4096 }),
        client.call('READDIRPLUS', { dir, cookie: 0n, cookieverf, dircount: 4096, maxcount: 8192 }),
        client.call('FSSTAT', { fsroot: dir }),
      ];
    });
    const stillWaiting = new Set(waiting.keys());
    for (const [index, call] of waiting.entries()) void call.then(() => stillWaiting.delete(index));
    const all = Promise.allSettled(waiting);
    for (let round = 0; round < 20; round++) {
      for (let i = 0; i < CONNECTIONS; i++) {
        const file = await lookup(own[i]!, roots[i]!, 'file');
        const read = await own[i]!.call('READ', { file, offset: 0, count: 10 });
        expect(read).toMatchObject({ status: nfs.NFS3_OK, data: bytes('here') });
        const got = await others[i]!.call('GETATTR', { object: otherRoots[i]! });
        expect(got.status).toBe(nfs.NFS3_OK);
        await expect(lookup(others[i]!, otherRoots[i]!, `none-${round}`)).rejects.toThrow('NOENT');
      }
    }
    // Each kind of call, of one connection at least.
    expect(new Set([...stillWaiting].map((index) => index % KINDS)).size).toBe(KINDS);
    disk.goOn();
    for (const one of await all) expect(one).toMatchObject({ value: { status: nfs.NFS3_OK } });
    rmSync(join(healthy.path, 'file'));
  },
  TIMEOUT_MS,
);
