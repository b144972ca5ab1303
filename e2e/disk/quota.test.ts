/**
 * A btrfs quota that is used up: writing over the journal in place counts against it, and takes the reserve. What needs space
 * is refused, what frees it works, the partner can take over, and nothing ends the service.
 */
import { execFileSync } from 'node:child_process';
import { closeSync, existsSync, fsyncSync, openSync, rmSync, statSync, writeSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { mount, openMessage, TestDataThread } from '../../fileserver/data-path/data-thread.fixture.ts';
import { RpcClient } from '../../fileserver/data-path/rpc-client.fixture.ts';
import { RESERVE_SIZE } from '../../fileserver/storage/journal/journal-reserve.ts';
import * as nfs from '../../protocol/nfs3.ts';
import { LoopMount, makeImage, missingForDisks, workDirectory } from './recording-disk.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const GUARDED = { mode: nfs.GUARDED, obj_attributes: { ...nfs.SATTR3_NOTHING, mode: 0o600 } } as const;
const QUOTA_MIB = 48;
const TIMEOUT_MS = 120_000;
const possible = missingForDisks('btrfs') === null;

let directory: string;
let mounted: LoopMount;
let volume: string;
let thread: TestDataThread;
let client: RpcClient;
let root: Uint8Array;

beforeEach(async () => {
  if (!possible) return;
  directory = workDirectory();
  const image = join(directory, 'image');
  makeImage(image, 'btrfs', 256);
  mounted = new LoopMount('btrfs', image, join(directory, 'mounted'));
  volume = join(mounted.path, 'volume');
  btrfs('quota', 'enable', mounted.path);
  btrfs('subvolume', 'create', volume);
  btrfs('qgroup', 'limit', `${QUOTA_MIB}M`, volume);
  thread = new TestDataThread();
  client = await RpcClient.connect((await thread.open(openMessage(volume))).port);
  root = await mount(client, '/data');
}, TIMEOUT_MS);

afterEach(async () => {
  if (!possible) return;
  client.close();
  await thread.close('local', 'fence');
  await thread.close('partner', 'fence');
  await mounted.unmount();
  await thread.stop();
  rmSync(directory, { recursive: true, force: true });
}, TIMEOUT_MS);

function btrfs(...args: string[]): void {
  execFileSync('btrfs', args, { stdio: ['ignore', 'ignore', 'pipe'] });
}

const at = (name: string): nfs.diropargs3 => ({ dir: root, name: bytes(name) });
const statusOf = async (answer: Promise<{ status: number }>): Promise<string> =>
  nfs.nfsstat3Name((await answer).status as nfs.nfsstat3);
const create = (name: string) => client.call('CREATE', { where: at(name), how: GUARDED });
const remove = (name: string) => client.call('REMOVE', { object: at(name) });

async function file(name: string): Promise<Uint8Array> {
  const made = await create(name);
  if (made.status !== nfs.NFS3_OK) throw new Error(nfs.nfsstat3Name(made.status));
  return made.obj!;
}

/** Until the quota is used up: large pieces first, then small ones. */
async function fill(object: Uint8Array): Promise<void> {
  let offset = 0;
  for (let size = 1024 * 1024; size >= 4096; size /= 2) {
    const data = new Uint8Array(size).fill(0x5a);
    for (;;) {
      const args = { file: object, offset, count: size, stable: nfs.DATA_SYNC, data };
      const result = await client.call('WRITE', args);
      if (result.status !== nfs.NFS3_OK) {
        expect(nfs.nfsstat3Name(result.status)).toBe('NFS3ERR_DQUOT');
        break;
      }
      offset += result.count;
    }
  }
}

/** Until there is no more room for names either. */
async function fillWithNames(): Promise<void> {
  for (let i = 0; ; i++) {
    const status = await statusOf(create(`name-${i}`));
    if (status === 'NFS3ERR_DQUOT') return;
    expect(status).toBe('NFS3_OK');
  }
}

async function expectNoRoom(object: Uint8Array): Promise<void> {
  const how = nfs.SATTR3_NOTHING;
  const data = new Uint8Array(1);
  const written = client.call('WRITE', { file: object, offset: 0, count: 1, stable: nfs.UNSTABLE, data });
  expect(await statusOf(written)).toBe('NFS3ERR_DQUOT');
  expect(await statusOf(client.call('MKDIR', { where: at('d'), attributes: how }))).toBe('NFS3ERR_DQUOT');
  expect(await statusOf(client.call('LINK', { file: object, link: at('l') }))).toBe('NFS3ERR_DQUOT');
  const symlink = { symlink_attributes: how, symlink_data: bytes('x') };
  expect(await statusOf(client.call('SYMLINK', { where: at('s'), symlink }))).toBe('NFS3ERR_DQUOT');
}

const faults = () => thread.messages.filter(({ kind }) => kind === 'fault');

test.skipIf(!possible)(
  'what needs space is NFS3ERR_DQUOT, what frees it works, and then everything does again',
  async () => {
    const filler = await file('filler');
    const kept = await file('kept');
    await fill(filler);
    await fillWithNames();
    await expectNoRoom(filler);
    const mode = { ...nfs.SATTR3_NOTHING, mode: 0o640 };
    const chmod = () => client.call('SETATTR', { object: kept, new_attributes: mode, guard: null });
    expect(await statusOf(chmod())).toBe('NFS3_OK');
    expect(await statusOf(client.call('RENAME', { from: at('kept'), to: at('renamed') }))).toBe('NFS3_OK');
    // Hundreds of changes, each of which is recorded.
    for (let i = 0; i < 300; i++) expect(await statusOf(remove(`name-${i % 2}`))).toMatch(/OK|NOENT/);
    const xid = 4711;
    expect(await statusOf(client.call('REMOVE', { object: at('filler') }, { xid }))).toBe('NFS3_OK');
    expect(await statusOf(client.call('REMOVE', { object: at('filler') }, { xid }))).toBe('NFS3_OK');
    await expect.poll(() => statusOf(create('new')), { timeout: 20_000 }).toMatch(/OK|EXIST/);
    expect(statSync(join(volume, '.filerpair/reserve')).size).toBe(RESERVE_SIZE);
    expect(faults()).toEqual([]);
  },
  TIMEOUT_MS,
);

test.skipIf(!possible)(
  'the partner takes over, with the reserve there and with it lent, and knows what was answered',
  async () => {
    await file('small');
    const filler = await file('filler');
    await fill(filler);
    client.close();
    await thread.close('local', 'fence');
    const partner = openMessage(volume, { diskSet: 'partner', server: 'filer-b', epoch: 2 });
    client = await RpcClient.connect((await thread.open(partner)).port);
    await fillWithNames();
    const xid = 4712;
    expect(await statusOf(client.call('REMOVE', { object: at('small') }, { xid }))).toBe('NFS3_OK');
    expect(existsSync(join(volume, '.filerpair/reserve'))).toBe(false);
    client.close();
    await thread.close('partner', 'fence');
    const back = await thread.open(openMessage(volume, { epoch: 3 }));
    client = await RpcClient.connect(back.port);
    expect(await statusOf(client.call('REMOVE', { object: at('small') }, { xid }))).toBe('NFS3_OK');
    await expectNoRoom(filler);
    expect(await statusOf(remove('filler'))).toBe('NFS3_OK');
    await expect.poll(() => statusOf(create('new')), { timeout: 20_000 }).toMatch(/OK|EXIST/);
    expect(faults()).toEqual([]);
  },
  TIMEOUT_MS,
);

/** Somebody else under the same quota takes whatever is left. */
function takeTheRest(path: string): void {
  const fd = openSync(path, 'w');
  for (let size = 1024 * 1024; size >= 4096; size /= 2) {
    try {
      for (;;) {
        writeSync(fd, new Uint8Array(size).fill(1));
        fsyncSync(fd);
      }
    } catch (error) {
      // Node has no name for it.
      expect((error as NodeJS.ErrnoException).errno).toBe(-constants.errno.EDQUOT);
    }
  }
  closeSync(fd);
}

test.skipIf(!possible)(
  'without any room changes are refused, and possible again as soon as somebody makes room',
  async () => {
    const other = join(volume, 'other');
    await file('victim');
    const filler = await file('filler');
    await fill(filler);
    await fillWithNames();
    const xid = 4713;
    const moved = () => client.call('RENAME', { from: at('filler'), to: at('renamed') }, { xid });
    expect(await statusOf(moved())).toBe('NFS3_OK');
    takeTheRest(other);
    expect(await statusOf(remove('victim'))).toBe('NFS3ERR_DQUOT');
    expect(existsSync(join(volume, 'victim'))).toBe(true);
    expect(await statusOf(moved())).toBe('NFS3_OK');
    await expectNoRoom(filler);
    rmSync(other);
    expect(await statusOf(remove('victim'))).toBe('NFS3_OK');
    expect(await statusOf(remove('renamed'))).toBe('NFS3_OK');
    await expect.poll(() => statusOf(create('new')), { timeout: 20_000 }).toMatch(/OK|EXIST/);
    expect(faults()).toEqual([]);
    client.close();
    await thread.close('local', 'quiesce');
    const partner = openMessage(volume, { diskSet: 'partner', server: 'filer-b', epoch: 2 });
    client = await RpcClient.connect((await thread.open(partner)).port);
    expect(await statusOf(moved())).toBe('NFS3_OK');
  },
  TIMEOUT_MS,
);
