/** RFC 1813 §3.3, a test a procedure and more: the data thread serves real file systems over a real socket. */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import * as nfs from '../../protocol/nfs3.ts';
import { mount, openMessage, TestDataThread } from './data-thread.fixture.ts';
import { fileSystems, type MountedFileSystem } from './file-systems.fixture.ts';
import { RpcClient, userCredential } from './rpc-client.fixture.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const isRoot = process.geteuid!() === 0;
const MODE = (mode: number): nfs.sattr3 => ({ ...nfs.SATTR3_NOTHING, mode });

/** The result, or a failed test that names the status. */
type Succeeded<T> = [Extract<T, { status: 0 }>] extends [never] ? T : Extract<T, { status: 0 }>;
function ok<T extends { status: number }>(result: T): Succeeded<T> {
  expect(nfs.nfsstat3Name(result.status)).toBe('NFS3_OK');
  return result as Succeeded<T>;
}

describe.each(fileSystems)('on $name', ({ missing, mount: mountFileSystem }) => {
  if (missing !== null) {
    test.skip(missing, () => {});
    return;
  }
  let fileSystem: MountedFileSystem;
  let thread: TestDataThread;
  let client: RpcClient;
  let epoch = 0;
  /** A directory for each test, as the client and as the test see it. */
  let dir: Uint8Array;
  let path: string;
  let count = 0;

  async function start(): Promise<void> {
    epoch += 1;
    const { port } = await thread.open(openMessage(fileSystem.path, { epoch }));
    client = await RpcClient.connect(port);
  }

  beforeAll(async () => {
    fileSystem = mountFileSystem();
    thread = new TestDataThread();
    await start();
  });
  afterAll(async () => {
    client.close();
    await thread.close('local', 'quiesce');
    await thread.stop();
    fileSystem.unmount();
  });
  beforeEach(async () => {
    count += 1;
    path = join(fileSystem.path, `test-${count}`);
    mkdirSync(path);
    chmodSync(path, 0o777);
    dir = await mount(client, `/data/test-${count}`);
  });

  const where = (name: string | Uint8Array): nfs.diropargs3 => ({
    dir,
    name: typeof name === 'string' ? bytes(name) : name,
  });
  const lookup = async (name: string): Promise<Uint8Array> =>
    ok(await client.call('LOOKUP', { what: where(name) })).object;
  async function create(name: string, content = ''): Promise<Uint8Array> {
    const how = { mode: nfs.GUARDED, obj_attributes: MODE(0o644) };
    const { obj } = ok(await client.call('CREATE', { where: where(name), how }));
    if (content !== '') {
      const data = bytes(content);
      const args = { file: obj!, offset: 0, count: data.length, stable: nfs.UNSTABLE, data };
      ok(await client.call('WRITE', args));
    }
    return obj!;
  }

  test('GETATTR says what stat says, to the nanosecond', async () => {
    writeFileSync(join(path, 'file'), 'twelve bytes');
    const file = await lookup('file');
    const { obj_attributes: a } = ok(await client.call('GETATTR', { object: file }));
    const stat = statSync(join(path, 'file'), { bigint: true });
    expect({ ...a, fsid: 0n }).toEqual({
      type: nfs.NF3REG,
      mode: Number(stat.mode) & 0o7777,
      nlink: 1,
      uid: Number(stat.uid),
      gid: Number(stat.gid),
      size: 12,
      used: Number(stat.blocks) * 512,
      rdev: { specdata1: 0, specdata2: 0 },
      fsid: 0n,
      fileid: stat.ino,
      atime: time(stat.atimeNs),
      mtime: time(stat.mtimeNs),
      ctime: time(stat.ctimeNs),
    });
  });

  const time = (nanoseconds: bigint): nfs.nfstime3 => ({
    seconds: Number(nanoseconds / 1_000_000_000n),
    nseconds: Number(nanoseconds % 1_000_000_000n),
  });

  test('SETATTR sets mode, size and times; the guard holds it back', async () => {
    const file = await create('file', 'content');
    const before = ok(await client.call('GETATTR', { object: file })).obj_attributes;
    const time = { seconds: 1234567890, nseconds: 987654321 };
    const given = { how: nfs.SET_TO_CLIENT_TIME, time } as const;
    const new_attributes = { ...nfs.SATTR3_NOTHING, mode: 0o4711, size: 3, atime: given, mtime: given };
    const set = ok(await client.call('SETATTR', { object: file, new_attributes, guard: before.ctime }));
    expect(set.obj_wcc.before).toEqual({ size: 7, mtime: before.mtime, ctime: before.ctime });
    expect(set.obj_wcc.after).toMatchObject({ mode: 0o4711, size: 3, atime: time, mtime: time });
    expect(readFileSync(join(path, 'file'), 'utf8')).toBe('con');
    const late = await client.call('SETATTR', {
      object: file,
      new_attributes: MODE(0o600),
      guard: { seconds: 1, nseconds: 1 },
    });
    expect(late.status).toBe(nfs.NFS3ERR_NOT_SYNC);
    expect(statSync(join(path, 'file')).mode & 0o7777).toBe(0o4711);
  });

  test('LOOKUP finds names, `.` and `..`, and does not follow symbolic links', async () => {
    mkdirSync(join(path, 'sub'));
    symlinkSync('/etc/passwd', join(path, 'sub', 'link'));
    const sub = await lookup('sub');
    const self = ok(await client.call('LOOKUP', { what: { dir: sub, name: bytes('.') } }));
    expect(self.object).toEqual(sub);
    const above = ok(await client.call('LOOKUP', { what: { dir: sub, name: bytes('..') } }));
    expect(above.object).toEqual(dir);
    const link = ok(await client.call('LOOKUP', { what: { dir: sub, name: bytes('link') } }));
    expect(link.obj_attributes?.type).toBe(nfs.NF3LNK);
    const read = ok(await client.call('READLINK', { symlink: link.object }));
    expect(Buffer.from(read.data).toString()).toBe('/etc/passwd');
    const under = await client.call('LOOKUP', { what: { dir: link.object, name: bytes('x') } });
    expect(under.status).toBe(nfs.NFS3ERR_NOTDIR);
    expect((await client.call('LOOKUP', { what: where('none') })).status).toBe(nfs.NFS3ERR_NOENT);
    const root = await mount(client, '/data');
    const top = ok(await client.call('LOOKUP', { what: { dir: root, name: bytes('..') } }));
    expect(top.object).toEqual(root);
  });

  test('ACCESS tells what a user may do', async () => {
    if (!isRoot) return;
    writeFileSync(join(path, 'file'), 'x');
    chownSync(join(path, 'file'), 1000, 2000);
    chmodSync(join(path, 'file'), 0o640);
    const file = await lookup('file');
    const all = 0x3f;
    const granted = async (uid: number, gid: number, gids: number[]): Promise<number> =>
      ok(
        await client.call(
          'ACCESS',
          { object: file, access: all },
          { credential: userCredential(uid, gid, gids) },
        ),
      ).access;
    const change = nfs.ACCESS3_MODIFY | nfs.ACCESS3_EXTEND;
    expect(await granted(1000, 1, [])).toBe(nfs.ACCESS3_READ | change);
    expect(await granted(1, 2000, [])).toBe(nfs.ACCESS3_READ);
    expect(await granted(1, 1, [5, 2000])).toBe(nfs.ACCESS3_READ);
    expect(await granted(1, 1, [])).toBe(0);
    expect(await granted(0, 0, [])).toBe(nfs.ACCESS3_READ | change);
    const directory = ok(await client.call('ACCESS', { object: dir, access: all }));
    expect(directory.access).toBe(all & ~nfs.ACCESS3_EXECUTE);
  });

  test('READ stops at the end of the file, and there only', async () => {
    const file = await create('file', 'abcdefgh');
    const read = async (offset: number, length: number) => {
      const result = ok(await client.call('READ', { file, offset, count: length }));
      return [Buffer.from(result.data).toString(), result.eof, result.file_attributes?.size];
    };
    expect(await read(0, 4)).toEqual(['abcd', false, 8]);
    expect(await read(4, 4)).toEqual(['efgh', true, 8]);
    expect(await read(6, 100)).toEqual(['gh', true, 8]);
    expect(await read(8, 1)).toEqual(['', true, 8]);
    expect(await read(Number.MAX_SAFE_INTEGER, 1)).toEqual(['', true, 8]);
    expect((await client.call('READ', { file: dir, offset: 0, count: 1 })).status).toBe(nfs.NFS3ERR_ISDIR);
    symlinkSync('x', join(path, 'link'));
    const link = await lookup('link');
    expect((await client.call('READ', { file: link, offset: 0, count: 1 })).status).toBe(nfs.NFS3ERR_INVAL);
  });

  test('WRITE leaves holes, keeps exact wcc data, and is stable when asked to be', async () => {
    const file = await create('file');
    const write = async (offset: number, text: string, stable: nfs.stable_how) => {
      const data = bytes(text);
      return ok(await client.call('WRITE', { file, offset, count: data.length, stable, data }));
    };
    const first = await write(100_000, 'far', nfs.UNSTABLE);
    expect([first.count, first.committed, first.file_wcc.before?.size, first.file_wcc.after?.size]).toEqual([
      3,
      nfs.UNSTABLE,
      0,
      100_003,
    ]);
    const second = await write(0, 'near', nfs.FILE_SYNC);
    expect([second.committed, second.file_wcc.before?.size]).toEqual([nfs.FILE_SYNC, 100_003]);
    expect((await write(1, 'x', nfs.DATA_SYNC)).committed).toBe(nfs.DATA_SYNC);
    const committed = ok(await client.call('COMMIT', { file, offset: 0, count: 0 }));
    expect(committed.verf).toEqual(first.verf);
    const content = readFileSync(join(path, 'file'));
    expect([content.length, content.subarray(0, 5).toString('latin1')]).toEqual([100_003, 'nxar\0']);
    const data = bytes('abc');
    const wrong = await client.call('WRITE', { file, offset: 0, count: 2, stable: 0, data });
    expect(wrong.status).toBe(nfs.NFS3ERR_INVAL);
    const huge = { file, offset: 2n ** 63n - 2n, count: 3, stable: nfs.UNSTABLE, data };
    expect((await client.call('WRITE', huge)).status).toBe(nfs.NFS3ERR_FBIG);
  });

  test('CREATE: unchecked takes what is there, guarded refuses, exclusive knows its own', async () => {
    const make = (how: nfs.createhow3) => client.call('CREATE', { where: where('file'), how });
    const first = ok(await make({ mode: nfs.GUARDED, obj_attributes: MODE(0o600) }));
    writeFileSync(join(path, 'file'), 'content');
    expect((await make({ mode: nfs.GUARDED, obj_attributes: MODE(0o600) })).status).toBe(nfs.NFS3ERR_EXIST);
    const again = ok(await make({ mode: nfs.UNCHECKED, obj_attributes: MODE(0o777) }));
    expect([again.obj, again.obj_attributes?.mode, again.obj_attributes?.size]).toEqual([
      first.obj,
      0o600,
      7,
    ]);
    const cut = ok(await make({ mode: nfs.UNCHECKED, obj_attributes: { ...MODE(0o777), size: 0 } }));
    expect(cut.obj_attributes?.size).toBe(0);
    expect((await make({ mode: nfs.EXCLUSIVE, verf: bytes('12345678') })).status).toBe(nfs.NFS3ERR_EXIST);
    const exclusive = (verf: string) =>
      client.call('CREATE', { where: where('other'), how: { mode: nfs.EXCLUSIVE, verf: bytes(verf) } });
    const own = ok(await exclusive('abcdefgh'));
    expect(ok(await exclusive('abcdefgh')).obj).toEqual(own.obj);
    expect((await exclusive('hgfedcba')).status).toBe(nfs.NFS3ERR_EXIST);
  });

  test('MKDIR, SYMLINK and MKNOD make what they say, as who they say', async () => {
    const credential = isRoot ? userCredential(1000, 1000) : userCredential(0, 0);
    const owner = isRoot ? 1000 : process.geteuid!();
    const made = ok(
      await client.call('MKDIR', { where: where('d'), attributes: MODE(0o750) }, { credential }),
    );
    expect(made.obj_attributes).toMatchObject({ type: nfs.NF3DIR, mode: 0o750, uid: owner });
    expect(made.dir_wcc.before).not.toBeNull();
    const symlink = { symlink_attributes: nfs.SATTR3_NOTHING, symlink_data: bytes('a/b') };
    const link = ok(await client.call('SYMLINK', { where: where('l'), symlink }, { credential }));
    expect(link.obj_attributes).toMatchObject({ type: nfs.NF3LNK, size: 3, uid: owner });
    const fifo = { type: nfs.NF3FIFO, pipe_attributes: MODE(0o620) };
    const pipe = ok(await client.call('MKNOD', { where: where('p'), what: fifo }, { credential }));
    expect(pipe.obj_attributes).toMatchObject({ type: nfs.NF3FIFO, mode: 0o620, uid: owner });
    const socket = { type: nfs.NF3SOCK, pipe_attributes: MODE(0o600) };
    expect(ok(await client.call('MKNOD', { where: where('s'), what: socket })).obj_attributes?.type).toBe(
      nfs.NF3SOCK,
    );
    const what = { type: nfs.NF3REG };
    expect((await client.call('MKNOD', { where: where('r'), what })).status).toBe(nfs.NFS3ERR_BADTYPE);
    if (!isRoot) return;
    const spec = { specdata1: 259, specdata2: 70_000 };
    const device = { type: nfs.NF3CHR, dev_attributes: MODE(0o600), spec };
    const refused = await client.call('MKNOD', { where: where('c'), what: device }, { credential });
    expect(refused.status).toBe(nfs.NFS3ERR_PERM);
    const node = await client.call('MKNOD', { where: where('c'), what: device });
    expect(ok(node).obj_attributes?.rdev).toEqual(spec);
  });

  test('REMOVE and RMDIR remove only their own kind; the handle is stale at once', async () => {
    const file = await create('file');
    mkdirSync(join(path, 'd'));
    const d = await lookup('d');
    writeFileSync(join(path, 'd', 'x'), '');
    expect((await client.call('REMOVE', { object: where('d') })).status).toBe(nfs.NFS3ERR_ISDIR);
    expect((await client.call('RMDIR', { object: where('file') })).status).toBe(nfs.NFS3ERR_NOTDIR);
    expect((await client.call('RMDIR', { object: where('d') })).status).toBe(nfs.NFS3ERR_NOTEMPTY);
    unlinkSync(join(path, 'd', 'x'));
    ok(await client.call('RMDIR', { object: where('d') }));
    const removed = ok(await client.call('REMOVE', { object: where('file') }));
    expect(removed.dir_wcc.before).not.toBeNull();
    for (const object of [file, d]) {
      expect((await client.call('GETATTR', { object })).status).toBe(nfs.NFS3ERR_STALE);
    }
    expect((await client.call('READ', { file, offset: 0, count: 1 })).status).toBe(nfs.NFS3ERR_STALE);
    expect((await client.call('REMOVE', { object: where('file') })).status).toBe(nfs.NFS3ERR_NOENT);
    expect((await client.call('RMDIR', { object: where('.') })).status).toBe(nfs.NFS3ERR_INVAL);
    expect((await client.call('RMDIR', { object: where('..') })).status).toBe(nfs.NFS3ERR_EXIST);
  });

  test('RENAME moves, replaces, and does nothing for two names of one file', async () => {
    const a = await create('a', 'from a');
    const b = await create('b', 'from b');
    mkdirSync(join(path, 'd'));
    const d = await lookup('d');
    ok(await client.call('RENAME', { from: where('a'), to: where('b') }));
    expect(readFileSync(join(path, 'b'), 'utf8')).toBe('from a');
    expect((await client.call('GETATTR', { object: b })).status).toBe(nfs.NFS3ERR_STALE);
    ok(await client.call('RENAME', { from: where('b'), to: { dir: d, name: bytes('c') } }));
    expect(ok(await client.call('GETATTR', { object: a })).obj_attributes.size).toBe(6);
    linkSync(join(path, 'd', 'c'), join(path, 'e'));
    ok(await client.call('RENAME', { from: where('e'), to: { dir: d, name: bytes('c') } }));
    expect(statSync(join(path, 'e')).nlink).toBe(2);
    const into = await client.call('RENAME', { from: where('d'), to: { dir: d, name: bytes('x') } });
    expect(into.status).toBe(nfs.NFS3ERR_INVAL);
    expect((await client.call('RENAME', { from: where('none'), to: where('x') })).status).toBe(
      nfs.NFS3ERR_NOENT,
    );
  });

  test('LINK adds a name, of a symbolic link too', async () => {
    const file = await create('file');
    const linked = ok(await client.call('LINK', { file, link: where('second') }));
    expect(linked.file_attributes?.nlink).toBe(2);
    expect(await lookup('second')).toEqual(file);
    expect((await client.call('LINK', { file, link: where('second') })).status).toBe(nfs.NFS3ERR_EXIST);
    ok(await client.call('REMOVE', { object: where('file') }));
    expect(ok(await client.call('GETATTR', { object: file })).obj_attributes.nlink).toBe(1);
    symlinkSync('nowhere', join(path, 'l'));
    const link = await lookup('l');
    ok(await client.call('LINK', { file: link, link: where('l2') }));
    expect(await lookup('l2')).toEqual(link);
    expect((await client.call('LINK', { file: dir, link: where('d') })).status).toBe(nfs.NFS3ERR_PERM);
  });

  async function list(listCount: number, between: () => void = () => {}): Promise<string[]> {
    const names: string[] = [];
    let cookie = 0n;
    let cookieverf = new Uint8Array(8);
    for (;;) {
      const page = ok(await client.call('READDIR', { dir, cookie, cookieverf, count: listCount }));
      for (const entry of page.entries) names.push(Buffer.from(entry.name).toString());
      if (page.eof) return names;
      cookie = page.entries.at(-1)!.cookie;
      cookieverf = page.cookieverf.slice();
      between();
    }
  }

  test('READDIR goes on where it stopped, while the directory changes', async () => {
    const kept = Array.from({ length: 300 }, (_, i) => `kept-${i}`);
    for (const name of kept) writeFileSync(join(path, name), '');
    let i = 0;
    const listed = await list(1024, () => {
      writeFileSync(join(path, `new-${i}`), '');
      if (i > 0) unlinkSync(join(path, `new-${i - 1}`));
      i += 1;
    });
    expect(i).toBeGreaterThan(5);
    expect(listed.filter((name) => name.startsWith('kept-')).sort()).toEqual(kept.sort());
    expect(listed.filter((name) => name === '.' || name === '..')).toEqual(['.', '..']);
    const args = { dir, cookie: 0n, cookieverf: new Uint8Array(8), count: 100 };
    expect((await client.call('READDIR', args)).status).toBe(nfs.NFS3ERR_TOOSMALL);
    const file = await lookup('kept-0');
    expect((await client.call('READDIR', { ...args, dir: file, count: 1000 })).status).toBe(
      nfs.NFS3ERR_NOTDIR,
    );
    const foreign = { ...args, cookie: 5n, cookieverf: bytes('foreign!'), count: 1000 };
    expect((await client.call('READDIR', foreign)).status).toBe(nfs.NFS3ERR_BAD_COOKIE);
  });

  test('READDIRPLUS has the attributes and handles that LOOKUP has, within its limits', async () => {
    await create('file', 'four');
    mkdirSync(join(path, 'd'));
    const args = { dir, cookie: 0n, cookieverf: new Uint8Array(8), dircount: 4096, maxcount: 8192 };
    const page = ok(await client.call('READDIRPLUS', args));
    expect(page.eof).toBe(true);
    const file = page.entries.find(({ name }) => Buffer.from(name).toString() === 'file')!;
    expect([file.name_handle, file.name_attributes?.size]).toEqual([await lookup('file'), 4]);
    expect(file.fileid).toBe(file.name_attributes?.fileid);
    const some = ok(await client.call('READDIRPLUS', { ...args, maxcount: 600 }));
    expect([some.eof, some.entries.length]).toEqual([false, 2]);
    expect((await client.call('READDIRPLUS', { ...args, maxcount: 120 })).status).toBe(nfs.NFS3ERR_TOOSMALL);
  });

  test('FSSTAT, FSINFO and PATHCONF say what the file system says', async () => {
    const stat = ok(await client.call('FSSTAT', { fsroot: dir }));
    const df = execFileSync('df', ['-B1', '--output=size', path], { encoding: 'utf8' });
    expect(stat.tbytes).toBe(Number(df.split('\n')[1]));
    const info = ok(await client.call('FSINFO', { fsroot: dir }));
    expect([info.rtmax, info.wtmax, info.time_delta]).toEqual([
      nfs.NFS3_IO_SIZE_MAX,
      nfs.NFS3_IO_SIZE_MAX,
      { seconds: 0, nseconds: 1 },
    ]);
    const conf = ok(await client.call('PATHCONF', { object: dir }));
    expect(conf).toMatchObject({ name_max: 255, no_trunc: true, case_preserving: true });
    expect(conf.linkmax).toBeGreaterThan(100);
  });

  test('names are bytes: not UTF-8, 255 of them, but neither slash nor NUL', async () => {
    const odd = new Uint8Array([0xff, 0xfe, 0x80, 0x20, 0x0a, 0x5c]);
    const how = { mode: nfs.GUARDED, obj_attributes: MODE(0o644) };
    const made = ok(await client.call('CREATE', { where: where(odd), how }));
    const found = ok(await client.call('LOOKUP', { what: where(odd) }));
    expect(found.object).toEqual(made.obj);
    ok(await client.call('CREATE', { where: where('n'.repeat(255)), how }));
    const status = async (name: string): Promise<number> =>
      (await client.call('CREATE', { where: where(name), how })).status;
    expect(await status('n'.repeat(256))).toBe(nfs.NFS3ERR_NAMETOOLONG);
    for (const name of ['', 'a/b', '/etc/x', '../x', 'a\0b']) {
      expect([name, await status(name)]).toEqual([name, nfs.NFS3ERR_ACCES]);
    }
    expect(await status('.')).toBe(nfs.NFS3ERR_EXIST);
    expect(await status('..')).toBe(nfs.NFS3ERR_EXIST);
  });

  test('handles survive renames, a restart, and what others do to the volume', async () => {
    const file = await create('file', 'content');
    mkdirSync(join(path, 'd', 'e'), { recursive: true });
    const d = await lookup('d');
    const gone = await create('gone');
    client.close();
    await thread.close('local', 'fence');
    renameSync(join(path, 'file'), join(path, 'd', 'e', 'elsewhere'));
    unlinkSync(join(path, 'gone'));
    writeFileSync(join(path, 'gone'), 'another one');
    await start();
    const read = ok(await client.call('READ', { file, offset: 0, count: 100 }));
    expect(Buffer.from(read.data).toString()).toBe('content');
    const inside = ok(await client.call('LOOKUP', { what: { dir: d, name: bytes('e') } }));
    expect(inside.obj_attributes?.type).toBe(nfs.NF3DIR);
    expect((await client.call('GETATTR', { object: gone })).status).toBe(nfs.NFS3ERR_STALE);
  });
});
