/**
 * Every system call of the data path is made to fail once with each errno, while a call of a client makes it. What the client is
 * told, and whether the volume is served on, has to be as in the table (storage/failures/errno-outcomes.ts). A real server on
 * ext4.
 */
import { writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as nfs from '../../../protocol/nfs3.ts';
import { mount, openMessage, TestDataThread } from '../../data-path/data-thread.fixture.ts';
import { fileSystems, type MountedFileSystem } from '../../data-path/file-systems.fixture.ts';
import { ROOT, RpcClient, userCredential } from '../../data-path/rpc-client.fixture.ts';
import { nfsstat3Of } from '../../nfs3/nfs-status.ts';
import { CallFaults, FAULT_CALLS, type FaultCall } from '../../system/call-faults.ts';
import { SYSTEM_CALLS, type SystemCall } from '../../system/system-calls.ts';
import { outcomeOf } from './errno-outcomes.ts';

const { EIO, EROFS, ESTALE, EACCES, EMFILE, ENOMEM, ENOSPC, EDQUOT, EINTR, EAGAIN, EOPNOTSUPP } =
  constants.errno;
const ERRNOS = { EIO, EROFS, ESTALE, EACCES, EMFILE, ENOMEM, ENOSPC, EDQUOT, EINTR };
type ErrnoName = keyof typeof ERRNOS;

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const how: nfs.createhow3 = { mode: nfs.GUARDED, obj_attributes: { ...nfs.SATTR3_NOTHING, mode: 0o644 } };
const NOW = { how: nfs.SET_TO_SERVER_TIME } as const;
const ext4 = fileSystems.find(({ name }) => name.startsWith('ext4'))!;

let disk: MountedFileSystem;
let faults: CallFaults;
let thread: TestDataThread;
let epoch = 0;
let client: RpcClient;
let root: Uint8Array;
let names = 0;

async function open(): Promise<void> {
  epoch += 1;
  const { port } = await thread.open(openMessage(disk.path, { epoch }));
  client = await RpcClient.connect(port);
  root = await mount(client, '/data');
}

const fresh = (): Uint8Array => bytes(`name-${names++}`);
const where = (): nfs.diropargs3 => ({ dir: root, name: fresh() });

/** A file that both threads have open. */
async function warmFile(): Promise<Uint8Array> {
  const made = await client.call('CREATE', { where: where(), how });
  if (made.status !== nfs.NFS3_OK) throw new Error(`CREATE: ${made.status}`);
  const file = made.obj!;
  const data = bytes('content');
  await client.call('WRITE', { file, offset: 0, count: data.length, stable: nfs.FILE_SYNC, data });
  for (let i = 0; i < 2; i++) await client.call('READ', { file, offset: 0, count: 10 });
  return file;
}

async function named(): Promise<nfs.diropargs3> {
  const at = where();
  const made = await client.call('CREATE', { where: at, how });
  if (made.status !== nfs.NFS3_OK) throw new Error(`CREATE: ${made.status}`);
  return at;
}

async function symbolicLink(): Promise<Uint8Array> {
  const symlink = { symlink_attributes: nfs.SATTR3_NOTHING, symlink_data: bytes('target') };
  const made = await client.call('SYMLINK', { where: where(), symlink });
  if (made.status !== nfs.NFS3_OK) throw new Error(`SYMLINK: ${made.status}`);
  return made.obj!;
}

const setattr = (object: Uint8Array, changes: Partial<nfs.sattr3>) =>
  client.call('SETATTR', { object, new_attributes: { ...nfs.SATTR3_NOTHING, ...changes }, guard: null });

const write = (file: Uint8Array, stable: nfs.stable_how) =>
  client.call('WRITE', { file, offset: 0, count: 1, stable, data: bytes('x') });

type Act = () => Promise<{ readonly status: number }>;

/** Makes what it needs, and returns the call of a client in which the system call is the one that counts. */
const ACTS: Readonly<Partial<Record<FaultCall, () => Promise<Act>>>> = {
  openat: async () => () => client.call('CREATE', { where: where(), how }),
  openat2: async () => {
    const what = where();
    writeFileSync(join(disk.path, Buffer.from(what.name).toString()), '');
    return () => client.call('LOOKUP', { what });
  },
  open_by_handle_at: async () => {
    const what = where();
    writeFileSync(join(disk.path, Buffer.from(what.name).toString()), '');
    // So it is the volume's thread that looks, which has not opened the file yet.
    faults.arm('openat2', EAGAIN);
    return () => client.call('LOOKUP', { what });
  },
  name_to_handle_at: async () => () => client.call('CREATE', { where: where(), how }),
  statx: async () => {
    const object = await warmFile();
    return () => client.call('GETATTR', { object });
  },
  faccessat2: async () => {
    const file = await warmFile();
    // A user who is neither the owner nor known from before.
    const credential = userCredential(1000 + names, 1000);
    return () => client.call('READ', { file, offset: 0, count: 10 }, { credential });
  },
  preadv2: async () => {
    const file = await warmFile();
    return () => client.call('READ', { file, offset: 0, count: 10 });
  },
  read: async () => {
    const file = await warmFile();
    faults.arm('preadv2', EAGAIN);
    return () => client.call('READ', { file, offset: 0, count: 10 });
  },
  readlinkat: async () => {
    const symlink = await symbolicLink();
    return () => client.call('READLINK', { symlink });
  },
  getdents64: async () => () =>
    client.call('READDIR', { dir: root, cookie: 0n, cookieverf: new Uint8Array(8), count: 4096 }),
  lseek: async () => () =>
    client.call('READDIR', { dir: root, cookie: 0n, cookieverf: new Uint8Array(8), count: 4096 }),
  fstatfs64: async () => () => client.call('FSSTAT', { fsroot: root }),
  pwrite64: async () => {
    const file = await warmFile();
    return () => write(file, nfs.UNSTABLE);
  },
  ftruncate64: async () => {
    const file = await warmFile();
    return () => setattr(file, { size: 3 });
  },
  fchmodat: async () => {
    const file = await warmFile();
    return () => setattr(file, { mode: 0o600 });
  },
  fchownat: async () => {
    const file = await warmFile();
    return () => setattr(file, { uid: 4711 });
  },
  utimensat: async () => {
    const file = await warmFile();
    return () => setattr(file, { mtime: NOW });
  },
  mkdirat: async () => () => client.call('MKDIR', { where: where(), attributes: nfs.SATTR3_NOTHING }),
  mknodat: async () => () =>
    client.call('MKNOD', {
      where: where(),
      what: { type: nfs.NF3FIFO, pipe_attributes: nfs.SATTR3_NOTHING },
    }),
  unlinkat: async () => {
    const object = await named();
    return () => client.call('REMOVE', { object });
  },
  renameat: async () => {
    const from = await named();
    return () => client.call('RENAME', { from, to: where() });
  },
  linkat: async () => {
    const file = await warmFile();
    return () => client.call('LINK', { file, link: where() });
  },
  symlinkat: async () => {
    const symlink = { symlink_attributes: nfs.SATTR3_NOTHING, symlink_data: bytes('target') };
    return () => client.call('SYMLINK', { where: where(), symlink });
  },
  fsync: async () => () => client.call('CREATE', { where: where(), how }),
  fdatasync: async () => {
    const file = await warmFile();
    return () => write(file, nfs.DATA_SYNC);
  },
  syncfs: async () => {
    const link = await symbolicLink();
    return () => setattr(link, { mtime: NOW });
  },
  sync_file_range: async () => () => client.call('CREATE', { where: where(), how }),
  'write of the journal': async () => () => client.call('CREATE', { where: where(), how }),
};

/** What the client is told may be more than the table says of the system call. */
const TOLD_OTHERWISE: Readonly<Partial<Record<FaultCall, Partial<Record<ErrnoName, string>>>>> = {
  // Gone between the look at the name and the look at the file: as if it had been before the first.
  open_by_handle_at: { ESTALE: 'NFS3ERR_NOENT' },
};

/** What libuv does itself, beneath the place where the test makes calls fail. */
function isMadeAgainByLibuv(call: FaultCall, name: ErrnoName): boolean {
  return name === 'EINTR' && ['fsync', 'fdatasync'].includes(call);
}

function expected(call: FaultCall, name: ErrnoName): readonly string[] {
  const otherwise = TOLD_OTHERWISE[call]?.[name];
  if (otherwise !== undefined) return [otherwise];
  const outcome = outcomeOf(call as SystemCall, ERRNOS[name]);
  if (outcome.kind === 'fault') return [`fault ${outcome.reason}`];
  const statusName = (failure: Parameters<typeof nfsstat3Of>[0]): string =>
    nfs.nfsstat3Name(nfsstat3Of(failure));
  if (outcome.kind === 'answer') return [statusName(outcome.failure)];
  return outcome.otherwise === null ? ['NFS3_OK'] : ['NFS3_OK', statusName(outcome.otherwise)];
}

const statusOf = async (call: ReturnType<Act>): Promise<string> =>
  nfs.nfsstat3Name((await call).status as nfs.nfsstat3);

describe.skipIf(ext4.missing !== null)('a system call that fails once', () => {
  beforeAll(async () => {
    disk = ext4.mount();
    faults = new CallFaults();
    thread = new TestDataThread({ callFaults: faults.buffer, ownerLookMs: 20 });
    await open();
  });
  afterAll(async () => {
    client.close();
    await thread.close('local', 'fence');
    await thread.stop();
    disk.unmount();
  });

  test('every call that can be made to fail is tried', () => {
    const others: readonly FaultCall[] = [
      'read of the ownership record',
      'write of the ownership record',
      'setgroups',
    ];
    expect(SYSTEM_CALLS.filter((call) => !FAULT_CALLS.includes(call))).toEqual([]);
    expect(FAULT_CALLS.filter((call) => ACTS[call] === undefined && !others.includes(call))).toEqual([]);
  });

  test.each(Object.keys(ACTS) as FaultCall[])('%s: as the table says, and served on', async (call) => {
    let takenByServer = 0;
    const todo = (Object.keys(ERRNOS) as ErrnoName[]).filter((name) => !isMadeAgainByLibuv(call, name));
    for (let name = todo.shift(); name !== undefined; name = todo.shift()) {
      const act = await ACTS[call]!();
      const before = faults.failed(call);
      const fault = thread.of('fault');
      faults.arm(call, ERRNOS[name]);
      // A fault resets the connection: then it is the message that counts.
      const answered = statusOf(act()).catch((error: Error) =>
        error.message === 'connection closed' ? fault.then(() => '') : Promise.reject(error),
      );
      const told = await Promise.race([
        answered.then((status) => (status === '' ? fault.then(({ reason }) => `fault ${reason}`) : status)),
        fault.then(({ reason }) => `fault ${reason}`),
      ]);
      expect(faults.failed(call), `${call} ${name} was not made`).toBe(before + 1);
      if (call === 'openat' && told === 'NFS3_OK' && !expected(call, name).includes(told)) {
        // The server's own look at the exported directories, once a second, came first.
        expect(++takenByServer).toBeLessThan(3);
        todo.unshift(name);
        continue;
      }
      expect(expected(call, name), `${call} ${name}: ${told}`).toContain(told);
      if (told.startsWith('fault')) {
        client.close();
        await thread.close('local', 'fence');
        await open();
      }
      // Whatever was refused for a moment (the journal had no room) is possible again.
      await expect
        .poll(() => statusOf(client.call('CREATE', { where: where(), how })), { timeout: 10_000 })
        .toBe('NFS3_OK');
    }
  });

  test('the look at the ownership record: a fault for a bad disk, none for what the server lacks', async () => {
    for (const name of Object.keys(ERRNOS) as ErrnoName[]) {
      const call = 'read of the ownership record';
      const fault = thread.of('fault');
      const before = faults.failed(call);
      faults.arm(call, ERRNOS[name]);
      await expect.poll(() => faults.failed(call), { timeout: 10_000 }).toBe(before + 1);
      if (outcomeOf(call, ERRNOS[name]).kind === 'fault') {
        expect((await fault).reason, name).toBe('IoError');
        client.close();
        await thread.close('local', 'fence');
        await open();
      }
      expect(await statusOf(client.call('CREATE', { where: where(), how })), name).toBe('NFS3_OK');
    }
  });

  test('the ownership record cannot be written: the volume is not opened, and no half of it is served', async () => {
    client.close();
    await thread.close('local', 'quiesce');
    for (const name of Object.keys(ERRNOS) as ErrnoName[]) {
      if (name === 'EINTR') continue;
      faults.arm('write of the ownership record', ERRNOS[name]);
      const outcome = outcomeOf('write of the ownership record', ERRNOS[name]);
      const reason = outcome.kind === 'fault' ? outcome.reason : 'IoError';
      await expect(open(), name).rejects.toThrow(reason);
    }
    await open();
    expect(await statusOf(client.call('CREATE', { where: where(), how }))).toBe('NFS3_OK');
  });

  test('what says something of the disk is told to the agent, once a second, with the call and the file', async () => {
    const file = await warmFile();
    faults.arm('preadv2', EIO);
    const read = () => client.call('READ', { file, offset: 0, count: 1 });
    expect(await statusOf(read())).toBe('NFS3ERR_IO');
    const attributes = await client.call('GETATTR', { object: file });
    if (attributes.status !== nfs.NFS3_OK) throw new Error('GETATTR');
    const inode = String(attributes.obj_attributes.fileid);
    const told = () =>
      thread.messages.flatMap((one) =>
        one.kind === 'volumeErrors' && one.volume === 'data' ? one.errors : [],
      );
    await expect
      .poll(told, { timeout: 10_000 })
      .toContainEqual({ call: 'preadv2', errno: 'EIO', count: 1, inode });
    // Refusals of a usual kind are not told.
    faults.arm('preadv2', EACCES);
    expect(await statusOf(read())).toBe('NFS3ERR_ACCES');
  });

  test('setgroups: the call is refused, nothing is done as anybody else', async () => {
    const file = await warmFile();
    const credential = userCredential(4711, 4711, [1, 2, 3]);
    const read = (one = credential) =>
      client.call('READ', { file, offset: 0, count: 1 }, { credential: one });
    faults.arm('setgroups', ENOMEM);
    await expect(read()).rejects.toThrow('READ');
    expect(await statusOf(read())).toBe('NFS3_OK');
    expect(await statusOf(read(ROOT))).toBe('NFS3_OK');
  });

  test('where the file system cannot tell what is in memory, reads go to the pool', async () => {
    const file = await warmFile();
    const read = () => client.call('READ', { file, offset: 0, count: 7 });
    faults.arm('preadv2', EOPNOTSUPP);
    // Only a read in the pool can fail so.
    for (let i = 0; i < 3; i++) {
      faults.arm('read', EIO);
      expect(await statusOf(read())).toBe('NFS3ERR_IO');
    }
    expect(await read()).toMatchObject({ status: nfs.NFS3_OK, data: bytes('content'), eof: true });
  });
});
