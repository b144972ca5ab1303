/**
 * The core of what clients do, on servers with different privileges and limits. They are root, root without the capabilities that
 * open handles and pass by permissions, an ordinary user, root of a user namespace, and root with few descriptors and a small
 * pool.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import * as nfs from '../../protocol/nfs3.ts';
import { ConfinedServer } from './confined-server.fixture.ts';
import { mount, openMessage, temporaryDirectory } from './data-thread.fixture.ts';
import { ROOT, RpcClient, userCredential } from './rpc-client.fixture.ts';

interface Privileges {
  readonly name: string;
  /** A command that executes the words behind it with these privileges. */
  readonly prefix: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** As whom the server runs on the machine; the volume belongs to this user. */
  readonly uid?: number;
  /** The server takes on users' identities. */
  readonly isRoot: boolean;
  /** A file that the server did not make in this life, and whose mode keeps the server out. OK: opened all the same. */
  readonly closedFile: 'NFS3_OK' | 'NFS3ERR_ACCES';
}

/** Each starts two processes with all their threads. */
const TIMEOUT_MS = 180_000;

const isRoot = process.geteuid!() === 0;
const NOBODY = 65534;
const without = (...capabilities: string[]): readonly string[] => {
  const list = capabilities.map((one) => `-${one}`).join(',');
  return ['setpriv', `--bounding-set=${list}`, `--inh-caps=${list}`];
};
const nobody = ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'] as const;

const AS_ROOT: readonly Privileges[] = [
  { name: 'root', prefix: ['env'], isRoot: true, closedFile: 'NFS3_OK' },
  {
    name: 'root without CAP_DAC_READ_SEARCH',
    prefix: without('dac_read_search'),
    isRoot: true,
    closedFile: 'NFS3_OK',
  },
  {
    name: 'root without CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH',
    prefix: without('dac_override', 'dac_read_search'),
    isRoot: true,
    // The server opens files as itself: it can't keep the rule that an owner may always read and write (RFC 1813 §4.4).
    closedFile: 'NFS3ERR_ACCES',
  },
  { name: 'an ordinary user', prefix: nobody, uid: NOBODY, isRoot: false, closedFile: 'NFS3_OK' },
  {
    name: 'root of a user namespace, an ordinary user of the machine',
    prefix: [...nobody, 'unshare', '--user', '--map-root-user'],
    uid: NOBODY,
    isRoot: false,
    closedFile: 'NFS3_OK',
  },
  {
    name: 'root with 1,024 descriptors and a pool of 4',
    prefix: ['prlimit', '--nofile=1024:1024'],
    env: { UV_THREADPOOL_SIZE: '4' },
    isRoot: true,
    closedFile: 'NFS3_OK',
  },
];
const AS_USER: readonly Privileges[] = [
  {
    name: 'an ordinary user with 1,024 descriptors and a pool of 4',
    prefix: ['prlimit', '--nofile=1024:1024'],
    env: { UV_THREADPOOL_SIZE: '4' },
    isRoot: false,
    closedFile: 'NFS3_OK',
  },
];

/** Why this machine does not grant them, as a sentence; empty: it does. */
function refusedHere({ prefix }: Privileges): string {
  try {
    execFileSync(prefix[0]!, [...prefix.slice(1), 'true'], { stdio: ['ignore', 'ignore', 'pipe'] });
    return '';
  } catch (error) {
    return ` (skipped: ${prefix.join(' ')} fails: ${(error as Error).message.trim().split('\n').at(-1)})`;
  }
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const how: nfs.createhow3 = { mode: nfs.GUARDED, obj_attributes: { ...nfs.SATTR3_NOTHING, mode: 0o600 } };
const credential = userCredential(1000, 1000, [1001]);

let directory: { path: string; remove: () => void };
let servers: ConfinedServer[];
beforeEach(() => {
  directory = temporaryDirectory();
  servers = [];
});
afterEach(async () => {
  for (const server of servers) await server.stop();
  directory.remove();
});

describe.each(isRoot ? AS_ROOT : AS_USER)('$name', (privileges) => {
  const refused = refusedHere(privileges);
  test.skipIf(refused !== '')(
    `makes, writes, reads, renames, lists, removes, takes over${refused}`,
    async () => {
      const { prefix, env, uid, closedFile } = privileges;
      if (uid !== undefined) chownSync(directory.path, uid, uid);
      chmodSync(directory.path, 0o777);
      // Both at once: the second process loads its code while the first one serves.
      const first = new ConfinedServer(prefix, env);
      const second = new ConfinedServer(prefix, env);
      servers = [first, second];
      const open = async (server: ConfinedServer, epoch: number): Promise<RpcClient> => {
        const message = openMessage(directory.path, { epoch, incarnation: `filer-a/${epoch}` });
        return RpcClient.connect(await server.open(message));
      };
      const faults = (server: ConfinedServer): unknown[] =>
        server.messages.filter(({ kind }) => kind === 'fault');
      const status = async (call: Promise<{ readonly status: number }>): Promise<string> =>
        nfs.nfsstat3Name((await call).status as nfs.nfsstat3);

      let client = await open(first, 1);
      const root = await mount(client, '/data');
      const where = { dir: root, name: bytes('file') };
      const made = await client.call('CREATE', { where, how }, { credential });
      expect(nfs.nfsstat3Name(made.status)).toBe('NFS3_OK');
      const file = made.status === nfs.NFS3_OK ? made.obj! : root;
      if (made.status === nfs.NFS3_OK && privileges.isRoot) expect(made.obj_attributes?.uid).toBe(1000);
      const write = (stable: nfs.stable_how) => {
        const args = { file, offset: 0, count: 7, stable, data: bytes('content') };
        return status(client.call('WRITE', args, { credential }));
      };
      for (const stable of [nfs.UNSTABLE, nfs.DATA_SYNC, nfs.FILE_SYNC])
        expect(await write(stable)).toBe('NFS3_OK');
      const read = (by = credential) =>
        client.call('READ', { file, offset: 0, count: 100 }, { credential: by });
      expect(await read()).toMatchObject({ status: nfs.NFS3_OK, data: bytes('content') });
      if (privileges.isRoot) expect(await status(read(userCredential(2000, 2000)))).toBe('NFS3ERR_ACCES');
      const attributes = nfs.SATTR3_NOTHING;
      const dir = { where: { dir: root, name: bytes('dir') }, attributes };
      expect(await status(client.call('MKDIR', dir, { credential }))).toBe('NFS3_OK');
      // A file that its owner may write and not read.
      const dropBox = { dir: root, name: bytes('drop-box') };
      const hidden = { mode: nfs.GUARDED, obj_attributes: { ...nfs.SATTR3_NOTHING, mode: 0o200 } } as const;
      const box = await client.call('CREATE', { where: dropBox, how: hidden }, { credential });
      if (box.status !== nfs.NFS3_OK) throw new Error(`CREATE: ${box.status}`);
      const drop = { file: box.obj!, offset: 0, count: 1, stable: nfs.UNSTABLE, data: bytes('x') } as const;
      expect(await status(client.call('WRITE', drop, { credential }))).toBe('NFS3_OK');
      expect(faults(first)).toEqual([]);
      client.close();
      await first.stop();

      // The next owner takes over what the killed server left, and knows the same handles.
      client = await open(second, 2);
      await mount(client, '/data');
      const again = await read();
      expect(nfs.nfsstat3Name(again.status)).toBe(closedFile);
      if (again.status === nfs.NFS3_OK) expect(again.data).toEqual(bytes('content'));
      expect(await write(nfs.FILE_SYNC)).toBe(closedFile);
      const commit = { file: box.obj!, offset: 0, count: 0 };
      expect(await status(client.call('COMMIT', commit, { credential }))).toBe('NFS3_OK');
      const to = { dir: root, name: bytes('moved') };
      expect(await status(client.call('RENAME', { from: where, to }, { credential }))).toBe('NFS3_OK');
      const listing = { dir: root, cookie: 0n, cookieverf: new Uint8Array(8), count: 4096 };
      expect(await status(client.call('READDIR', listing, { credential: ROOT }))).toBe('NFS3_OK');
      expect(await status(client.call('REMOVE', { object: to }, { credential }))).toBe('NFS3_OK');
      expect(await status(client.call('GETATTR', { object: file }, { credential }))).toBe('NFS3ERR_STALE');
      expect(await status(client.call('RMDIR', { object: dir.where }, { credential }))).toBe('NFS3_OK');
      expect(faults(second)).toEqual([]);
      client.close();
      await second.close('quiesce');
    },
    TIMEOUT_MS,
  );
});
