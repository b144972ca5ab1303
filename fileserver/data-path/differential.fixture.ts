/**
 * One random operation, done twice: by an NFS client in one directory, and by system calls of the same user in another directory
 * of the same file system. Status, attributes, wcc_data and contents have to agree; the kernel is the oracle, not another reading
 * of the RFC.
 */
import { inspect, isDeepStrictEqual } from 'node:util';
import * as nfs from '../../protocol/nfs3.ts';
import type { SeededRandom } from '../../testing/seeded-random.ts';
import * as calls from '../system/file-calls.ts';
import {
  type Attributes,
  isGone,
  localAttributes,
  remoteAttributes,
  statusOf,
  type Twin,
  type User,
} from './kernel-oracle.fixture.ts';
import type { RpcClient } from './rpc-client.fixture.ts';
import { NAMES, type Plan, type SettableTime, TwinOperations } from './twin-operations.fixture.ts';

const { nfsstat3 } = nfs;

const TWINS_MAX = 40;

export class TwinTrees {
  readonly #client: RpcClient;
  readonly #random: SeededRandom;
  readonly #users: readonly User[];
  readonly #dirs: Twin[];
  readonly #others: Twin[];
  /** Two changes in a row have different times: else "has changed" can't be seen. */
  readonly #fineTimes: boolean;
  readonly statuses: Map<string, number>;
  readonly #operations: TwinOperations;

  constructor(
    client: RpcClient,
    random: SeededRandom,
    users: readonly User[],
    top: { readonly handle: Uint8Array; readonly fd: number },
    fineTimes: boolean,
  ) {
    this.#client = client;
    this.#random = random;
    this.#users = users;
    this.#dirs = [top];
    this.#others = [];
    this.#fineTimes = fineTimes;
    this.statuses = new Map();
    this.#operations = new TwinOperations(client, random, users, () => random.pick(this.#dirs));
  }

  /** One operation on both sides. Throws an Error that says what it was and where they differ. */
  async step(): Promise<void> {
    const plan = this.#plan();
    const before = await Promise.all(plan.about.map((twin) => this.#look(twin)));
    const gone = plan.about.some(isGone);
    const { result, content = null } = plan.local();
    const answer = await plan.remote();
    const expected = gone ? nfsstat3.NFS3ERR_STALE : statusOf(result);
    this.#count(plan.what, answer.status);
    const say = (what: string, remote: unknown, local: unknown): void => {
      if (isDeepStrictEqual(remote, local)) return;
      throw new Error(`${plan.what}: ${what}: NFS ${inspect(remote)}, local ${inspect(local)}`);
    };
    // Of two mistakes, either may be named.
    const other = plan.hasLongName === true ? nfsstat3.NFS3ERR_NAMETOOLONG : plan.or;
    if (result >= 0 || answer.status !== other) {
      say('status', nfs.nfsstat3Name(answer.status), nfs.nfsstat3Name(expected));
    }
    if (answer.status === nfs.NFS3_OK) say('content', answer.content, content);
    const timesSet = answer.status === nfs.NFS3_OK ? (plan.exactTimes ?? []) : [];
    for (const [i, twin] of plan.about.entries()) {
      await this.#compare(twin, before[i]!, answer.wcc[i] ?? null, timesSet, say);
    }
    if (plan.made !== undefined) await this.#meet(plan.made.dir, plan.made.name, say);
    this.#forgetSome();
  }

  #count(what: string, status: number): void {
    const key = `${what.split(' ')[0]} ${nfs.nfsstat3Name(status)}`;
    this.statuses.set(key, (this.statuses.get(key) ?? 0) + 1);
  }

  async #look(twin: Twin): Promise<{ remote: nfs.fattr3 | null; local: Attributes }> {
    const res = await this.#client.call('GETATTR', { object: twin.handle });
    const remote = res.status === nfs.NFS3_OK ? res.obj_attributes : null;
    return { remote, local: localAttributes(twin.fd) };
  }

  async #compare(
    twin: Twin,
    before: { remote: nfs.fattr3 | null; local: Attributes },
    wcc: nfs.wcc_data | null,
    timesSet: readonly SettableTime[],
    say: (what: string, remote: unknown, local: unknown) => void,
  ): Promise<void> {
    const after = await this.#look(twin);
    say('exists', after.remote !== null, after.local.nlink > 0);
    if (after.remote === null || before.remote === null) return;
    if (wcc?.before != null) {
      const { size, mtime, ctime } = before.remote;
      say('wcc before', wcc.before, { size, mtime, ctime });
    }
    // Asked for between the two, the time of the last access may have moved.
    if (wcc?.after != null) say('wcc after', { ...wcc.after, atime: 0 }, { ...after.remote, atime: 0 });
    this.#sayAttributes(remoteAttributes(after.remote), after.local, timesSet, say);
    if (!this.#fineTimes) return;
    const was = remoteAttributes(before.remote);
    const is = remoteAttributes(after.remote);
    say('mtime moved', is.mtime !== was.mtime, after.local.mtime !== before.local.mtime);
    say('ctime moved', is.ctime !== was.ctime, after.local.ctime !== before.local.ctime);
  }

  #sayAttributes(
    remote: Attributes,
    local: Attributes,
    timesSet: readonly SettableTime[],
    say: (what: string, remote: unknown, local: unknown) => void,
  ): void {
    for (const name of ['type', 'mode', 'nlink', 'uid', 'gid', 'size', 'device'] as const) {
      say(name, remote[name], local[name]);
    }
    for (const name of timesSet) say(name, remote[name], local[name]);
  }

  /** Looks the name up on both sides, as root, and remembers what is there. */
  async #meet(
    dir: Twin,
    name: Uint8Array,
    say: (what: string, remote: unknown, local: unknown) => void,
  ): Promise<void> {
    if (isGone(dir)) return;
    const res = await this.#client.call('LOOKUP', { what: { dir: dir.handle, name } });
    const fd = calls.openAt(dir.fd, name, calls.O_PATH | calls.O_NOFOLLOW);
    say('lookup', nfs.nfsstat3Name(res.status), nfs.nfsstat3Name(statusOf(fd)));
    if (res.status !== nfs.NFS3_OK || fd < 0) return;
    const twin: Twin = { handle: res.object, fd };
    this.#sayAttributes(remoteAttributes(res.obj_attributes!), localAttributes(fd), [], say);
    (localAttributes(fd).type === nfs.NF3DIR ? this.#dirs : this.#others).push(twin);
  }

  #forgetSome(): void {
    // The first directory stays: it is where everything begins.
    while (this.#dirs.length > TWINS_MAX / 4) calls.close(this.#dirs.splice(1, 1)[0]!.fd);
    while (this.#others.length > TWINS_MAX) calls.close(this.#others.shift()!.fd);
  }

  close(): void {
    for (const { fd } of [...this.#dirs, ...this.#others]) calls.close(fd);
  }

  // ---------------------------------------------------------------------------------------------- operations

  #plan(): Plan {
    const random = this.#random;
    const who = random.pick(this.#users);
    const dir = random.pick(this.#dirs);
    const name = random.pick(NAMES);
    const object =
      this.#others.length === 0 || random.chance(1 / 5) ? random.pick(this.#dirs) : random.pick(this.#others);
    const choices: (() => Plan)[] = [
      () => this.#operations.create(who, dir, name),
      () => this.#operations.create(who, dir, name),
      () => this.#operations.mkdir(who, dir, name),
      () => this.#operations.symlink(who, dir, name),
      () => this.#operations.mknod(who, dir, name),
      () => this.#operations.remove(who, dir, name),
      () => this.#operations.rmdir(who, dir, name),
      () => this.#operations.rename(who, dir, name),
      () => this.#operations.rename(who, dir, name),
      () => this.#operations.link(who, object, dir, name),
      () => this.#operations.setMode(who, object),
      () => this.#operations.setOwner(who, object),
      () => this.#operations.setSize(who, object),
      () => this.#operations.setTimes(who, object),
      () => this.#operations.write(who, object),
      () => this.#operations.write(who, object),
      () => this.#operations.read(who, object),
      () => this.#operations.lookup(who, dir, name),
      () => this.#operations.access(who, object),
      () => this.#operations.list(who, dir),
      () => this.#operations.readlink(object),
    ];
    return { hasLongName: name.length > 255, ...random.pick(choices)() };
  }
}
