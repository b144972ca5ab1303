/**
 * What becomes of a volume: copied, restored, set back to a snapshot, not mounted. Handles of before open what they stood for, or
 * nothing; the server says what it found. On real file systems, as root only; on the temporary directory, always.
 */
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import * as nfs from '../../protocol/nfs3.ts';
import { readVolumeRecord } from '../storage/ownership/volume-record.ts';
import { hasSharedExtents } from '../system/shared-extents.ts';
import type { OpenMessage } from '../threads/messages.ts';
import { mount, openMessage, TestDataThread, temporaryDirectory } from './data-thread.fixture.ts';
import { DiskImage, diskImage, loopTypes } from './file-systems.fixture.ts';
import { RpcClient, userCredential } from './rpc-client.fixture.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const USER = { credential: userCredential(process.geteuid!(), process.getegid!()) };
const how = { mode: nfs.UNCHECKED, obj_attributes: { ...nfs.SATTR3_NOTHING, mode: 0o600 } } as const;
const READ_SIZE = 100;

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

let thread: TestDataThread;
let temporary: ReturnType<typeof temporaryDirectory>;
let images: DiskImage[];
beforeAll(() => {
  thread = new TestDataThread();
});
afterAll(() => thread.stop());
beforeEach(() => {
  thread.messages.length = 0;
  temporary = temporaryDirectory();
  images = [];
});
afterEach(async () => {
  await thread.close('local', 'fence');
  for (const image of images) image.remove();
  temporary.remove();
});

function image(type: string, from?: DiskImage): DiskImage {
  const made = from === undefined ? diskImage(type) : new DiskImage(type, 0, from);
  images.push(made);
  return made;
}

/** A client of the volume while it is served once. */
class Visit {
  readonly client: RpcClient;
  readonly root: Uint8Array;

  constructor(client: RpcClient, root: Uint8Array) {
    this.client = client;
    this.root = root;
  }

  /** A file that holds its own name. */
  async make(name: string): Promise<Uint8Array> {
    const made = await this.client.call(
      'CREATE',
      { where: { dir: this.root, name: bytes(name) }, how },
      USER,
    );
    if (made.status !== nfs.NFS3_OK) throw new Error(`CREATE: ${nfs.nfsstat3Name(made.status)}`);
    const data = bytes(name);
    const args = { file: made.obj!, offset: 0, count: data.length, stable: nfs.FILE_SYNC, data };
    const { status } = await this.client.call('WRITE', args, USER);
    if (status !== nfs.NFS3_OK) throw new Error(`WRITE: ${nfs.nfsstat3Name(status)}`);
    return made.obj!;
  }

  /** What the file holds, or the status of READ. */
  async read(file: Uint8Array): Promise<string> {
    const read = await this.client.call('READ', { file, offset: 0, count: READ_SIZE }, USER);
    return read.status === nfs.NFS3_OK ? Buffer.from(read.data).toString() : nfs.nfsstat3Name(read.status);
  }

  async write(file: Uint8Array): Promise<string> {
    const args = { file, offset: 0, count: 1, stable: nfs.FILE_SYNC, data: bytes('!') };
    return nfs.nfsstat3Name((await this.client.call('WRITE', args, USER)).status);
  }

  async lookup(name: string): Promise<Uint8Array> {
    const found = await this.client.call('LOOKUP', { what: { dir: this.root, name: bytes(name) } }, USER);
    if (found.status !== nfs.NFS3_OK) throw new Error(`LOOKUP: ${nfs.nfsstat3Name(found.status)}`);
    return found.object;
  }
}

async function serve<T>(
  path: string,
  epoch: number,
  work: (visit: Visit) => Promise<T>,
  overrides: Partial<OpenMessage> = {},
): Promise<T> {
  const message = openMessage(path, { epoch, incarnation: `filer-a/test/${epoch}`, ...overrides });
  const { port } = await thread.open(message);
  const client = await RpcClient.connect(port);
  try {
    return await work(new Visit(client, await mount(client, '/data')));
  } finally {
    client.close();
    await thread.close('local', 'quiesce');
  }
}

const said = (level: 'info' | 'warn'): string[] =>
  thread.messages.flatMap((one) => (one.kind === 'log' && one.level === level ? [one.message] : []));
const COPIED =
  /^volume data at \S+ was copied or restored: it was served last in file system .*, directory [0-9a-f]+; now it lies in file system .*\. File handles from before are stale: clients have to mount it again$/;

/** The names with which rsync and most backups begin come first. */
function copyFileByFile(from: string, to: string, flush: boolean): void {
  const names = readdirSync(from).toSorted();
  for (const [index, name] of names.entries()) {
    execFileSync('cp', ['-a', join(from, name), to]);
    // A file system commits by itself every now and then, which counts on btrfs' generations.
    if (flush && index % 9 === 8) execFileSync('sync', ['-f', to]);
  }
}

describe('copied file by file', () => {
  const FILES = 60;

  test.skipIf(loopTypes.length === 0).each(loopTypes)(
    'to a new %s: all old handles are stale, and the log says so',
    async (type) => {
      const [from, to] = [image(type), image(type)];
      const handles = await serve(from.mount(), 1, async (visit) => {
        const all: Uint8Array[] = [visit.root];
        for (let i = 0; i < FILES; i++) {
          all.push(await visit.make(`file-${i}`));
          if (i % 10 === 9) execFileSync('sync', ['-f', from.path]);
        }
        return all;
      });
      copyFileByFile(from.path, to.mount(), true);
      const fresh = await serve(to.path, 2, async (visit) => {
        for (const handle of handles) {
          expect(await visit.read(handle)).toBe('NFS3ERR_STALE');
          expect(await visit.write(handle)).toBe('NFS3ERR_STALE');
        }
        const handle = await visit.lookup('file-7');
        expect(await visit.read(handle)).toBe('file-7');
        return handle;
      });
      expect(said('warn')).toEqual([expect.stringMatching(COPIED)]);
      // From then on it lies where it was: handles stay.
      expect(await serve(to.path, 3, (visit) => visit.read(fresh))).toBe('file-7');
      expect(said('warn')).toHaveLength(1);
    },
  );

  test('within one file system: old handles do not open the files of the original', async () => {
    const original = join(temporary.path, 'original');
    const copy = join(temporary.path, 'copy');
    mkdirSync(original);
    const handle = await serve(original, 1, (visit) => visit.make('file'));
    execFileSync('cp', ['-a', original, copy]);
    await serve(copy, 2, async (visit) => {
      expect(await visit.read(handle)).toBe('NFS3ERR_STALE');
      expect(await visit.read(await visit.lookup('file'))).toBe('file');
    });
    expect(said('warn').filter((one) => COPIED.test(one))).toHaveLength(1);
  });

  test('renamed as a whole it is the same volume: handles stay', async () => {
    const before = join(temporary.path, 'before');
    const after = join(temporary.path, 'after');
    mkdirSync(before);
    const handle = await serve(before, 1, (visit) => visit.make('file'));
    renameSync(before, after);
    expect(await serve(after, 2, (visit) => visit.read(handle))).toBe('file');
    expect(said('warn').filter((one) => COPIED.test(one))).toEqual([]);
  });

  test('a copy does not keep the write verifier, which says that nothing unstable was lost', async () => {
    const original = join(temporary.path, 'original');
    const copy = join(temporary.path, 'copy');
    mkdirSync(original);
    const verifier = async (path: string, epoch: number) =>
      serve(path, epoch, async (visit) => {
        const file = await visit.make('file');
        const result = await visit.client.call('COMMIT', { file, offset: 0, count: 0 }, USER);
        return result.status === nfs.NFS3_OK ? Buffer.from(result.verf).toString('hex') : result.status;
      });
    const first = await verifier(original, 1);
    expect(await verifier(original, 2)).toBe(first);
    execFileSync('cp', ['-a', original, copy]);
    expect(await verifier(copy, 3)).not.toBe(first);
  });
});

test.skipIf(loopTypes.length === 0).each(loopTypes)(
  'copied by block, %s: the same place on another disk, so handles stay',
  async (type) => {
    const from = image(type);
    const handle = await serve(from.mount(), 1, (visit) => visit.make('file'));
    from.unmount();
    const copy = image(type, from);
    expect(await serve(copy.mount(), 2, (visit) => visit.read(handle))).toBe('file');
    expect(said('warn')).toEqual([]);
  },
);

test.skipIf(loopTypes.length === 0).each(loopTypes)(
  'set back to a snapshot of its blocks, %s: handles of files made since do not open files made afterwards',
  async (type) => {
    const disk = image(type);
    const kept = await serve(disk.mount(), 1, (visit) => visit.make('kept'));
    disk.unmount();
    const snapshot = image(type, disk);
    const make = (names: readonly string[]) => async (visit: Visit) => {
      const all: Uint8Array[] = [];
      for (const name of names) all.push(await visit.make(name));
      return all;
    };
    const lost = await serve(disk.mount(), 2, make(['alice-1', 'alice-2', 'alice-3']));
    disk.unmount();
    disk.copyFrom(snapshot);
    await serve(disk.mount(), 3, async (visit) => {
      const others = await make(['bob-1', 'bob-2', 'bob-3'])(visit);
      for (const handle of lost) {
        expect(await visit.read(handle)).toBe('NFS3ERR_STALE');
        expect(await visit.write(handle)).toBe('NFS3ERR_STALE');
      }
      for (const [index, handle] of others.entries())
        expect(await visit.read(handle)).toBe(`bob-${index + 1}`);
      expect(await visit.read(kept)).toBe('kept');
    });
  },
);

test.skipIf(!loopTypes.includes('btrfs'))(
  'a btrfs subvolume set back by a snapshot of it: old handles do not open the files of the one that was put aside',
  async () => {
    const disk = image('btrfs');
    const btrfs = (...args: string[]) => execFileSync('btrfs', ['subvolume', ...args], { stdio: 'ignore' });
    const volume = join(disk.mount(), 'volume');
    btrfs('create', volume);
    const handle = await serve(volume, 1, (visit) => visit.make('file'));
    btrfs('snapshot', volume, join(disk.path, 'snapshot'));
    renameSync(volume, join(disk.path, 'broken'));
    btrfs('snapshot', join(disk.path, 'snapshot'), volume);
    await serve(volume, 2, async (visit) => {
      expect(await visit.read(handle)).toBe('NFS3ERR_STALE');
      expect(await visit.write(handle)).toBe('NFS3ERR_STALE');
      expect(await visit.read(await visit.lookup('file'))).toBe('file');
    });
    expect(said('warn')).toEqual([expect.stringMatching(COPIED)]);
  },
);

describe('behind what the Lease knows', () => {
  let disk: string;
  beforeEach(() => {
    disk = join(temporary.path, 'disk');
    mkdirSync(disk);
  });

  const wordFor = (path: string): void => {
    mkdirSync(join(path, '.filerpair'), { recursive: true });
    writeFileSync(join(path, '.filerpair/restored'), '');
  };
  const hasWord = (): boolean => existsSync(join(disk, '.filerpair/restored'));
  const nothing = async (): Promise<void> => {};
  /** What the Lease knows after the volume at the path was served in this epoch. */
  const writtenIn = async (epoch: number) => ({
    written: { epoch, volumes: { data: (await readVolumeRecord(disk))!.uuid } },
  });
  const accepted = () => said('warn').filter((one) => one.includes('It is served all the same'));

  test('not mounted: the empty directory is refused, by home and partner, and nothing is written to it', async () => {
    await serve(disk, 6, (visit) => visit.make('years-of-work'));
    const known = await writtenIn(6);
    renameSync(disk, join(temporary.path, 'not-mounted'));
    mkdirSync(disk);
    const sentence = `VolumeBehind: volume data: ${disk} holds no FilerPair volume, but this volume was served in epoch 6: its disk is not mounted there, or is empty. Mount the volume that was served last; or, if what is there was restored from a backup or is to be served as it is, create the file ${disk}/.filerpair/restored`;
    await expect(serve(disk, 7, nothing, known)).rejects.toThrow(sentence);
    await expect(serve(disk, 8, nothing, { ...known, server: 'filer-b' })).rejects.toThrow(sentence);
    expect(readdirSync(disk)).toEqual([]);
    renameSync(join(temporary.path, 'not-mounted'), disk);
    const read = await serve(
      disk,
      9,
      async (visit) => visit.read(await visit.lookup('years-of-work')),
      known,
    );
    expect(read).toBe('years-of-work');
  });

  test('an administrator says that it is to begin empty: once, and the word is gone', async () => {
    await serve(disk, 6, nothing);
    const known = await writtenIn(6);
    rmSync(disk, { recursive: true });
    wordFor(disk);
    await serve(disk, 7, (visit) => visit.make('new'), known);
    expect(accepted()).toHaveLength(1);
    expect(hasWord()).toBe(false);
    // Until the Lease knows of it, it is another volume than that of epoch 6.
    await expect(serve(disk, 8, nothing, known)).rejects.toThrow(
      /VolumeBehind: .* holds the volume with UUID/,
    );
    await serve(disk, 9, nothing, await writtenIn(7));
  });

  test('an old copy: refused with both epochs, served when it was restored, and handles of then are stale', async () => {
    const old = await serve(disk, 6, (visit) => visit.make('file'));
    execFileSync('cp', ['-a', disk, join(temporary.path, 'backup')]);
    const lost = await serve(disk, 8, (visit) => visit.make('of-epoch-8'));
    const known = await writtenIn(8);
    // Back into the same directory, as rsync restores it: the place is the same.
    for (const name of readdirSync(disk)) rmSync(join(disk, name), { recursive: true });
    execFileSync('cp', ['-a', `${temporary.path}/backup/.`, disk]);
    await expect(serve(disk, 9, nothing, known)).rejects.toThrow(
      `VolumeBehind: volume data: what lies at ${disk} was served last in epoch 6, but this volume was served in epoch 8: it is an old copy, and lacks what was written since`,
    );
    wordFor(disk);
    await serve(
      disk,
      10,
      async (visit) => {
        expect(await visit.read(old)).toBe('NFS3ERR_STALE');
        expect(await visit.read(lost)).toBe('NFS3ERR_STALE');
        expect(await visit.read(await visit.lookup('file'))).toBe('file');
      },
      known,
    );
    expect(accepted()).toHaveLength(1);
    expect(hasWord()).toBe(false);
  });

  test('refused also where it was read during the claim, and accepted by the word that was read then', async () => {
    await serve(disk, 6, nothing);
    const known = { written: { ...(await writtenIn(6)).written, epoch: 8 } };
    const prepare = (epoch: number): void => {
      const { volumes } = openMessage(disk);
      thread.post({ kind: 'prepare', diskSet: 'local', epoch, volumes });
    };
    prepare(9);
    await expect(serve(disk, 9, nothing, known)).rejects.toThrow('VolumeBehind');
    wordFor(disk);
    prepare(10);
    await serve(disk, 10, nothing, known);
    expect(accepted()).toHaveLength(1);
    expect(hasWord()).toBe(false);
  });

  test('the word on a volume that is not behind is taken back, and its handles stay', async () => {
    const handle = await serve(disk, 6, (visit) => visit.make('file'));
    wordFor(disk);
    expect(await serve(disk, 7, (visit) => visit.read(handle), await writtenIn(6))).toBe('file');
    expect(said('warn')).toContainEqual(expect.stringContaining('is not needed and was removed'));
    expect(hasWord()).toBe(false);
  });

  test('a volume that the Lease does not name is made by its home, as ever', async () => {
    await serve(disk, 7, nothing, { written: { epoch: 6, volumes: { another: 'uuid' } } });
    expect(await readVolumeRecord(disk)).not.toBeNull();
  });
});

describe.skipIf(!loopTypes.includes('xfs'))('copied by reflink, xfs', () => {
  const FILES = 40;
  const RECORDS = ['ownership', 'journal.0', 'journal.1', 'journal.2'];

  const reflink = (path: string): void => {
    execFileSync('cp', ['-a', '--reflink=always', join(path, '.filerpair'), join(path, `backup`)]);
  };
  const shared = (path: string): string[] =>
    RECORDS.filter((name) => {
      const fd = openSync(join(path, '.filerpair', name), 'r');
      try {
        return hasSharedExtents(fd);
      } finally {
        closeSync(fd);
      }
    });
  /** To the last block, from outside. */
  const fill = (path: string): void => {
    for (const size of ['1M', '64k', '4k']) {
      execFileSync('sh', [
        '-c',
        'dd if=/dev/zero of="$0" bs="$1" conv=fsync 2>&1 || true',
        join(path, `fill-${size}`),
        size,
      ]);
    }
  };
  const status = (answer: { status: number }): string => nfs.nfsstat3Name(answer.status as nfs.nfsstat3);

  test('journal and ownership record have extents of their own as soon as it is served', async () => {
    const disk = image('xfs');
    await serve(disk.mount(), 1, (visit) => visit.make('file'));
    reflink(disk.path);
    expect(shared(disk.path)).toEqual(RECORDS);
    await serve(disk.path, 2, async () => expect(shared(disk.path)).toEqual([]));
  });

  test('copied while it is served, and then a full disk: what frees space works, and so does a takeover', async () => {
    const disk = image('xfs');
    const names = Array.from({ length: FILES }, (_, i) => `file-${i}`);
    await serve(disk.mount(), 1, async (visit) => {
      let last = visit.root;
      for (const name of names) last = await visit.make(name);
      reflink(disk.path);
      fill(disk.path);
      for (let i = 0; i < 300; i++) {
        const new_attributes = { ...nfs.SATTR3_NOTHING, mode: 0o600 + (i % 2) };
        expect(
          status(await visit.client.call('SETATTR', { object: last, new_attributes, guard: null }, USER)),
        ).toBe('NFS3_OK');
      }
      for (const name of names.slice(FILES / 2)) {
        const object = { dir: visit.root, name: bytes(name) };
        expect(status(await visit.client.call('REMOVE', { object }, USER))).toBe('NFS3_OK');
      }
    });
    expect(existsSync(`${disk.path}/.filerpair/reserve`), 'it is lent').toBe(false);
    await serve(disk.path, 2, async (visit) => {
      for (const name of names.slice(0, FILES / 2)) {
        const object = { dir: visit.root, name: bytes(name) };
        expect(status(await visit.client.call('REMOVE', { object }, USER))).toBe('NFS3_OK');
      }
      for (const size of ['1M', '64k', '4k']) execFileSync('rm', ['-f', join(disk.path, `fill-${size}`)]);
      // Once a second it is tried to take the reserve back; then there is room for everything.
      await expect
        .poll(async () => (await visit.make('new').catch(() => null)) !== null, { timeout: 60_000 })
        .toBe(true);
    });
    expect(thread.messages.filter(({ kind }) => kind === 'fault')).toEqual([]);
  });
});
