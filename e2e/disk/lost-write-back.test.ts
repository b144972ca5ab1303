/**
 * A disk that refuses what the kernel writes back by itself, some time after an UNSTABLE WRITE was answered. Whatever happens
 * to the file's descriptors and to its place in memory meanwhile, no client is told that its data is durable. The volume is
 * given up, and its next owner has another write verifier, so that clients write again what they have not committed.
 */

import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { mount, openMessage, TestDataThread } from '../../fileserver/data-path/data-thread.fixture.ts';
import { RpcClient } from '../../fileserver/data-path/rpc-client.fixture.ts';
import * as nfs from '../../protocol/nfs3.ts';
import { pause } from '../../testing/pause.ts';
import { SeededRandom } from '../../testing/seeded-random.ts';
import {
  DOOMED,
  type FileSystemType,
  type LoopMount,
  missingForDisks,
  RecordingDisk,
} from './recording-disk.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const GUARDED = { mode: nfs.GUARDED, obj_attributes: { ...nfs.SATTR3_NOTHING, mode: 0o600 } } as const;
const TIMEOUT_MS = 240_000;
const BLOCK_SIZE = 4096;
const GOOD = 'This block is as good as any other. ';
const ROUNDS = 30;
const SEED = 5;
/** Longer than descriptors are kept that nobody uses. */
const IDLE_MS_MAX = 90_000;

let disk: RecordingDisk | null = null;
let mounted: LoopMount;
let thread: TestDataThread;
let client: RpcClient;
let root: Uint8Array;
let epoch = 0;

async function set(type: FileSystemType): Promise<void> {
  disk = await RecordingDisk.make(type, { record: false });
  mounted = disk.mount();
  // Else a loop device makes one request of several files' blocks, and takes one that is written in part for a success.
  writeFileSync(`/sys/block/${basename(mounted.device)}/queue/nomerges`, '2');
  mkdirSync(join(mounted.path, 'volume'));
  thread = new TestDataThread();
  epoch = 0;
  await open();
}

async function open(): Promise<void> {
  epoch += 1;
  const { port } = await thread.open(openMessage(join(mounted.path, 'volume'), { epoch }));
  client = await RpcClient.connect(port);
  root = await mount(client, '/data');
}

afterEach(async () => {
  if (disk === null) return;
  client.close();
  await disk.behave({});
  await thread.close('local', 'fence');
  await mounted.unmount();
  await thread.stop();
  await disk.discard();
  disk = null;
});

async function create(name: string): Promise<Uint8Array> {
  const made = await client.call('CREATE', { where: { dir: root, name: bytes(name) }, how: GUARDED });
  if (made.status !== nfs.NFS3_OK) throw new Error(nfs.nfsstat3Name(made.status));
  return made.obj!;
}

async function write(file: Uint8Array, doomed: boolean): Promise<string> {
  const data = Buffer.alloc(BLOCK_SIZE, doomed ? DOOMED : GOOD);
  const args = { file, offset: 0, count: data.length, stable: nfs.UNSTABLE, data };
  const written = await client.call('WRITE', args);
  if (written.status !== nfs.NFS3_OK) throw new Error(nfs.nfsstat3Name(written.status));
  return Buffer.from(written.verf!).toString('hex');
}

/** OK with its verifier, or why not. */
async function commit(file: Uint8Array): Promise<string> {
  try {
    const ended = client.closed.then(() => {
      throw new Error('connection closed');
    });
    const done = await Promise.race([client.call('COMMIT', { file, offset: 0, count: 0 }), ended]);
    return done.status === nfs.NFS3_OK
      ? `OK ${Buffer.from(done.verf!).toString('hex')}`
      : nfs.nfsstat3Name(done.status);
  } catch (error) {
    return (error as Error).message;
  }
}

/** What the kernel does by itself after half a minute. It is told of errors too. */
function writeBack(): void {
  spawnSync('sync', ['-f', mounted.path]);
}

/** Memory is needed for something else: what nobody has open leaves it. */
function forgetFiles(): void {
  // What was used a moment ago is passed over at first.
  for (let i = 0; i < 2; i++) writeFileSync('/proc/sys/vm/drop_caches', '3');
}

function contentOf(name: string): string {
  return readFileSync(join(mounted.path, 'volume', name), 'latin1');
}

function descriptorsOf(name: string): number {
  return readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).endsWith(`/volume/${name}`);
    } catch {
      return false;
    }
  }).length;
}

for (const type of ['ext4', 'xfs'] as const) {
  const possible = missingForDisks(type) === null;

  test.runIf(possible)(
    `${type}: an error of a file that nobody has used for long ends the service, or is told to the COMMIT`,
    async () => {
      await set(type);
      const file = await create('file');
      await disk!.behave({ failDoomed: true });
      const verifier = await write(file, true);
      writeBack();
      await disk!.behave({});
      // The server is told by its own flush at some time, or its descriptors are there for the COMMIT to be told.
      const faulted = (): boolean => thread.messages.some(({ kind }) => kind === 'fault');
      const until = performance.now() + IDLE_MS_MAX;
      while (descriptorsOf('file') > 0 && !faulted() && performance.now() < until)
        await pause(200, 'between two looks at what it has open');
      forgetFiles();
      expect(await commit(file)).not.toContain('OK');
      await expect.poll(faulted).toBe(true);
      expect(thread.messages.find(({ kind }) => kind === 'fault')).toMatchObject({ reason: 'IoError' });
      await thread.close('local', 'quiesce');
      await open();
      expect(await write(await create('next'), false)).not.toBe(verifier);
    },
    TIMEOUT_MS,
  );

  test.runIf(possible)(
    `${type}: write-back that fails at random: what was committed is on the disk, and every loss changes the verifier`,
    async () => {
      await set(type);
      const random = new SeededRandom(SEED);
      let losses = 0;
      for (let round = 0; round < ROUNDS; round++) {
        const names = Array.from({ length: 1 + random.below(12) }, (_, i) => `file-${round}-${i}`);
        const files: Uint8Array[] = [];
        for (const name of names) files.push(await create(name));
        await disk!.behave({ failDoomed: true });
        const doomed = names.map(() => random.below(8) === 0);
        const verifiers: string[] = [];
        for (const [i, file] of files.entries()) {
          verifiers.push(await write(file, doomed[i]!));
          if (random.below(4) === 0) writeBack();
        }
        if (random.below(2) === 0) writeBack();
        // Without write-back by the kernel itself it is the flush of the COMMIT that fails, or nothing at all.
        if (random.below(2) === 0) await disk!.behave({});
        if (random.below(3) === 0) forgetFiles();
        const told = new Map<string, string>();
        for (const [i, file] of files.entries())
          if (random.below(3) > 0) told.set(names[i]!, await commit(file));
        await thread.close('local', random.below(2) === 0 ? 'quiesce' : 'fence');
        await disk!.behave({});
        client.close();
        writeBack();
        writeFileSync('/proc/sys/vm/drop_caches', '3');
        const lost = names.filter((name, i) => !contentOf(name).includes(doomed[i]! ? DOOMED : GOOD));
        await open();
        const next = await write(await create(`after-${round}`), false);
        const summary = { round, told: [...told], verifiers, next, lost };
        if (lost.length > 0) {
          losses += 1;
          expect(verifiers, JSON.stringify(summary)).not.toContain(next);
        }
        // Clients drop what was committed with the verifier that it was written with.
        const dropped = names.filter((name, i) => told.get(name) === `OK ${verifiers[i]}`);
        expect(
          lost.filter((name) => dropped.includes(name)),
          JSON.stringify(summary),
        ).toEqual([]);
      }
      console.log(`${type}: ${losses} of ${ROUNDS} rounds lost data`);
      expect(losses).toBeGreaterThan(0);
    },
    TIMEOUT_MS,
  );
}
