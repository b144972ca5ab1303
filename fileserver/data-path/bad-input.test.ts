/**
 * Hostile and broken clients: each gets the error that the protocol has for it or loses its connection, and a neighbour on
 * another connection is not affected.
 */
import { createHmac } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect as connectSocket, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { MOUNT_PROGRAM } from '../../protocol/mount.ts';
import * as nfs from '../../protocol/nfs3.ts';
import { beginRecord, endRecord } from '../../protocol/record.ts';
import { accept_stat, auth_stat, encodeCallHeader } from '../../protocol/rpc.ts';
import { XdrWriter } from '../../protocol/xdr.ts';
import { mount, openMessage, TestDataThread, temporaryDirectory } from './data-thread.fixture.ts';
import { ROOT, RpcClient, userCredential } from './rpc-client.fixture.ts';

const isRoot = process.geteuid!() === 0;
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

let thread: TestDataThread;
let directory: { path: string; remove: () => void };
let port: number;
let neighbour: RpcClient;
let root: Uint8Array;
let file: Uint8Array;
const FILE_SIZE = 2 * 1024 * 1024;
let toldAtStart: number;

beforeAll(async () => {
  thread = new TestDataThread();
  directory = temporaryDirectory(existsSync('/dev/shm') ? '/dev/shm' : undefined);
  writeFileSync(join(directory.path, 'file'), Buffer.alloc(FILE_SIZE, 'x'));
  port = (await thread.open(openMessage(directory.path))).port;
  // Without root the server has warned by now of what is different then.
  toldAtStart = thread.messages.length;
  neighbour = await RpcClient.connect(port);
  root = await mount(neighbour, '/data');
  const found = await neighbour.call('LOOKUP', { what: { dir: root, name: bytes('file') } });
  if (found.status !== nfs.NFS3_OK) throw new Error('LOOKUP');
  file = found.object;
});
afterAll(async () => {
  neighbour.close();
  await thread.close('local', 'fence');
  await thread.stop();
  directory.remove();
});
afterEach(async () => {
  // The same connection as ever, and nothing has been logged as a bug.
  expect((await neighbour.call('GETATTR', { object: file })).status).toBe(nfs.NFS3_OK);
  expect(
    thread.messages
      .slice(toldAtStart)
      .filter((message) => (message.kind === 'log' && message.level !== 'info') || message.kind === 'fault'),
  ).toEqual([]);
});

async function withClient<T>(use: (client: RpcClient) => Promise<T>): Promise<T> {
  const client = await RpcClient.connect(port);
  try {
    return await use(client);
  } finally {
    client.close();
  }
}

describe('RPC', () => {
  const reply = (prog: number, vers: number, proc: number, args: (w: XdrWriter) => void = () => {}) =>
    withClient(async (client) => (await client.raw(prog, vers, proc, args)).header);

  test.each([
    ['an unknown program', 100_021, 4, 0, { kind: 'error', acceptStat: accept_stat.PROG_UNAVAIL }],
    ['an unknown version of NFS', nfs.NFS_PROGRAM, 4, 0, { kind: 'prog-mismatch', low: 3, high: 3 }],
    ['an unknown version of MOUNT', MOUNT_PROGRAM, 1, 0, { kind: 'prog-mismatch', low: 3, high: 3 }],
    [
      'an unknown procedure of NFS',
      nfs.NFS_PROGRAM,
      3,
      22,
      { kind: 'error', acceptStat: accept_stat.PROC_UNAVAIL },
    ],
    [
      'an unknown procedure of MOUNT',
      MOUNT_PROGRAM,
      3,
      6,
      { kind: 'error', acceptStat: accept_stat.PROC_UNAVAIL },
    ],
    [
      'a procedure of 2^31',
      nfs.NFS_PROGRAM,
      3,
      2 ** 31,
      { kind: 'error', acceptStat: accept_stat.PROC_UNAVAIL },
    ],
  ] as const)('%s', async (_title, prog, vers, proc, expected) => {
    expect(await reply(prog, vers, proc)).toMatchObject(expected);
  });

  test('RPC version 3 is RPC_MISMATCH', async () => {
    await withClient(async (client) => {
      const w = new XdrWriter();
      const start = beginRecord(w);
      encodeCallHeader(w, 78, nfs.NFS_PROGRAM, 3, 0, ROOT);
      w.patchU32(start + 4 + 8, 3);
      endRecord(w, start);
      const { header } = await client.exchange(78, w.bytes.slice(0, w.position));
      expect(header).toMatchObject({ kind: 'rpc-mismatch', low: 2, high: 2 });
    });
  });

  test.each([
    ['AUTH_SYS that breaks off', 1, new Uint8Array([0, 0, 0, 1])],
    ['AUTH_SYS with 17 groups', 1, authSysWithGroups(17)],
    ['RPCSEC_GSS', 6, new Uint8Array(20)],
  ])('%s is AUTH_BADCRED', async (_title, flavor, body) => {
    const header = await withClient(
      async (client) =>
        (await client.raw(nfs.NFS_PROGRAM, 3, 1, (w) => w.opaque(root), { credential: { flavor, body } }))
          .header,
    );
    expect(header).toMatchObject({ kind: 'auth-error', authStat: auth_stat.AUTH_BADCRED });
  });

  function authSysWithGroups(count: number): Uint8Array {
    const w = new XdrWriter();
    w.u32(1);
    w.opaque(bytes('machine'));
    w.u32(0);
    w.u32(0);
    w.u32(count);
    for (let i = 0; i < count; i++) w.u32(i);
    return w.bytes.slice(0, w.position);
  }

  test.each([
    ['no arguments', () => {}],
    ['a handle of 65 bytes', (w: XdrWriter) => w.opaque(new Uint8Array(65))],
    ['a handle that breaks off', (w: XdrWriter) => w.u32(40)],
    ['bytes after the arguments', afterTheHandle],
  ])('%s: GARBAGE_ARGS', async (_title, args) => {
    for (const procedure of [nfs.nfsproc3.GETATTR, nfs.nfsproc3.READLINK, nfs.nfsproc3.FSINFO]) {
      const header = await reply(nfs.NFS_PROGRAM, 3, procedure, args);
      expect(header).toMatchObject({ kind: 'error', acceptStat: accept_stat.GARBAGE_ARGS });
    }
  });

  function afterTheHandle(w: XdrWriter): void {
    w.opaque(root);
    w.u32(0);
  }

  test('a boolean of 2 in a SETATTR is GARBAGE_ARGS, and nothing is changed', async () => {
    const header = await reply(nfs.NFS_PROGRAM, 3, nfs.nfsproc3.SETATTR, (w) => {
      w.opaque(file);
      w.u32(2);
    });
    expect(header).toMatchObject({ acceptStat: accept_stat.GARBAGE_ARGS });
  });
});

test('a stable WRITE that is refused does not disturb the answers that come with its own', async () => {
  const data = bytes('x');
  const wrong = { file, offset: 0, count: 2, stable: nfs.FILE_SYNC, data };
  const guard = { seconds: 1, nseconds: 1 };
  const late = { object: file, new_attributes: nfs.SATTR3_NOTHING, guard };
  const results = await Promise.all([
    neighbour.call('WRITE', wrong),
    neighbour.call('SETATTR', late),
    neighbour.call('WRITE', wrong),
    neighbour.call('LINK', { file, link: { dir: root, name: bytes('file') } }),
  ]);
  expect(results.map(({ status }) => nfs.nfsstat3Name(status))).toEqual([
    'NFS3ERR_INVAL',
    'NFS3ERR_NOT_SYNC',
    'NFS3ERR_INVAL',
    'NFS3ERR_EXIST',
  ]);
});

test.runIf(process.geteuid!() === 0)(
  'user and group -1 are nobody, and never the user who came before',
  async () => {
    const nobody = { credential: userCredential(0xffffffff, 0xffffffff, [0xffffffff]) };
    const where = { dir: root, name: bytes('of-minus-one') };
    const how: nfs.createhow3 = { mode: nfs.GUARDED, obj_attributes: { ...nfs.SATTR3_NOTHING, mode: 0o600 } };
    // The directory is root's: somebody who is still root could make a file here.
    expect((await neighbour.call('GETATTR', { object: root })).status).toBe(nfs.NFS3_OK);
    expect((await neighbour.call('CREATE', { where, how }, nobody)).status).toBe(nfs.NFS3ERR_ACCES);
    expect(
      (
        await neighbour.call(
          'READDIR',
          { dir: root, cookie: 0n, cookieverf: new Uint8Array(8), count: 1000 },
          nobody,
        )
      ).status,
    ).toBe(nfs.NFS3ERR_ACCES);
  },
);

describe('the stream', () => {
  const send = (data: Uint8Array): Promise<void> =>
    withClient(async (client) => {
      client.socket.write(data);
      await client.closed;
    });
  const record = (build: (w: XdrWriter) => void): Uint8Array => {
    const w = new XdrWriter();
    const start = beginRecord(w);
    build(w);
    endRecord(w, start);
    return w.bytes.slice(0, w.position);
  };

  test('a record longer than any call closes the connection before it has arrived', async () => {
    await send(new Uint8Array([0xff, 0xff, 0xff, 0xff]));
    await send(new Uint8Array([0x00, 0x20, 0x00, 0x00]));
  });
  test('fragments that add up to too much close it', async () => {
    const fragment = new Uint8Array(4 + 0x80000);
    fragment.set([0x00, 0x08, 0x00, 0x00]);
    await withClient(async (client) => {
      for (let i = 0; i < 3; i++) client.socket.write(fragment);
      await client.closed;
    });
  });
  test('empty fragments without end close it', async () => {
    await send(new Uint8Array(4 * 5000));
  });
  test('a reply instead of a call closes it', async () => {
    await send(
      record((w) => {
        w.u32(1);
        w.u32(1);
        w.u32(0);
      }),
    );
  });
  test('a message that is too short closes it', async () => {
    await send(record((w) => w.u32(1)));
    await send(record(() => {}));
  });
  test('calls before the broken one are answered', async () => {
    await withClient(async (client) => {
      // Calls that the connection's own thread answers: with root a GETATTR of a file that it has opened, else NULL only.
      if (isRoot) await client.call('GETATTR', { object: file });
      const nothing = client.raw(nfs.NFS_PROGRAM, nfs.NFS_V3, 0, () => {});
      const attributes = isRoot ? client.call('GETATTR', { object: file }) : null;
      client.socket.write(new Uint8Array([0xff, 0xff, 0xff, 0xff]));
      expect((await nothing).header.kind).toBe('success');
      if (attributes !== null) expect((await attributes).status).toBe(nfs.NFS3_OK);
      await client.closed;
    });
  });
  test('a call in many fragments is one call', async () => {
    await withClient(async (client) => {
      const w = new XdrWriter();
      encodeCallHeader(w, 5, nfs.NFS_PROGRAM, 3, nfs.nfsproc3.GETATTR, ROOT);
      w.opaque(file);
      const call = w.bytes.slice(0, w.position);
      const parts: number[] = [];
      for (let at = 0; at < call.length; at += 7) {
        const part = call.subarray(at, at + 7);
        parts.push(at + 7 >= call.length ? 0x80 : 0, 0, 0, part.length, ...part);
      }
      const { r } = await client.exchange(5, new Uint8Array(parts));
      expect(nfs.nfs3Procedures.GETATTR.res.decode(r).status).toBe(nfs.NFS3_OK);
    });
  });
});

describe('handles', () => {
  const status = async (object: Uint8Array): Promise<string> =>
    nfs.nfsstat3Name((await neighbour.call('GETATTR', { object })).status);
  const secret = (): Buffer => readFileSync(join(directory.path, '.filerpair', 'secret'));
  /** As the server makes them: the last 16 bytes sign the others. */
  const signed = (unsigned: Uint8Array): Uint8Array =>
    Buffer.concat([unsigned, createHmac('sha256', secret()).update(unsigned).digest().subarray(0, 16)]);

  test('any changed byte makes a handle one that we did not make', async () => {
    for (let i = 0; i < file.length; i++) {
      const forged = file.slice();
      forged[i] = forged[i]! ^ 1;
      const expected = i >= 6 && i < 22 ? 'NFS3ERR_STALE' : 'NFS3ERR_BADHANDLE';
      expect([i, await status(forged)]).toEqual([i, expected]);
    }
  });
  test('empty, short and foreign ones', async () => {
    expect(await status(new Uint8Array(0))).toBe('NFS3ERR_BADHANDLE');
    expect(await status(new Uint8Array(10))).toBe('NFS3ERR_BADHANDLE');
    expect(await status(new Uint8Array(64))).toBe('NFS3ERR_BADHANDLE');
    expect(await status(file.slice(0, -1))).toBe('NFS3ERR_BADHANDLE');
  });
  test('well signed ones of files that are no more and of other exports are stale', async () => {
    const unsigned = file.slice(0, -16);
    expect(await status(signed(unsigned))).toBe('NFS3_OK');
    const otherFile = unsigned.slice();
    otherFile.set([0x7f, 0x7f, 0x7f, 0x7f], 22);
    expect(await status(signed(otherFile))).toBe('NFS3ERR_STALE');
    const otherExport = unsigned.slice();
    otherExport[2] = otherExport[2]! ^ 1;
    expect(await status(signed(otherExport))).toBe('NFS3ERR_STALE');
  });
});

describe('clients that do not read', () => {
  function readCall(xid: number): Uint8Array {
    const w = new XdrWriter();
    const start = beginRecord(w);
    encodeCallHeader(w, xid, nfs.NFS_PROGRAM, 3, nfs.nfsproc3.READ, ROOT);
    nfs.nfs3Procedures.READ.args.encode(w, { file, offset: 0, count: 1024 * 1024 });
    endRecord(w, start);
    return w.bytes.slice(0, w.position);
  }
  const residentMiB = (): number =>
    Number(/VmRSS:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))![1]) / 1024;

  test('1,000 READs of 1 MiB that nobody takes cost bounded memory, and are answered when somebody does', async () => {
    const before = residentMiB();
    const socket: Socket = connectSocket({ port, host: '127.0.0.1' });
    socket.on('error', () => {});
    socket.pause();
    const calls = 1000;
    for (let xid = 0; xid < calls; xid++) socket.write(readCall(xid));
    // The neighbour is served all the while; by then the server has done what it will do.
    for (let i = 0; i < 300; i++) await neighbour.call('READ', { file, offset: 0, count: 4096 });
    expect(residentMiB() - before).toBeLessThan(150);
    const replySize = 4 + 24 + 4 + 88 + 12 + 1024 * 1024;
    let received = 0;
    await new Promise<void>((resolve) => {
      socket.on('data', (chunk: Buffer) => {
        received += chunk.length;
        if (received >= 20 * replySize) resolve();
      });
      socket.resume();
    });
    socket.destroy();
  });

  test('a hundred connections that are reset leave no descriptors behind', async () => {
    const descriptors = (): number => readdirSync('/proc/self/fd').length;
    const before = descriptors();
    for (let i = 0; i < 100; i++) {
      const client = await RpcClient.connect(port);
      client.socket.write(readCall(i));
      client.socket.resetAndDestroy();
    }
    await expect.poll(descriptors, { timeout: 10_000 }).toBeLessThan(before + 10);
  });
});
