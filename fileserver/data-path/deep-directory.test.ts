/**
 * A directory more than 2,048 levels below its export's, on a volume that is no mount of its own: there it is looked at whether a
 * directory still lies inside.
 */
import { execFileSync } from 'node:child_process';
import { renameSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import * as nfs from '../../protocol/nfs3.ts';
import { pause } from '../../testing/pause.ts';
import { AT_FDCWD, close, makeDirectoryAt, O_DIRECTORY, openAt } from '../system/file-calls.ts';
import { OPEN } from '../system/open-gate.fixture.ts';
import { mount, openMessage, TestDataThread, temporaryDirectory } from './data-thread.fixture.ts';
import { RpcClient, userCredential } from './rpc-client.fixture.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const USER = { credential: userCredential(process.geteuid!(), process.getegid!()) };
const how = { ...nfs.SATTR3_NOTHING, mode: 0o755 };
/** Made by the server's machine, as each MKDIR waits for the disk; and by a client, beyond the 2,048. */
const GIVEN = 2045;
const MADE = 55;

let volume: ReturnType<typeof temporaryDirectory>;
let thread: TestDataThread;
let client: RpcClient;
beforeEach(async () => {
  volume = temporaryDirectory();
  makeDeep(volume.path, GIVEN);
  thread = new TestDataThread();
  client = await RpcClient.connect((await thread.open(openMessage(volume.path))).port);
});
afterEach(async () => {
  client.close();
  await thread.close('local', 'fence');
  await thread.stop();
  execFileSync('rm', ['-rf', volume.path]);
});

/** By descriptors: a path ends at 4,095 bytes. */
function makeDeep(path: string, levels: number): void {
  let dir = openAt(AT_FDCWD, bytes(path), O_DIRECTORY);
  for (let level = 0; level < levels; level++) {
    makeDirectoryAt(OPEN, dir, bytes('d'), 0o755);
    const next = openAt(dir, bytes('d'), O_DIRECTORY);
    close(dir);
    dir = next;
  }
  close(dir);
}

const at = (dir: Uint8Array): nfs.diropargs3 => ({ dir, name: bytes('d') });
const name = ({ status }: { status: number }): string => nfs.nfsstat3Name(status as nfs.nfsstat3);

/** As clients do: a server that is busy with looking where files lie has them ask again (NFS3ERR_JUKEBOX). */
async function answered<R extends { status: number }>(ask: () => Promise<R>): Promise<R> {
  for (;;) {
    const result = await ask();
    if (result.status !== nfs.NFS3ERR_JUKEBOX) return result;
    await pause(20, 'the time that a client lets pass');
  }
}

async function descend(from: Uint8Array, levels: number): Promise<Uint8Array[]> {
  const way = [from];
  for (let level = 0; level < levels; level++) {
    const found = await answered(() => client.call('LOOKUP', { what: at(way.at(-1)!) }, USER));
    if (found.status !== nfs.NFS3_OK) throw new Error(`level ${level}: ${name(found)}`);
    way.push(found.object);
  }
  return way;
}

// Without root files are found by name, and names end at 2,048 levels (storage/volume/path-index.ts).
test.runIf(process.geteuid!() === 0)(
  'is made, listed and removed by its maker, and stale while it lies outside',
  async () => {
    const way = await descend(await mount(client, '/data'), GIVEN);
    for (let level = 0; level < MADE; level++) {
      const made = await answered(() =>
        client.call('MKDIR', { where: at(way.at(-1)!), attributes: how }, USER),
      );
      if (made.status !== nfs.NFS3_OK) throw new Error(`level ${GIVEN + level}: ${name(made)}`);
      way.push(made.obj!);
    }
    const last = way.at(-1)!;
    const attributes = async (): Promise<string> =>
      name(await answered(() => client.call('GETATTR', { object: last }, USER)));
    // Each second it is looked at anew.
    await pause(1500, 'each second it is looked at anew');
    expect(await attributes()).toBe('NFS3_OK');
    const dir = way.at(-2)!;
    const list = { dir, cookie: 0n, cookieverf: new Uint8Array(8), count: 4096 };
    const listed = await answered(() => client.call('READDIR', list as never, USER));
    expect(name(listed)).toBe('NFS3_OK');

    const outside = temporaryDirectory();
    const top = join(volume.path, 'd');
    renameSync(top, join(outside.path, 'd'));
    await expect.poll(attributes, { timeout: 60_000 }).toBe('NFS3ERR_STALE');
    renameSync(join(outside.path, 'd'), top);
    outside.remove();
    await expect.poll(attributes, { timeout: 60_000 }).toBe('NFS3_OK');

    for (const parent of way.slice(GIVEN, -1).toReversed())
      expect(name(await answered(() => client.call('RMDIR', { object: at(parent) }, USER)))).toBe('NFS3_OK');
  },
);
