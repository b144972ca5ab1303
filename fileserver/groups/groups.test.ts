/**
 * Groups of users in more than the 16 groups that a credential can carry: looked up on the server, without anybody waiting but
 * those who ask for that user.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BroadcastChannel } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import * as nfs from '../../protocol/nfs3.ts';
import { mount, openMessage, TestDataThread, temporaryDirectory } from '../data-path/data-thread.fixture.ts';
import { RpcClient, userCredential } from '../data-path/rpc-client.fixture.ts';
import { GroupDirectory } from './group-directory.ts';
import type { GroupMessage } from './messages.ts';

const isRoot = process.geteuid!() === 0;
let channelName: string;
let service: BroadcastChannel;
let questions: number[];
let answerWith: (uid: number) => void;
let count = 0;

/** The test is the name service: it answers when it likes. */
beforeEach(() => {
  channelName = `groups-test-${process.pid}-${count++}`;
  service = new BroadcastChannel(channelName);
  questions = [];
  answerWith = () => {};
  service.onmessage = (event: unknown) => {
    const message = (event as { data: GroupMessage }).data;
    if (message.kind !== 'question') return;
    questions.push(message.uid);
    answerWith(message.uid);
  };
});
afterEach(() => service.close());

const answer = (uid: number, groups: number[] | null, error: string | null = null): void =>
  service.postMessage({ kind: 'answer', uid, groups, error } satisfies GroupMessage);

test.runIf(isRoot)('the name services of the machine are asked: primary and supplementary groups', () => {
  const directory = mkdtempSync(join(tmpdir(), 'filerpair-groups-'));
  try {
    const groups = Array.from({ length: 40 }, (_, i) => `team${i}:x:${5000 + i}:many`);
    writeFileSync(join(directory, 'group'), `root:x:0:\nmany:x:4000:\n${groups.join('\n')}\n`);
    writeFileSync(join(directory, 'passwd'), 'root:x:0:0::/:/bin/sh\nmany:x:4000:4000::/:/bin/sh\n');
    const module = new URL('../system/user-groups.ts', import.meta.url).href;
    const program = `import(${JSON.stringify(module)}).then(({ groupsOfUser }) =>
      console.log(JSON.stringify([groupsOfUser(4000), groupsOfUser(4001)])))`;
    const script =
      'mount --bind "$1/group" /etc/group && mount --bind "$1/passwd" /etc/passwd && exec "$2" -e "$3"';
    const command = [
      '--mount',
      '--propagation',
      'private',
      'sh',
      '-c',
      script,
      'sh',
      directory,
      process.execPath,
      program,
    ];
    const [many, nobody] = JSON.parse(execFileSync('unshare', command, { encoding: 'utf8' }));
    expect(many.sort()).toEqual([4000, ...groups.map((_, i) => 5000 + i)]);
    expect(nobody).toBe(null);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});

describe('the directory of a data thread', () => {
  let directory: GroupDirectory;
  afterEach(() => directory.close());
  const known = (uid: number): Promise<readonly number[] | null | undefined> =>
    new Promise((resolve) => directory.wait(uid, () => resolve(directory.find(uid))));

  test('asks once, however many wait, and remembers', async () => {
    directory = new GroupDirectory({ channelName });
    expect(directory.find(7)).toBe(undefined);
    expect(directory.find(7)).toBe(undefined);
    const waiting = [known(7), known(7)];
    answer(7, [1, 2, 3]);
    expect(await Promise.all(waiting)).toEqual([
      [1, 2, 3],
      [1, 2, 3],
    ]);
    expect(questions).toEqual([7]);
    expect(directory.find(7)).toEqual([1, 2, 3]);
  });

  test('of an unknown user, and without an answer, the credential counts; a late answer counts from then on', async () => {
    directory = new GroupDirectory({ channelName, patienceMs: 30 });
    directory.find(8);
    answer(8, null);
    expect(await known(8)).toBe(null);
    directory.find(9);
    expect(await known(9)).toBe(null);
    const before = directory.generation;
    answer(9, [4]);
    await expect.poll(() => directory.find(9)).toEqual([4]);
    expect(directory.generation).toBeGreaterThan(before);
  });

  test('an error leaves what was known; what has become old is asked again in the background', async () => {
    directory = new GroupDirectory({ channelName, freshMs: 20 });
    directory.find(10);
    answer(10, [5]);
    expect(await known(10)).toEqual([5]);
    answerWith = (uid) => answer(uid, null, 'no route to the name service');
    await expect.poll(() => directory.find(10) && questions.length).toBeGreaterThan(1);
    expect(directory.find(10)).toEqual([5]);
  });
});

test.runIf(isRoot)(
  'a member by the server’s word is let in; while that user’s groups are not known no other user waits',
  async () => {
    const directory = temporaryDirectory(existsSync('/dev/shm') ? '/dev/shm' : undefined);
    const thread = new TestDataThread(undefined, undefined, channelName);
    let client: RpcClient | null = null;
    try {
      chmodSync(directory.path, 0o755);
      mkdirSync(join(directory.path, 'shared'));
      chownSync(join(directory.path, 'shared'), 0, 3000);
      chmodSync(join(directory.path, 'shared'), 0o770);
      const { port } = await thread.open(openMessage(directory.path));
      client = await RpcClient.connect(port);
      const dir = await mount(client, '/data/shared');
      const how: nfs.createhow3 = { mode: nfs.GUARDED, obj_attributes: nfs.SATTR3_NOTHING };
      const create = (name: string, uid: number, gids: number[]) =>
        client!.call(
          'CREATE',
          { where: { dir, name: new TextEncoder().encode(name) }, how },
          { credential: userCredential(uid, 1000, gids) },
        );
      const waiting = create('by-member', 1000, []);
      await expect.poll(() => questions).toContain(1000);
      // The name service is still thinking; the same connection serves root.
      expect((await client.call('GETATTR', { object: dir })).status).toBe(nfs.NFS3_OK);
      const groups = [1000, ...Array.from({ length: 30 }, (_, i) => 2971 + i)];
      // Each thread asks for itself.
      answerWith = (uid) => answer(uid, groups);
      answer(1000, groups);
      expect((await waiting).status).toBe(nfs.NFS3_OK);
      // What the client claims does not count where the server knows better.
      answerWith = (uid) => answer(uid, [uid]);
      expect((await create('by-impostor', 1001, [3000])).status).toBe(nfs.NFS3ERR_ACCES);
    } finally {
      client?.close();
      await thread.close('local', 'fence');
      await thread.stop();
      directory.remove();
    }
  },
);
