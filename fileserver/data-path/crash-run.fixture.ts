/**
 * Kills a volume's owner at random moments under load, again and again, and every third time its successor too, while that takes
 * over. Every call that was not answered is sent again to the next owner with the same XID. Each chain of calls is such that any call executed twice, or lost after it was
 * answered, makes it or a later one fail: so "all succeed" is the whole check.
 */

import { type ChildProcess, fork } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import * as nfs from '../../protocol/nfs3.ts';
import type { Failpoints } from '../system/failpoints.ts';
import type { FromDataThread } from '../threads/messages.ts';
import { mount, openMessage } from './data-thread.fixture.ts';
import { RpcClient } from './rpc-client.fixture.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

/** An owner in a process of its own. */
class Owner {
  readonly #child: ChildProcess;
  readonly exited: Promise<void>;

  constructor() {
    this.#child = fork(new URL('./data-thread-process.fixture.ts', import.meta.url), { stdio: 'inherit' });
    this.exited = new Promise((resolve) => this.#child.once('exit', () => resolve()));
  }

  open(path: string, epoch: number, testing: Failpoints): Promise<number> {
    const server = epoch % 2 === 1 ? 'filer-a' : 'filer-b';
    return new Promise((resolve, reject) => {
      this.#child.on('message', (message: FromDataThread) => {
        if (message.kind === 'opened') resolve(message.port);
        if (message.kind === 'openFailed' || message.kind === 'fault') reject(new Error(message.message));
      });
      this.#child.send({ message: openMessage(path, { epoch, server }), testing });
    });
  }

  /** Begins to take over, and is killed so many ms later. */
  async dieOpening(path: string, epoch: number, testing: Failpoints, afterMs: number): Promise<void> {
    let failure: Error | null = null;
    this.open(path, epoch, testing).catch((error: Error) => {
      failure = error;
    });
    await delay(afterMs);
    this.kill();
    await this.exited;
    if (failure !== null) throw failure;
  }

  kill(): void {
    this.#child.kill('SIGKILL');
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
/** Between two kills at least so many calls are answered, so that every owner gets to work. */
const ANSWERED_MIN = 150;
/** Each so many-th successor is killed while it takes over. */
const KILLED_AGAIN = 3;

export interface CrashRun {
  /** The status of a call that did not succeed; null if all did. */
  readonly failure: string | null;
  readonly kills: number;
  /** Of successors, while they took over. */
  readonly killsAgain: number;
  readonly answered: number;
  /** Calls that a killed owner had left without an answer. */
  readonly resent: number;
}

/** Kills owners of the volume in the directory until it were `kills`, or a call fails, or the time is over. */
export async function crashAgainAndAgain(
  directory: string,
  testing: Failpoints,
  kills: number,
  untilMs = Number.POSITIVE_INFINITY,
): Promise<CrashRun> {
  let epoch = 0;
  let owner = new Owner();
  let spare = new Owner();
  /** How long the last opening by a process that had been started before took. */
  let openingMs = 0;
  let killsAgain = 0;
  let client!: RpcClient;
  let root!: Uint8Array;
  let answered = 0;
  let resent = 0;
  let xid = 1;
  let over = false;
  let failure: string | null = null;
  let wanted = 0;
  let enough = (): void => {};
  /** Resolves when so many more calls are answered, or one has failed. */
  const answers = (more: number): Promise<void> => {
    if (over) return Promise.resolve();
    wanted = answered + more;
    return new Promise((resolve) => {
      enough = resolve;
    });
  };
  /** Resolved while an owner serves. */
  let serving: Promise<void> = Promise.resolve();
  const start = async (): Promise<void> => {
    epoch += 1;
    client = await RpcClient.connect(await owner.open(directory, epoch, testing));
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
        if (answered >= wanted) enough();
        if (status === nfs.NFS3_OK) return true;
        failure = nfs.nfsstat3Name(status);
        over = true;
        enough();
        return false;
      } catch (error) {
        if ((error as Error).message !== 'connection closed') throw error;
        resent += 1;
      }
    }
  }
  function next(): void {
    owner = spare;
    spare = new Owner();
  }
  async function killAndTakeOver(successorToo: boolean): Promise<void> {
    owner.kill();
    await Promise.all([owner.exited, client.closed]);
    next();
    if (successorToo) {
      epoch += 1;
      await owner.dieOpening(directory, epoch, testing, Math.random() * openingMs);
      killsAgain += 1;
      next();
    }
    const begun = performance.now();
    await start();
    if (!successorToo) openingMs = performance.now() - begun;
  }
  const chains = Promise.all(Array.from({ length: CHAINS }, (_, i) => runChain(i)));
  let killed = 0;
  for (; killed < kills && !over && performance.now() < untilMs; killed++) {
    await answers(ANSWERED_MIN);
    await delay(Math.random() * 10);
    serving = killAndTakeOver(killed % KILLED_AGAIN === KILLED_AGAIN - 1);
    await serving;
  }
  over = true;
  await chains;
  client.close();
  owner.kill();
  spare.kill();
  return { failure, kills: killed, killsAgain, answered, resent };
}
