/**
 * Copies of a WRITE: a client that gets no answer sends it again, by another connection perhaps, and the first copy may be read
 * later than everything that came since. It is executed once.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import * as nfs from '../../protocol/nfs3.ts';
import {
  decodeHoldsRes,
  encodeAnnouncement,
  encodeHoldsArgs,
  SUCCESSION_PROGRAM,
  SUCCESSION_VERSION,
  successionproc1,
} from '../../protocol/succession.ts';
import { UUID_AT } from '../storage/handles/file-handle.ts';
import { identityCanChange } from '../system/thread-identity.ts';
import { mount, openMessage, TestDataThread, temporaryDirectory } from './data-thread.fixture.ts';
import { RpcClient, userCredential } from './rpc-client.fixture.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

let directory: ReturnType<typeof temporaryDirectory>;
let thread: TestDataThread;
let port: number;
let first: RpcClient;
let second: RpcClient;
let file: Uint8Array;

beforeAll(() => {
  thread = new TestDataThread();
});
afterAll(() => thread.stop());
beforeEach(async () => {
  directory = temporaryDirectory();
  ({ port } = await thread.open(openMessage(directory.path)));
  first = await RpcClient.connect(port);
  const dir = await mount(first, '/data');
  const how = { mode: nfs.GUARDED, obj_attributes: { ...nfs.SATTR3_NOTHING, mode: 0o666 } } as const;
  const made = await first.call('CREATE', { where: { dir, name: bytes('file') }, how });
  if (made.status !== nfs.NFS3_OK) throw new Error(nfs.nfsstat3Name(made.status));
  file = made.obj!;
  second = await RpcClient.connect(port);
});
afterEach(async () => {
  first.close();
  second.close();
  await thread.close('local', 'fence');
  directory.remove();
});

function write(
  client: RpcClient,
  xid: number,
  text: string,
  stable: nfs.stable_how = nfs.UNSTABLE,
  offset: number | bigint = 0,
): Promise<nfs.Nfs3Calls['WRITE']['res']> {
  const data = bytes(text);
  return client.call('WRITE', { file, offset, count: data.length, stable, data }, { xid });
}

const content = (): string => readFileSync(join(directory.path, 'file'), 'utf8');

test.each([
  ['UNSTABLE', nfs.UNSTABLE],
  ['DATA_SYNC', nfs.DATA_SYNC],
  ['FILE_SYNC', nfs.FILE_SYNC],
] as const)(
  '%s: a copy that is read after a later WRITE was answered is answered and not executed',
  async (_name, stable) => {
    const answered = await write(second, 7, 'old old', stable);
    await write(second, 8, 'new new', stable);
    const again = await write(first, 7, 'old old', stable);
    expect(content()).toBe('new new');
    expect(answered.status).toBe(nfs.NFS3_OK);
    if (answered.status !== nfs.NFS3_OK || again.status !== nfs.NFS3_OK) throw new Error('failed');
    const { count, committed, verf } = answered;
    expect(again).toMatchObject({ count, committed, verf });
    expect(again.file_wcc.after?.size).toBe(7);
  },
);

test('copies that come while the first one is flushed are answered with it', async () => {
  const answers = await Promise.all(
    [first, second, first, second].map((client, index) =>
      // On one connection no XID is used twice at a time.
      index < 2 ? write(client, 7, 'a', nfs.FILE_SYNC) : write(client, 8, 'b', nfs.FILE_SYNC, 1),
    ),
  );
  for (const answer of answers) expect(answer.status).toBe(nfs.NFS3_OK);
  expect(content()).toBe('ab');
});

test('a copy behind a truncation is answered with the first one, which waited for it', async () => {
  await write(first, 6, 'something long');
  const truncated = first.call('SETATTR', {
    object: file,
    new_attributes: { ...nfs.SATTR3_NOTHING, size: 0 },
    guard: null,
  });
  const copies = await Promise.all([write(first, 7, 'short'), write(second, 7, 'short')]);
  expect((await truncated).status).toBe(nfs.NFS3_OK);
  for (const copy of copies) expect(copy.status).toBe(nfs.NFS3_OK);
  await write(first, 8, 'later');
  await write(second, 7, 'short');
  expect(content()).toBe('later');
});

test.runIf(identityCanChange)(
  'a WRITE that was refused does not succeed later, when a copy of it is read',
  async () => {
    const stranger = userCredential(4711, 4711);
    const call = (client: RpcClient): Promise<nfs.Nfs3Calls['WRITE']['res']> =>
      client.call(
        'WRITE',
        { file, offset: 0, count: 3, stable: nfs.UNSTABLE, data: bytes('new') },
        { xid: 7, credential: stranger },
      );
    const mode = (bits: number) =>
      first.call('SETATTR', {
        object: file,
        new_attributes: { ...nfs.SATTR3_NOTHING, mode: bits },
        guard: null,
      });
    await mode(0o600);
    expect((await call(second)).status).toBe(nfs.NFS3ERR_ACCES);
    await mode(0o666);
    expect((await call(first)).status).toBe(nfs.NFS3ERR_ACCES);
    expect(content()).toBe('');
  },
);

test('what differs in anything is another WRITE: user, place, data', async () => {
  await write(first, 7, 'aaa');
  await write(second, 7, 'bbb');
  expect(content()).toBe('bbb');
  await write(second, 7, 'bbb', nfs.UNSTABLE, 3);
  expect(content()).toBe('bbbbbb');
  const data = bytes('aaa');
  const args = { file, offset: 0, count: 3, stable: nfs.UNSTABLE, data };
  await second.call('WRITE', args, { xid: 7, credential: userCredential(0, 1) });
  expect(content()).toBe('aaabbb');
});

test('a copy of a WRITE to a file that is gone since is answered as it was', async () => {
  const answered = await write(second, 7, 'data', nfs.FILE_SYNC);
  const dir = await mount(first, '/data');
  await first.call('REMOVE', { object: { dir, name: bytes('file') } });
  expect(answered.status).toBe(nfs.NFS3_OK);
  expect((await write(first, 7, 'data', nfs.FILE_SYNC)).status).toBe(nfs.NFS3_OK);
});

// Of the data only the first bytes are looked at, and there are clients that count XIDs from 1 each time they start.
test('what a client writes when it has started again is no copy, however alike it looks', async () => {
  const alike = '='.repeat(1000);
  await write(first, 1, `${alike}old`);
  await write(first, 2, 'other', nfs.UNSTABLE, 2000);
  expect(await write(second, 1, `${alike}new`)).toMatchObject({ status: nfs.NFS3_OK });
  expect(content().slice(1000, 1003)).toBe('new');
});

/** As our client says on each connection that it adopts. */
async function announce(client: RpcClient, id: string): Promise<void> {
  const { ANNOUNCE } = successionproc1;
  const { header } = await client.raw(SUCCESSION_PROGRAM, SUCCESSION_VERSION, ANNOUNCE, (w) =>
    encodeAnnouncement(w, bytes(id)),
  );
  expect(header.kind).toBe('success');
}

test('a connection that its client has given up is not executed any more, whatever is in it', async () => {
  await announce(first, 'client 1');
  await write(first, 7, 'written by the first');
  await announce(second, 'client 1');
  await write(second, 8, 'written by the next!');
  await expect(write(first, 9, 'left in the old one!')).rejects.toThrow('connection closed');
  expect(content()).toBe('written by the next!');
});

test('a client that names itself by zeros alone ends no connection of clients that say nothing', async () => {
  await announce(second, '\0'.repeat(8));
  expect(await write(second, 7, 'written by the next!')).toMatchObject({ status: nfs.NFS3_OK });
  expect(await write(first, 8, 'written by the first')).toMatchObject({ status: nfs.NFS3_OK });
});

/** As our client asks before it adopts a connection. */
async function holds(client: RpcClient, handle: Uint8Array): Promise<boolean> {
  const { HOLDS } = successionproc1;
  const { header, r } = await client.raw(SUCCESSION_PROGRAM, SUCCESSION_VERSION, HOLDS, (w) =>
    encodeHoldsArgs(w, handle),
  );
  expect(header.kind).toBe('success');
  return decodeHoldsRes(r);
}

test('a server says whether it serves the volume of a file handle, also of a file that is gone', async () => {
  const dir = await mount(first, '/data');
  expect(await holds(first, file)).toBe(true);
  await first.call('REMOVE', { object: { dir, name: bytes('file') } });
  expect(await holds(first, file)).toBe(true);
  const another = Uint8Array.from(file);
  another[UUID_AT]! ^= 1;
  expect(await holds(first, another)).toBe(false);
  const unsigned = Uint8Array.from(file);
  unsigned[unsigned.length - 1]! ^= 1;
  expect(await holds(first, unsigned)).toBe(false);
  expect(await holds(first, bytes('no handle of ours'))).toBe(false);
});

test('connections of other clients go on', async () => {
  await announce(first, 'client 1');
  await announce(second, 'client 2');
  await write(first, 7, 'first');
  await write(second, 8, 'other');
  await write(first, 9, 'again');
  expect(content()).toBe('again');
});

test('of an operation too: the same arguments and XID by another user are another request', async () => {
  const dir = await mount(first, '/data');
  const how = { mode: nfs.GUARDED, obj_attributes: nfs.SATTR3_NOTHING } as const;
  const create = (client: RpcClient, gid: number): Promise<nfs.Nfs3Calls['CREATE']['res']> => {
    const credential = userCredential(0, gid);
    return client.call('CREATE', { where: { dir, name: bytes('new') }, how }, { xid: 7, credential });
  };
  expect((await create(first, 0)).status).toBe(nfs.NFS3_OK);
  expect((await create(second, 0)).status).toBe(nfs.NFS3_OK);
  expect((await create(second, 1)).status).toBe(nfs.NFS3ERR_EXIST);
});
