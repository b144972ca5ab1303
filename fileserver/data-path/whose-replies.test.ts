/**
 * A reply is given again only to the client that has sent the call: not to one that knows the call to the byte (XID, stamp and
 * all). A call that another client has sent before counts for nothing. A client that says who it is finds its replies wherever it
 * comes from, and at the partner; any other by its address.
 */
import { chmodSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import * as nfs from '../../protocol/nfs3.ts';
import { authSysCredential } from '../../protocol/rpc.ts';
import {
  encodeIdentity,
  IDENTITY_SIZE,
  SUCCESSION_PROGRAM,
  SUCCESSION_VERSION,
  successionproc1,
} from '../../protocol/succession.ts';
import { XdrWriter } from '../../protocol/xdr.ts';
import { mount, openMessage, TestDataThread, temporaryDirectory } from './data-thread.fixture.ts';
import { RpcClient } from './rpc-client.fixture.ts';

const XID = 0x5eed;
/** With a stamp that only one client should have. */
const credential = authSysCredential(
  { stamp: 0x7e57_0001, machinename: Buffer.from('victim'), uid: 0, gid: 0, gids: [] },
  new XdrWriter(),
);
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

let directory: ReturnType<typeof temporaryDirectory>;
let thread: TestDataThread;
let port: number;
let dir: Uint8Array;
let clients: RpcClient[];

beforeAll(() => {
  thread = new TestDataThread();
});
afterAll(() => thread.stop());
beforeEach(async () => {
  clients = [];
  directory = temporaryDirectory();
  ({ port } = await thread.open(openMessage(directory.path)));
  dir = await mount(await connected('127.0.0.1'), '/data');
});
afterEach(async () => {
  leave();
  await thread.close('local', 'fence');
  directory.remove();
});

function leave(): void {
  for (const client of clients.splice(0)) client.close();
}

async function identify(client: RpcClient, who: number): Promise<void> {
  const { IDENTIFY } = successionproc1;
  const { header } = await client.raw(SUCCESSION_PROGRAM, SUCCESSION_VERSION, IDENTIFY, (w) =>
    encodeIdentity(w, new Uint8Array(IDENTITY_SIZE).fill(who)),
  );
  expect(header.kind).toBe('success');
}

/** identity: what the client says before anything else; null: nothing, as kernels do. */
async function connected(address: string, identity: number | null = null): Promise<RpcClient> {
  const client = await RpcClient.connect(port, '127.0.0.1', 0, address);
  clients.push(client);
  if (identity !== null) await identify(client, identity);
  return client;
}

/** The partner has the disks now, and the journal is all that it has from before. */
async function takeOver(): Promise<void> {
  leave();
  await thread.close('local', 'fence');
  const message = openMessage(directory.path, { server: 'filer-b', incarnation: 'filer-b/test/1', epoch: 2 });
  ({ port } = await thread.open(message));
}

const path = (): string => join(directory.path, 'file');
/** The victim's call, the same to the byte from every sender. */
const remove = async (client: RpcClient): Promise<number> =>
  (await client.call('REMOVE', { object: { dir, name: bytes('file') } }, { xid: XID, credential })).status;

type From = readonly [address: string, identity: number | null];
const others: readonly (readonly [string, From, From])[] = [
  ['from another address, neither saying who it is', ['127.0.0.1', null], ['127.0.0.2', null]],
  ['from the same address, saying it is somebody', ['127.0.0.1', null], ['127.0.0.1', 2]],
  ['from the same address, not saying who it is', ['127.0.0.1', 1], ['127.0.0.1', null]],
  ['from the same address, saying it is somebody else', ['127.0.0.1', 1], ['127.0.0.1', 2]],
];

describe.each(others)('a call of somebody else, the same to the byte, %s', (_how, victim, attacker) => {
  test.each([false, true])(
    'gets nothing that was answered to the victim (after a takeover: %s)',
    async (later) => {
      writeFileSync(path(), '');
      expect(await remove(await connected(...victim))).toBe(nfs.NFS3_OK);
      if (later) await takeOver();
      expect(await remove(await connected(...attacker))).toBe(nfs.NFS3ERR_NOENT);
      expect(await remove(await connected(...victim))).toBe(nfs.NFS3_OK);
    },
  );

  test('does not take the place of the victim’s, that is still to come', async () => {
    writeFileSync(path(), '');
    const own = await connected(...victim);
    const { object } = (await own.call('LOOKUP', { what: { dir, name: bytes('file') } })) as {
      object: Uint8Array;
    };
    const close = async (client: RpcClient): Promise<void> => {
      const new_attributes = { ...nfs.SATTR3_NOTHING, mode: 0o600 };
      const args = { object, new_attributes, guard: null };
      const { status } = await client.call('SETATTR', args, { xid: XID, credential });
      expect(status).toBe(nfs.NFS3_OK);
    };
    await close(await connected(...attacker));
    chmodSync(path(), 0o666);
    await close(own);
    expect(statSync(path()).mode & 0o777).toBe(0o600);
  });

  test('is not taken for the victim’s WRITE, nor the victim’s for it', async () => {
    writeFileSync(path(), '');
    const own = await connected(...victim);
    const { object: file } = (await own.call('LOOKUP', { what: { dir, name: bytes('file') } })) as {
      object: Uint8Array;
    };
    /** Of the data the first 256 bytes are looked at. */
    const write = async (client: RpcClient, text: string): Promise<void> => {
      const data = bytes('='.repeat(256) + text);
      const args = { file, offset: 0, count: data.length, stable: nfs.UNSTABLE, data };
      expect((await client.call('WRITE', args, { xid: XID, credential })).status).toBe(nfs.NFS3_OK);
    };
    await write(await connected(...attacker), 'attacker');
    await write(own, 'victim-s');
    expect(readFileSync(path(), 'utf8').slice(256)).toBe('victim-s');
  });
});

describe('a client that sends its call again', () => {
  const again: readonly (readonly [string, From, From])[] = [
    ['by its address', ['127.0.0.1', null], ['127.0.0.1', null]],
    ['by what it says, from the same address', ['127.0.0.1', 1], ['127.0.0.1', 1]],
    ['by what it says, from another address', ['127.0.0.1', 1], ['127.0.0.3', 1]],
  ];
  test.each(again)('is known %s, by another connection and at the partner', async (_how, first, second) => {
    writeFileSync(path(), '');
    expect(await remove(await connected(...first))).toBe(nfs.NFS3_OK);
    expect(await remove(await connected(...second))).toBe(nfs.NFS3_OK);
    await takeOver();
    expect(await remove(await connected(...second))).toBe(nfs.NFS3_OK);
    // Once more, from the journal that the partner has begun.
    await takeOver();
    expect(await remove(await connected(...second))).toBe(nfs.NFS3_OK);
    expect(existsSync(path())).toBe(false);
  });

  test('is who it said first that it is, and not who it says after its calls have begun', async () => {
    writeFileSync(path(), '');
    const through = await connected('127.0.0.1', 1);
    await identify(through, 2);
    expect(await remove(through)).toBe(nfs.NFS3_OK);
    await identify(through, 3);
    expect(await remove(await connected('127.0.0.2', 1))).toBe(nfs.NFS3_OK);
    expect(await remove(await connected('127.0.0.2', 2))).toBe(nfs.NFS3ERR_NOENT);
    const late = await connected('127.0.0.4');
    expect(await remove(late)).toBe(nfs.NFS3ERR_NOENT);
    await identify(late, 1);
    expect(await remove(late)).toBe(nfs.NFS3ERR_NOENT);
  });
});
