/** Who is served, when, and as whom: rights (docs/design.md R2), ownership records (R6), write verifier, exports, identities. */
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  dirpath,
  exportlist,
  MNT3ERR_ACCES,
  MNT3ERR_NOENT,
  MNT3ERR_NOTDIR,
  MOUNT_PROGRAM,
  MOUNT_V3,
  mountlist,
  mountproc3,
  mountres3,
} from '../../protocol/mount.ts';
import * as nfs from '../../protocol/nfs3.ts';
import { freePorts } from '../../testing/free-ports.ts';
import type { ExportSpec } from '../settings/export-spec.ts';
import { readOwnership, writeOwnership } from '../storage/ownership/ownership.ts';
import { OPEN } from '../system/open-gate.fixture.ts';
import { EVERYBODY, mount, openMessage, TestDataThread, temporaryDirectory } from './data-thread.fixture.ts';
import { ROOT, RpcClient, userCredential } from './rpc-client.fixture.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (data: Uint8Array): string => Buffer.from(data).toString();
const isRoot = process.geteuid!() === 0;
const how: nfs.createhow3 = { mode: nfs.GUARDED, obj_attributes: { ...nfs.SATTR3_NOTHING, mode: 0o644 } };

let thread: TestDataThread;
let directory: { path: string; remove: () => void };
let clients: RpcClient[];

beforeAll(() => {
  thread = new TestDataThread();
});
afterAll(() => thread.stop());
beforeEach(() => {
  thread.messages.length = 0;
  directory = temporaryDirectory(existsSync('/dev/shm') ? '/dev/shm' : undefined);
  clients = [];
});
afterEach(async () => {
  for (const client of clients) client.close();
  await thread.close('local', 'fence');
  await thread.close('partner', 'fence');
  directory.remove();
});

async function connect(port: number, host?: string): Promise<RpcClient> {
  const client = await RpcClient.connect(port, host);
  clients.push(client);
  return client;
}

const exported = (path: string, overrides: Partial<ExportSpec> = {}): ExportSpec => ({
  path,
  volume: 'data',
  ...EVERYBODY,
  ...overrides,
});

describe('the right to serve (R2)', () => {
  test('without it nothing is changed or answered, and connections end', async () => {
    const { port } = await thread.open(openMessage(directory.path));
    const client = await connect(port);
    const root = await mount(client, '/data');
    thread.revoke('local');
    await expect(client.call('CREATE', { where: { dir: root, name: bytes('late') }, how })).rejects.toThrow(
      'connection closed',
    );
    expect(existsSync(join(directory.path, 'late'))).toBe(false);
    await expect(RpcClient.connect(port)).rejects.toThrow('ECONNREFUSED');
  });

  test('without it no phase of an opening is begun', async () => {
    const failed = thread.of('openFailed');
    thread.post(openMessage(directory.path));
    expect(await failed).toMatchObject({
      reason: 'RightLost',
      message: 'filer-a: the right to serve ended during "verify"',
    });
    expect(existsSync(join(directory.path, '.filerpair'))).toBe(false);
  });

  test('clients that connect during an opening are answered once it has ended', async () => {
    const [port] = (await freePorts(1)) as [number];
    for (let epoch = 1; epoch <= 2; epoch++) {
      const opened = thread.open(openMessage(directory.path, { epoch, port }));
      let answeredAfterOpening = false;
      void opened.then(() => {
        answeredAfterOpening = true;
      });
      let client: RpcClient | null = null;
      while (client === null) client = await RpcClient.connect(port).catch(() => null);
      clients.push(client);
      await mount(client, '/data');
      // `opened` was posted before the reply was sent: it arrives before the end of this turn of the event loop.
      await setImmediate();
      expect(answeredAfterOpening).toBe(true);
      await thread.close('local', 'fence');
    }
  });

  test('one that runs out ends the service by itself', async () => {
    const { port } = await thread.open(openMessage(directory.path));
    const client = await connect(port);
    const root = await mount(client, '/data');
    thread.grant('local', -1);
    await expect(client.call('GETATTR', { object: root })).rejects.toThrow('connection closed');
  });

  test('found over by a data thread, it is not served on when it is extended, and the agent is told', async () => {
    const { port } = await thread.open(openMessage(directory.path));
    const client = await connect(port);
    const object = await mount(client, '/data');
    const halted = thread.of('halted');
    thread.grant('local', -1);
    await expect(client.call('GETATTR', { object })).rejects.toThrow('connection closed');
    // As an agent does that read its clock before the end, and its confirmation after it.
    thread.grant('local');
    expect(await halted).toEqual({ kind: 'halted', diskSet: 'local' });
    await expect(RpcClient.connect(port)).rejects.toThrow('ECONNREFUSED');
    expect(thread.messages.filter(({ kind }) => kind === 'halted')).toHaveLength(1);
    await thread.close('local', 'fence');
    const again = await thread.open(openMessage(directory.path, { epoch: 2 }));
    expect((await (await connect(again.port)).call('GETATTR', { object })).status).toBe(nfs.NFS3_OK);
  });

  test('the other disk set goes on', async () => {
    const other = temporaryDirectory();
    try {
      const own = await thread.open(openMessage(directory.path));
      // Made by its home server before.
      const made = await thread.open(openMessage(other.path, { diskSet: 'partner', home: 'filer-a' }));
      expect(made.port).not.toBe(own.port);
      const partner = await connect(made.port);
      const root = await mount(partner, '/data');
      thread.revoke('local');
      const client = await connect(own.port);
      await expect(mount(client, '/data')).rejects.toThrow('connection closed');
      expect((await partner.call('GETATTR', { object: root })).status).toBe(nfs.NFS3_OK);
    } finally {
      await thread.close('partner', 'fence');
      other.remove();
    }
  });

  test('closed gracefully, what runs is answered first', async () => {
    const { port } = await thread.open(openMessage(directory.path));
    const client = await connect(port);
    const root = await mount(client, '/data');
    const creates = Array.from({ length: 50 }, (_, i) =>
      client.call('CREATE', { where: { dir: root, name: bytes(`file-${i}`) }, how }),
    );
    const first = await creates[0];
    await thread.close('local', 'quiesce');
    await client.closed;
    expect(first!.status).toBe(nfs.NFS3_OK);
    const results = await Promise.allSettled(creates);
    // Answered ones exist; unanswered ones were not begun, or their journal record will answer them.
    results.forEach((result, i) => {
      if (result.status === 'fulfilled') expect(existsSync(join(directory.path, `file-${i}`))).toBe(true);
    });
    expect(readFileSync(join(directory.path, '.filerpair/ownership'), 'utf8')).toContain('"clean":true');
  });
});

describe('the ownership record (R6)', () => {
  const open = (overrides: Parameters<typeof openMessage>[1]) =>
    thread.open(openMessage(directory.path, overrides));

  test('only the home server makes a directory a volume', async () => {
    await expect(open({ server: 'filer-b', diskSet: 'partner' })).rejects.toThrow(
      `NotAVolume: ${directory.path} is not a FilerPair volume; filer-a, to which it belongs, has to start on it once`,
    );
    await open({});
    expect(statSync(join(directory.path, '.filerpair')).mode & 0o777).toBe(0o700);
  });

  test('a higher epoch on the volume refuses us, and so does another owner of ours', async () => {
    await open({ epoch: 7 });
    await thread.close('local', 'quiesce');
    await expect(open({ epoch: 6 })).rejects.toThrow('VolumeEpochAhead');
    const failure = thread.messages.find((message) => message.kind === 'openFailed');
    expect(failure).toMatchObject({ reason: 'VolumeEpochAhead', epochFound: 7 });
    await expect(open({ epoch: 7, server: 'filer-b', diskSet: 'partner' })).rejects.toThrow(
      'VolumeEpochAhead',
    );
    await open({ epoch: 7 });
  });

  test("another home's volume is refused", async () => {
    await open({});
    await thread.close('local', 'quiesce');
    await expect(open({ home: 'filer-z', server: 'filer-z', epoch: 2 })).rejects.toThrow(
      `WrongVolume: ${directory.path} belongs to filer-a, not to filer-z`,
    );
  });

  test('a newer owner ends our service', async () => {
    const { port } = await open({ epoch: 1 });
    const client = await connect(port);
    const fault = thread.of('fault');
    const other = new TestDataThread();
    try {
      await other.open(openMessage(directory.path, { server: 'filer-b', diskSet: 'partner', epoch: 2 }));
      expect(await fault).toMatchObject({ volume: 'data', reason: 'VolumeEpochAhead' });
      await client.closed;
    } finally {
      await other.close('partner', 'fence');
      await other.stop();
    }
  });

  test.each(['CREATE', 'WRITE', 'COMMIT'] as const)(
    'the record of a newer owner is seen before anything durable is answered (%s), whatever the clocks say',
    async (procedure) => {
      // Not by the looks that come every half second.
      const other = new TestDataThread({ ownerLookMs: 3_600_000 });
      try {
        const client = await connect((await other.open(openMessage(directory.path))).port);
        const root = await mount(client, '/data');
        const made = await client.call('CREATE', { where: { dir: root, name: bytes('file') }, how });
        if (made.status !== nfs.NFS3_OK) throw new Error(nfs.nfsstat3Name(made.status));
        const file = made.obj!;
        const write = (stable: nfs.stable_how) =>
          client.call('WRITE', { file, offset: 0, count: 1, stable, data: bytes('x') });
        expect((await write(nfs.UNSTABLE)).status).toBe(nfs.NFS3_OK);
        // As after a pause of the whole machine, in which nothing of it has seen any time pass.
        const owner = { owner: 'filer-b', ownerIncarnation: 'filer-b/test/1', epoch: 2 };
        const writeVerifier = '0123456789abcdef';
        const record = (await readOwnership(directory.path))!;
        // Answers are recorded a moment after they were given: that may look at the record before the call does.
        const fault = other.of('fault');
        await writeOwnership(OPEN, directory.path, { ...record, ...owner, writeVerifier });
        const call = {
          CREATE: () => client.call('CREATE', { where: { dir: root, name: bytes('late') }, how }),
          WRITE: () => write(nfs.DATA_SYNC),
          COMMIT: () => client.call('COMMIT', { file, offset: 0, count: 0 }),
        }[procedure];
        await expect(call()).rejects.toThrow('connection closed');
        expect(await fault).toMatchObject({ reason: 'VolumeEpochAhead' });
        expect(existsSync(join(directory.path, 'late'))).toBe(false);
        await other.close('local', 'quiesce');
        expect(await readOwnership(directory.path)).toMatchObject({ epoch: 2, clean: false });
      } finally {
        await other.stop();
      }
    },
  );

  test('a damaged record is refused with a sentence', async () => {
    await open({});
    await thread.close('local', 'quiesce');
    writeFileSync(join(directory.path, '.filerpair/ownership'), '{"epoch":');
    await expect(open({ epoch: 2 })).rejects.toThrow('is damaged; restore it from a backup');
  });
});

describe('the write verifier', () => {
  async function verifier(epoch: number): Promise<string> {
    const { port } = await thread.open(openMessage(directory.path, { epoch }));
    const client = await connect(port);
    const root = await mount(client, '/data');
    const name = { dir: root, name: bytes(`file-${epoch}`) };
    const made = await client.call('CREATE', { where: name, how });
    if (made.status !== nfs.NFS3_OK) throw new Error(`CREATE: ${made.status}`);
    const data = bytes('x');
    const written = await client.call('WRITE', { file: made.obj!, offset: 0, count: 1, stable: 0, data });
    if (written.status !== nfs.NFS3_OK) throw new Error(`WRITE: ${written.status}`);
    return Buffer.from(written.verf).toString('hex');
  }

  test('stays when the owner stopped gracefully, changes when it did not', async () => {
    const first = await verifier(1);
    await thread.close('local', 'quiesce');
    const second = await verifier(2);
    expect(second).toBe(first);
    await thread.close('local', 'fence');
    expect(await verifier(3)).not.toBe(first);
  });
});

describe('exports', () => {
  async function serve(exports: readonly ExportSpec[], host = '127.0.0.1'): Promise<RpcClient> {
    const { port } = await thread.open(openMessage(directory.path, { exports, host }));
    return connect(port, host);
  }
  const raw = async (client: RpcClient, procedure: number, path?: string) => {
    const encode = (w: Parameters<typeof dirpath.encode>[0]): void => {
      if (path !== undefined) dirpath.encode(w, bytes(path));
    };
    return (await client.raw(MOUNT_PROGRAM, MOUNT_V3, procedure, encode)).r;
  };
  const mountStatus = async (client: RpcClient, path: string): Promise<number> =>
    mountres3.decode(await raw(client, mountproc3.MNT, path)).status;

  test('MNT, DUMP, UMNT, UMNTALL and EXPORT tell the truth', async () => {
    mkdirSync(join(directory.path, 'sub'));
    writeFileSync(join(directory.path, 'file'), '');
    symlinkSync('/', join(directory.path, 'link'));
    const exports = [exported('/home'), exported('/other', { clients: ['10.1.0.0/16', 'fd00::/8'] })];
    const client = await serve(exports);
    expect(await mountStatus(client, '/home')).toBe(0);
    expect(await mountStatus(client, '/home/sub/')).toBe(0);
    expect(await mountStatus(client, '/home/none')).toBe(MNT3ERR_NOENT);
    expect(await mountStatus(client, '/home/file')).toBe(MNT3ERR_NOTDIR);
    expect(await mountStatus(client, '/home/link')).toBe(MNT3ERR_NOTDIR);
    expect(await mountStatus(client, '/home/../etc')).toBe(MNT3ERR_ACCES);
    expect(await mountStatus(client, '/home/.filerpair')).toBe(MNT3ERR_NOENT);
    expect(await mountStatus(client, '/other')).toBe(MNT3ERR_ACCES);
    expect(await mountStatus(client, '/homework')).toBe(MNT3ERR_NOENT);
    const list = exportlist.decode(await raw(client, mountproc3.EXPORT));
    expect(list.map(({ ex_dir, ex_groups }) => [text(ex_dir), ex_groups.map(text)])).toEqual([
      ['/home', []],
      ['/other', ['10.1.0.0/16', 'fd00::/8']],
    ]);
    const dump = async (): Promise<string[]> =>
      mountlist
        .decode(await raw(client, mountproc3.DUMP))
        .map(({ ml_hostname, ml_directory }) => `${text(ml_hostname)}:${text(ml_directory)}`);
    expect(await dump()).toEqual(['127.0.0.1:/home', '127.0.0.1:/home/sub']);
    await raw(client, mountproc3.UMNT, '/home');
    expect(await dump()).toEqual(['127.0.0.1:/home/sub']);
    await raw(client, mountproc3.UMNTALL);
    expect(await dump()).toEqual([]);
  });

  test('a client out of range gets nothing, whatever handle it has', async () => {
    const client = await serve([exported('/data')]);
    const root = await mount(client, '/data');
    thread.post({
      kind: 'exports',
      diskSet: 'local',
      exports: [exported('/data', { clients: ['192.0.2.0/24'] })],
    });
    await expect
      .poll(async () => (await client.call('ACCESS', { object: root, access: 1 })).status)
      .toBe(nfs.NFS3ERR_ACCES);
    expect((await client.call('GETATTR', { object: root })).status).toBe(nfs.NFS3ERR_ACCES);
    expect((await client.call('CREATE', { where: { dir: root, name: bytes('x') }, how })).status).toBe(
      nfs.NFS3ERR_ACCES,
    );
    thread.post({ kind: 'exports', diskSet: 'local', exports: [exported('/elsewhere')] });
    await expect
      .poll(async () => (await client.call('GETATTR', { object: root })).status)
      .toBe(nfs.NFS3ERR_STALE);
  });

  test('read-only refuses every change and says so in ACCESS', async () => {
    writeFileSync(join(directory.path, 'file'), 'content');
    const client = await serve([exported('/data', { access: 'ReadOnly' })]);
    const root = await mount(client, '/data');
    const at = { dir: root, name: bytes('file') };
    const found = await client.call('LOOKUP', { what: at });
    if (found.status !== nfs.NFS3_OK) throw new Error('LOOKUP');
    const file = found.object;
    const granted = await client.call('ACCESS', { object: file, access: 0x3f });
    expect(granted).toMatchObject({ access: nfs.ACCESS3_READ });
    const data = bytes('x');
    const new_attributes = { ...nfs.SATTR3_NOTHING, mode: 0 };
    const results = [
      await client.call('WRITE', { file, offset: 0, count: 1, stable: 0, data }),
      await client.call('SETATTR', { object: file, new_attributes, guard: null }),
      await client.call('CREATE', { where: { dir: root, name: bytes('x') }, how }),
      await client.call('MKDIR', { where: { dir: root, name: bytes('x') }, attributes: new_attributes }),
      await client.call('REMOVE', { object: at }),
      await client.call('RENAME', { from: at, to: { dir: root, name: bytes('y') } }),
      await client.call('LINK', { file, link: { dir: root, name: bytes('y') } }),
    ];
    for (const { status } of results) expect(status).toBe(nfs.NFS3ERR_ROFS);
    expect(readFileSync(join(directory.path, 'file'), 'utf8')).toBe('content');
  });

  test.runIf(isRoot)('squash: root, all, none', async () => {
    chmodSync(directory.path, 0o777);
    const anonymous = { anonymousUid: 4001, anonymousGid: 4002 };
    const client = await serve([
      exported('/none', anonymous),
      exported('/root', { squash: 'Root', ...anonymous }),
      exported('/all', { squash: 'All', ...anonymous }),
    ]);
    let count = 0;
    const owner = async (path: string, credential = ROOT): Promise<[number, number]> => {
      const dir = await mount(client, path);
      const name = bytes(`file-${count++}`);
      const made = await client.call('CREATE', { where: { dir, name }, how }, { credential });
      if (made.status !== nfs.NFS3_OK) throw new Error(`CREATE: ${made.status}`);
      return [made.obj_attributes!.uid, made.obj_attributes!.gid];
    };
    const user = userCredential(1000, 1001, [5, 6]);
    expect(await owner('/none')).toEqual([0, 0]);
    expect(await owner('/none', user)).toEqual([1000, 1001]);
    expect(await owner('/root')).toEqual([4001, 4002]);
    expect(await owner('/root', user)).toEqual([1000, 1001]);
    expect(await owner('/root', userCredential(1000, 0))).toEqual([1000, 4002]);
    expect(await owner('/all', user)).toEqual([4001, 4002]);
    expect(await owner('/all', { flavor: 0, body: new Uint8Array(0) })).toEqual([4001, 4002]);
  });

  test.runIf(isRoot)('permissions are the user’s: by owner, group and supplementary group', async () => {
    chmodSync(directory.path, 0o755);
    mkdirSync(join(directory.path, 'shared'));
    chownSync(join(directory.path, 'shared'), 0, 3000);
    chmodSync(join(directory.path, 'shared'), 0o2770);
    writeFileSync(join(directory.path, 'shared', 'secret'), 'content');
    chmodSync(join(directory.path, 'shared', 'secret'), 0o600);
    const client = await serve([exported('/data')]);
    const root = await mount(client, '/data');
    const shared = await mount(client, '/data/shared');
    const member = { credential: userCredential(1000, 1000, [7, 3000]) };
    const stranger = { credential: userCredential(1001, 1001, [7]) };
    const at = (name: string) => ({ dir: shared, name: bytes(name) });
    const denied = nfs.NFS3ERR_ACCES;
    expect((await client.call('LOOKUP', { what: at('secret') }, stranger)).status).toBe(denied);
    expect((await client.call('CREATE', { where: at('x'), how }, stranger)).status).toBe(denied);
    expect(
      (await client.call('CREATE', { where: { dir: root, name: bytes('x') }, how }, member)).status,
    ).toBe(denied);
    const made = await client.call('CREATE', { where: at('x'), how }, member);
    // The directory's set-group-id bit gives its group to what is made in it.
    expect(made).toMatchObject({ status: nfs.NFS3_OK, obj_attributes: { uid: 1000, gid: 3000 } });
    const secret = await client.call('LOOKUP', { what: at('secret') }, member);
    if (secret.status !== nfs.NFS3_OK) throw new Error('LOOKUP');
    const read = { file: secret.object, offset: 0, count: 10 };
    expect((await client.call('READ', read, member)).status).toBe(denied);
    expect((await client.call('READ', read)).status).toBe(nfs.NFS3_OK);
    const mode = { ...nfs.SATTR3_NOTHING, mode: 0o666 };
    const chmod = { object: secret.object, new_attributes: mode, guard: null };
    expect((await client.call('SETATTR', chmod, member)).status).toBe(nfs.NFS3ERR_PERM);
    const list = { dir: shared, cookie: 0n, cookieverf: new Uint8Array(8), count: 1000 };
    expect((await client.call('READDIR', list, stranger)).status).toBe(denied);
    expect((await client.call('READDIR', list, member)).status).toBe(nfs.NFS3_OK);
  });

  test.runIf(isRoot)(
    'the owner reads and writes an open file whatever its mode; set-id bits go',
    async () => {
      chmodSync(directory.path, 0o777);
      const client = await serve([exported('/data')]);
      const root = await mount(client, '/data');
      const owner = { credential: userCredential(1000, 1000) };
      const where = { dir: root, name: bytes('file') };
      const born = { mode: nfs.GUARDED, obj_attributes: { ...nfs.SATTR3_NOTHING, mode: 0o4755 } };
      const made = await client.call('CREATE', { where, how: born }, owner);
      if (made.status !== nfs.NFS3_OK) throw new Error('CREATE');
      const file = made.obj!;
      const write = { file, offset: 0, count: 1, stable: nfs.UNSTABLE, data: bytes('x') };
      const written = await client.call('WRITE', write, owner);
      expect(written.file_wcc.after?.mode).toBe(0o755);
      const mode = { ...nfs.SATTR3_NOTHING, mode: 0 };
      await client.call('SETATTR', { object: file, new_attributes: mode, guard: null }, owner);
      expect((await client.call('WRITE', write, owner)).status).toBe(nfs.NFS3_OK);
      expect((await client.call('READ', { file, offset: 0, count: 1 }, owner)).status).toBe(nfs.NFS3_OK);
      const other = { credential: userCredential(1001, 1001) };
      expect((await client.call('READ', { file, offset: 0, count: 1 }, other)).status).toBe(
        nfs.NFS3ERR_ACCES,
      );
    },
  );

  test('nothing leads out of an exported directory', async () => {
    mkdirSync(join(directory.path, 'inside', 'sub'), { recursive: true });
    writeFileSync(join(directory.path, 'outside'), 'secret');
    const client = await serve([exported('/in', { directory: 'inside' }), exported('/all')]);
    const top = await mount(client, '/in');
    const sub = await mount(client, '/in/sub');
    const all = await mount(client, '/all');
    const up = await client.call('LOOKUP', { what: { dir: top, name: bytes('..') } });
    expect(up).toMatchObject({ status: nfs.NFS3_OK, object: top });
    expect((await client.call('LOOKUP', { what: { dir: top, name: bytes('outside') } })).status).toBe(
      nfs.NFS3ERR_NOENT,
    );
    const outside = await client.call('LOOKUP', { what: { dir: all, name: bytes('outside') } });
    if (outside.status !== nfs.NFS3_OK) throw new Error('LOOKUP');
    const link = { file: outside.object, link: { dir: top, name: bytes('hard') } };
    expect((await client.call('LINK', link)).status).toBe(nfs.NFS3ERR_XDEV);
    const move = { from: { dir: all, name: bytes('outside') }, to: { dir: top, name: bytes('in') } };
    expect((await client.call('RENAME', move)).status).toBe(nfs.NFS3ERR_XDEV);
    // Moved out by somebody else: `..` must not become a way up.
    renameSync(join(directory.path, 'inside', 'sub'), join(directory.path, 'moved'));
    const above = await client.call('LOOKUP', { what: { dir: sub, name: bytes('..') } });
    expect(above.status).toBe(nfs.NFS3ERR_STALE);
  });

  test('a directory that was moved out takes nobody along, and is served again when it is back', async () => {
    mkdirSync(join(directory.path, 'inside', 'sub', 'deep'), { recursive: true });
    const client = await serve([exported('/in', { directory: 'inside' }), exported('/all')]);
    const sub = await mount(client, '/in/sub');
    const deep = await mount(client, '/in/sub/deep');
    const [all, inside] = [await mount(client, '/all'), await mount(client, '/all/inside')];
    const statusOf = async (dir: Uint8Array): Promise<number> => {
      const args = { dir, cookie: 0n, cookieverf: new Uint8Array(8), count: 1000 };
      const made = await client.call('CREATE', {
        where: { dir, name: bytes('x') },
        how: { ...how, mode: nfs.UNCHECKED },
      });
      const { status } = await client.call('READDIR', args);
      return made.status === status ? status : -1;
    };
    expect([await statusOf(sub), await statusOf(deep)]).toEqual([nfs.NFS3_OK, nfs.NFS3_OK]);
    const move = { from: { dir: inside, name: bytes('sub') }, to: { dir: all, name: bytes('moved') } };
    expect((await client.call('RENAME', move)).status).toBe(nfs.NFS3_OK);
    // The handles were in use a moment ago: what is known of them counts for a second.
    for (const dir of [sub, deep]) await expect.poll(() => statusOf(dir)).toBe(nfs.NFS3ERR_STALE);
    writeFileSync(join(directory.path, 'moved', 'later'), '');
    const later = { what: { dir: sub, name: bytes('later') } };
    // Another thread looks at names than at listings, and at its own time.
    await expect.poll(async () => (await client.call('LOOKUP', later)).status).toBe(nfs.NFS3ERR_STALE);
    renameSync(join(directory.path, 'moved'), join(directory.path, 'inside', 'back'));
    expect([await statusOf(sub), await statusOf(deep)]).toEqual([nfs.NFS3_OK, nfs.NFS3_OK]);
  });

  test('neither does a directory that is moved out of a volume that is a part of a file system', async () => {
    const volume = join(directory.path, 'volume');
    mkdirSync(join(volume, 'sub'), { recursive: true });
    const { port } = await thread.open(openMessage(volume));
    const client = await connect(port);
    const sub = await mount(client, '/data/sub');
    renameSync(join(volume, 'sub'), join(directory.path, 'moved'));
    await expect
      .poll(async () => (await client.call('LOOKUP', { what: { dir: sub, name: bytes('..') } })).status)
      .toBe(nfs.NFS3ERR_STALE);
    await expect
      .poll(async () => (await client.call('GETATTR', { object: sub })).status)
      .toBe(nfs.NFS3ERR_STALE);
  });

  test('a directory that was removed and made anew is what clients get who mount it then', async () => {
    mkdirSync(join(directory.path, 'inside'));
    const client = await serve([exported('/in', { directory: 'inside' })]);
    const old = await mount(client, '/in');
    renameSync(join(directory.path, 'inside'), join(directory.path, 'old'));
    mkdirSync(join(directory.path, 'inside'));
    const top = await mount(client, '/in');
    expect(top).not.toEqual(old);
    const where = { dir: top, name: bytes('x') };
    await expect
      .poll(async () => (await client.call('CREATE', { where, how: { ...how, mode: nfs.UNCHECKED } })).status)
      .toBe(nfs.NFS3_OK);
    await expect
      .poll(async () => (await client.call('GETATTR', { object: old })).status)
      .toBe(nfs.NFS3ERR_STALE);
  });

  test("FilerPair's own directory does not exist for clients", async () => {
    writeFileSync(join(directory.path, 'file'), '');
    const client = await serve([exported('/data')]);
    const root = await mount(client, '/data');
    const own = { dir: root, name: bytes('.filerpair') };
    const file = { dir: root, name: bytes('file') };
    expect((await client.call('LOOKUP', { what: own })).status).toBe(nfs.NFS3ERR_NOENT);
    expect((await client.call('CREATE', { where: own, how })).status).toBe(nfs.NFS3ERR_ACCES);
    expect((await client.call('RENAME', { from: file, to: own })).status).toBe(nfs.NFS3ERR_ACCES);
    expect((await client.call('RENAME', { from: own, to: file })).status).toBe(nfs.NFS3ERR_ACCES);
    expect((await client.call('RMDIR', { object: own })).status).toBe(nfs.NFS3ERR_ACCES);
    const page = await client.call('READDIR', {
      dir: root,
      cookie: 0n,
      cookieverf: new Uint8Array(8),
      count: 4096,
    });
    if (page.status !== nfs.NFS3_OK) throw new Error('READDIR');
    expect(page.entries.map(({ name }) => text(name)).sort()).toEqual(['.', '..', 'file']);
    // Only at the root: elsewhere it is a name like any other.
    mkdirSync(join(directory.path, 'sub'));
    const sub = await mount(client, '/data/sub');
    const elsewhere = { where: { dir: sub, name: bytes('.filerpair') }, how };
    expect((await client.call('CREATE', elsewhere)).status).toBe(nfs.NFS3_OK);
  });

  test.each([
    [{ volume: 'none' }, 'there is no volume "none"'],
    [{ directory: '../etc' }, '"../etc" is no directory inside a volume'],
    [{ directory: '.filerpair' }, '".filerpair" is FilerPair\'s own directory'],
    [{ clients: ['10.0.0.0/33'] }, '"10.0.0.0/33" is no network'],
    [{ path: 'data' }, 'the path must begin with a slash'],
  ])('%j is refused', async (overrides, message) => {
    const exports = [exported('/data', overrides)];
    await expect(thread.open(openMessage(directory.path, { exports }))).rejects.toThrow(message);
  });

  test('IPv6 clients are served, and IPv4 ones on an IPv6 socket count as IPv4', async () => {
    const exports = [exported('/data', { clients: ['127.0.0.0/8', '::1'] })];
    const { port } = await thread.open(openMessage(directory.path, { exports, host: '::' }));
    for (const host of ['127.0.0.1', '::1']) {
      const client = await connect(port, host);
      expect((await mount(client, '/data')).length).toBeGreaterThan(40);
    }
  });
});
