// The owner is killed at a random moment under load, again and again; every call that was not answered is sent again
// to the next owner with the same XID. Each chain of calls is such that any call executed twice, or lost after it was
// answered, makes it or a later one fail: so "all succeed" is the whole check.
import { type ChildProcess, fork } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import * as nfs from '../../protocol/nfs3.ts';
import { mount, openMessage, temporaryDirectory } from './data-thread.fixture.ts';
import type { DataThreadTesting, FromDataThread } from './messages.ts';
import { RpcClient } from './rpc-client.fixture.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

let directory: { path: string; remove: () => void };
beforeEach(() => {
  directory = temporaryDirectory(existsSync('/dev/shm') ? '/dev/shm' : undefined);
});
afterEach(() => directory.remove());

/** An owner in a process of its own. */
class Owner {
  private readonly child: ChildProcess;
  readonly exited: Promise<void>;

  constructor() {
    this.child = fork(new URL('./data-thread-process.fixture.ts', import.meta.url), { stdio: 'inherit' });
    this.exited = new Promise((resolve) => this.child.once('exit', () => resolve()));
  }

  open(path: string, epoch: number, testing: DataThreadTesting): Promise<number> {
    const server = epoch % 2 === 1 ? 'filer-a' : 'filer-b';
    return new Promise((resolve, reject) => {
      this.child.on('message', (message: FromDataThread) => {
        if (message.kind === 'opened') resolve(message.port);
        if (message.kind === 'openFailed' || message.kind === 'fault') reject(new Error(message.message));
      });
      this.child.send({ message: openMessage(path, { epoch, server }), testing });
    });
  }

  kill(): void {
    this.child.kill('SIGKILL');
  }
}

type Call = (client: RpcClient, xid: number) => Promise<{ status: number }>;

/** One client's calls, each of which depends on the one before it having been executed exactly once. */
function chain(root: Uint8Array, name: string): Call[] {
  const at = (suffix: string): nfs.diropargs3 => ({ dir: root, name: bytes(`${name}${suffix}`) });
  let file: Uint8Array = root;
  let ctime: nfs.nfstime3 | null = null;
  const create: Call = async (client, xid) => {
    const how = { mode: nfs.GUARDED, obj_attributes: { ...nfs.SATTR3_NOTHING, mode: 0o600, size: 5 } };
    const result = await client.call('CREATE', { where: at('a'), how }, { xid });
    if (result.status === nfs.NFS3_OK) {
      file = result.obj!;
      ctime = result.obj_attributes!.ctime;
    }
    return result;
  };
  const chmod: Call = (client, xid) => {
    const new_attributes = { ...nfs.SATTR3_NOTHING, mode: 0o640, size: 9 };
    return client.call('SETATTR', { object: file, new_attributes, guard: ctime }, { xid });
  };
  return [
    create,
    chmod,
    (client, xid) => client.call('LINK', { file, link: at('b') }, { xid }),
    (client, xid) => client.call('RENAME', { from: at('b'), to: at('c') }, { xid }),
    (client, xid) => client.call('REMOVE', { object: at('a') }, { xid }),
    (client, xid) => client.call('MKDIR', { where: at('a'), attributes: nfs.SATTR3_NOTHING }, { xid }),
    (client, xid) => client.call('RMDIR', { object: at('a') }, { xid }),
    (client, xid) => client.call('REMOVE', { object: at('c') }, { xid }),
  ];
}

const CHAINS = 24;
const KILLS = 12;
/** Between two kills at least so many calls are answered, so that every owner gets to work. */
const ANSWERED_MIN = 150;

/** Kills owners until enough or until a call fails. What failed, or null. */
async function run(testing: DataThreadTesting): Promise<string | null> {
  let epoch = 0;
  let owner = new Owner();
  let spare = new Owner();
  let client!: RpcClient;
  let root!: Uint8Array;
  let answered = 0;
  let resent = 0;
  let xid = 1;
  let over = false;
  let failure: string | null = null;
  /** Resolved while an owner serves. */
  let serving: Promise<void> = Promise.resolve();
  const start = async (): Promise<void> => {
    epoch += 1;
    client = await RpcClient.connect(await owner.open(directory.path, epoch, testing));
    root = await mount(client, '/data');
  };
  await start();

  async function runChain(index: number): Promise<void> {
    for (let round = 0; !over; round++) {
      for (const call of chain(root, `${index}-${round}-`)) if (!(await succeeds(call))) return;
    }
  }
  async function succeeds(call: Call): Promise<boolean> {
    const own = xid++;
    for (;;) {
      await serving;
      try {
        const { status } = await call(client, own);
        answered += 1;
        if (status === nfs.NFS3_OK) return true;
        failure = nfs.nfsstat3Name(status);
        over = true;
        return false;
      } catch (error) {
        if ((error as Error).message !== 'connection closed') throw error;
        resent += 1;
      }
    }
  }
  async function killAndTakeOver(): Promise<void> {
    owner.kill();
    await Promise.all([owner.exited, client.closed]);
    owner = spare;
    spare = new Owner();
    await start();
  }
  const chains = Promise.all(Array.from({ length: CHAINS }, (_, i) => runChain(i)));
  for (let i = 0; i < KILLS && !over; i++) {
    const from = answered;
    await expect.poll(() => over || answered - from > ANSWERED_MIN, { timeout: 30_000 }).toBe(true);
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 10));
    serving = killAndTakeOver();
    await serving;
  }
  over = true;
  await chains;
  client.close();
  owner.kill();
  spare.kill();
  // Most kills leave a call of every chain without an answer.
  if (failure === null) expect(resent).toBeGreaterThan(KILLS);
  return failure;
}

const TIMEOUT_MS = 120_000;

test(
  'killed at random moments under load: every call succeeds, exactly once',
  async () => {
    expect(await run({})).toBe(null);
    expect(readdirSync(directory.path)).toEqual(['.filerpair']);
  },
  TIMEOUT_MS,
);

test(
  'without the journal the same test fails (so it can)',
  async () => {
    expect(await run({ journalDisabled: true })).toMatch(/NFS3ERR_(NOENT|EXIST|NOT_SYNC)/);
  },
  TIMEOUT_MS,
);
