/**
 * A server in a user namespace that has the ids 0 to 65,535, as in a pod with `hostUsers: false`. Others become the anonymous
 * ones: the kernel would leave the thread what it is, which is root.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, readlinkSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import * as nfs from '../../protocol/nfs3.ts';
import type { ExportSpec } from '../settings/export-spec.ts';
import type { FromDataThread } from '../threads/messages.ts';
import { EVERYBODY, mount, openMessage, temporaryDirectory } from './data-thread.fixture.ts';
import type { OpenInProcess } from './data-thread-process.fixture.ts';
import { RpcClient, userCredential } from './rpc-client.fixture.ts';

const isRoot = process.geteuid!() === 0;
const ANONYMOUS = EVERYBODY.anonymousUid;

let directory: ReturnType<typeof temporaryDirectory>;
let child: ChildProcess;
beforeEach(() => {
  directory = temporaryDirectory();
  chmodSync(directory.path, 0o777);
});
afterEach(() => {
  child.kill('SIGKILL');
  directory.remove();
});

/** Its user namespace is made first, then mapped from outside, and then the server is started in it: as root there. */
async function open(overrides: Partial<ExportSpec> = {}): Promise<FromDataThread> {
  const fixture = new URL('./data-thread-process.fixture.ts', import.meta.url).pathname;
  const script = 'read mapped && exec "$0" "$@"';
  child = spawn('unshare', ['--user', 'sh', '-c', script, process.execPath, fixture], {
    stdio: ['pipe', 'inherit', 'inherit', 'ipc'],
  });
  const namespace = `/proc/${child.pid}/ns/user`;
  await expect.poll(() => readlinkSync(namespace)).not.toBe(readlinkSync('/proc/self/ns/user'));
  for (const map of ['uid_map', 'gid_map']) writeFileSync(`/proc/${child.pid}/${map}`, '0 0 65536\n');
  child.stdin!.write('\n');
  const answer = new Promise<FromDataThread>((resolve, reject) => {
    child.on('message', (message: FromDataThread) => {
      if (message.kind === 'opened' || message.kind === 'openFailed') resolve(message);
    });
    child.once('exit', (code, signal) => reject(new Error(`ended before it served: ${code ?? signal}`)));
  });
  const exports = [{ path: '/data', volume: 'data', ...EVERYBODY, ...overrides }];
  const order: OpenInProcess = { message: openMessage(directory.path, { exports }), testing: {} };
  child.send(order);
  return answer;
}

describe.runIf(isRoot)('in a user namespace', () => {
  test('who does not exist in it is anonymous, with every group that does not, and the server lives', async () => {
    const opened = await open();
    if (opened.kind !== 'opened') throw new Error(JSON.stringify(opened));
    const client = await RpcClient.connect(opened.port);
    const dir = await mount(client, '/data');
    const how: nfs.createhow3 = { mode: nfs.GUARDED, obj_attributes: nfs.SATTR3_NOTHING };
    const create = async (name: string, uid: number, gid: number, gids: number[] = []): Promise<number[]> => {
      const where = { dir, name: new TextEncoder().encode(name) };
      const made = await client.call(
        'CREATE',
        { where, how },
        { credential: userCredential(uid, gid, gids) },
      );
      expect(made.status).toBe(nfs.NFS3_OK);
      const { uid: owner, gid: group } = statSync(join(directory.path, name));
      return [owner, group];
    };
    expect(await create('group', 1000, 1000, [70_000])).toEqual([1000, 1000]);
    expect(await create('primary', 1000, 70_000)).toEqual([1000, ANONYMOUS]);
    expect(await create('user', 70_000, 1000)).toEqual([ANONYMOUS, ANONYMOUS]);
    expect(await create('last', 0xfffffffe, 0xfffffffe, [0xfffffffe])).toEqual([ANONYMOUS, ANONYMOUS]);
    expect(await create('known', 65_535, 65_535)).toEqual([65_535, 65_535]);
    client.close();
  });

  test.each([{ anonymousUid: 70_000 }, { anonymousGid: 70_000 }])(
    'an export with %o is refused',
    async (ids) => {
      expect(await open(ids)).toMatchObject({
        kind: 'openFailed',
        reason: 'InvalidExport',
        message: expect.stringContaining("70000 does not exist in this server's user namespace"),
      });
    },
  );
});
