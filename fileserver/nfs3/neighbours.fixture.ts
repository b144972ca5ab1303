/**
 * Operations that come together and are about the same small tree, for tests. The owner is killed after any step of any of them,
 * the next one settles what it finds, and every call is sent again. Whatever was settled how, the answers and the tree have to be
 * those of one order in which the operations could have been executed one after the other. So also if the next one is killed too.
 */
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import * as nfs from '../../protocol/nfs3.ts';
import { XdrWriter } from '../../protocol/xdr.ts';
import type { SeededRandom } from '../../testing/seeded-random.ts';
import { GroupPacing } from '../storage/duplicate-requests/group-pacing.ts';
import type { OperationStep } from '../storage/duplicate-requests/operation-step.ts';
import { journalFiles } from '../storage/journal/journal-files.ts';
import { become, type Identity, identityCanChange, SERVER_IDENTITY } from '../system/thread-identity.ts';
import type { WriteGate } from '../system/write-gate.ts';
import { type Answer, changed, ServedVolume, statusOf } from './served-volume.fixture.ts';

// An answer that was given before the kill has to be given again.

type Procedure =
  | 'SETATTR'
  | 'CREATE'
  | 'MKDIR'
  | 'SYMLINK'
  | 'MKNOD'
  | 'REMOVE'
  | 'RMDIR'
  | 'RENAME'
  | 'LINK';

const ROOT: Identity = SERVER_IDENTITY;
/** This user owns `dir`, and everything in it. */
const OWNER: Identity = identityCanChange ? { uid: 1000, gid: 1000, groups: [] } : SERVER_IDENTITY;
const OTHER: Identity = identityCanChange ? { uid: 1001, gid: 1001, groups: [] } : SERVER_IDENTITY;

/** Handles by path below the stage; '' is the stage itself. */
type Handles = (path: string) => Uint8Array;

/** One operation of the tree. */
export interface Part {
  readonly title: string;
  readonly procedure: Procedure;
  readonly user: Identity;
  readonly args: (handles: Handles) => Uint8Array;
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const at = (seconds: number): nfs.set_time => ({
  how: nfs.SET_TO_CLIENT_TIME,
  time: { seconds, nseconds: 0 },
});

function part<Name extends Procedure>(
  procedure: Name,
  what: string,
  user: Identity,
  args: (handles: Handles) => nfs.Nfs3Calls[Name]['args'],
): Part {
  const who = user === ROOT ? 'root' : user === OWNER ? 'the owner' : 'another user';
  return {
    title: `${procedure} ${what} by ${who}`,
    procedure,
    user,
    args: (handles) => {
      const w = new XdrWriter();
      nfs.nfs3Procedures[procedure].args.encode(w, args(handles) as never);
      return w.written().slice();
    },
  };
}

/** A path's directory and name. */
function split(path: string): readonly [string, string] {
  const end = path.lastIndexOf('/');
  return end < 0 ? ['', path] : [path.slice(0, end), path.slice(end + 1)];
}

function where(handles: Handles, path: string): nfs.diropargs3 {
  const [directory, name] = split(path);
  return { dir: handles(directory), name: bytes(name) };
}

const attributes = (changed: Partial<nfs.sattr3>): nfs.sattr3 => ({ ...nfs.SATTR3_NOTHING, ...changed });

function create(path: string, user: Identity, changed: Partial<nfs.sattr3> = {}): Part {
  return part('CREATE', `guarded ${path}`, user, (handles) => ({
    where: where(handles, path),
    how: { mode: nfs.GUARDED, obj_attributes: attributes({ mode: 0o644, ...changed }) },
  }));
}

function setattr(path: string, what: string, user: Identity, changed: Partial<nfs.sattr3>): Part {
  return part('SETATTR', `${what} of ${path === '' ? 'the stage' : path}`, user, (handles) => ({
    object: handles(path),
    new_attributes: attributes(changed),
    guard: null,
  }));
}

const named = (procedure: 'REMOVE' | 'RMDIR', path: string, user: Identity): Part =>
  part(procedure, path, user, (handles) => ({ object: where(handles, path) }));

const rename = (from: string, to: string, user: Identity): Part =>
  part('RENAME', `${from} to ${to}`, user, (handles) => ({
    from: where(handles, from),
    to: where(handles, to),
  }));

const link = (file: string, path: string, user: Identity): Part =>
  part('LINK', `${file} as ${path}`, user, (handles) => ({
    file: handles(file),
    link: where(handles, path),
  }));

/** All nine procedures; each directory is made, filled, emptied, closed to its users, moved and removed by somebody. */
export const PARTS: readonly Part[] = [
  create('dir/new', OWNER, { mtime: at(1_000_000) }),
  create('empty/new', OWNER),
  part('CREATE', 'unchecked dir/x, cutting it,', OWNER, (handles) => ({
    where: where(handles, 'dir/x'),
    how: { mode: nfs.UNCHECKED, obj_attributes: attributes({ size: 0 }) },
  })),
  part('CREATE', 'exclusive other/new', OTHER, (handles) => ({
    where: where(handles, 'other/new'),
    how: { mode: nfs.EXCLUSIVE, verf: bytes('verifier') },
  })),
  part('MKDIR', 'dir/new', ROOT, (handles) => ({
    where: where(handles, 'dir/new'),
    attributes: attributes({ mode: 0o751, uid: OTHER.uid, gid: OTHER.gid }),
  })),
  part('SYMLINK', 'empty/new', OWNER, (handles) => ({
    where: where(handles, 'empty/new'),
    symlink: { symlink_attributes: nfs.SATTR3_NOTHING, symlink_data: bytes('../dir') },
  })),
  part('MKNOD', 'dir/fifo', OWNER, (handles) => ({
    where: where(handles, 'dir/fifo'),
    what: { type: nfs.NF3FIFO, pipe_attributes: attributes({ mode: 0o622 }) },
  })),
  named('REMOVE', 'dir/x', OWNER),
  named('REMOVE', 'dir/x', OTHER),
  named('REMOVE', 'other/y', OTHER),
  named('RMDIR', 'dir', ROOT),
  named('RMDIR', 'empty', ROOT),
  named('RMDIR', 'other', ROOT),
  rename('dir/x', 'other/x', OWNER),
  rename('dir/x', 'other/y', OWNER),
  rename('other/y', 'dir/z', OWNER),
  rename('dir', 'other/dir', ROOT),
  rename('empty', 'dir', ROOT),
  link('dir/x', 'other/hard', OWNER),
  link('other/y', 'empty/new', ROOT),
  setattr('dir', 'mode 0', ROOT, { mode: 0 }),
  setattr('dir', 'owner', ROOT, { uid: OTHER.uid, gid: OTHER.gid, mode: 0o700 }),
  setattr('empty', 'mode 0', OWNER, { mode: 0 }),
  setattr('other', 'mode 0700', ROOT, { mode: 0o700 }),
  setattr('dir/x', 'mode and size', OWNER, { mode: 0o604, size: 3 }),
];

/** Makes: dir (the owner's) with x, empty (the owner's), other (anybody's) with y. */
function makeStage(stage: string): void {
  become(SERVER_IDENTITY);
  mkdirSync(stage);
  for (const [name, mode, file] of [
    ['dir', 0o755, 'x'],
    ['empty', 0o755, null],
    ['other', 0o777, 'y'],
  ] as const) {
    const path = join(stage, name);
    mkdirSync(path);
    const owner = name === 'other' ? ROOT : OWNER;
    if (file !== null) {
      writeFileSync(join(path, file), `content of ${file}`);
      chownSync(join(path, file), owner.uid, owner.gid);
    }
    chownSync(path, owner.uid, owner.gid);
    chmodSync(path, mode);
  }
  chmodSync(stage, 0o777);
}

/** Everything of the tree that answers and orders decide, as text. */
function describeTree(path: string): string {
  const stat = lstatSync(path);
  const mode = stat.mode.toString(8);
  if (stat.isSymbolicLink()) return `-> ${readlinkSync(path)}`;
  if (stat.isFile()) return `${mode} ${stat.uid} ${stat.nlink} ${JSON.stringify(readFileSync(path, 'utf8'))}`;
  if (!stat.isDirectory()) return `${mode} ${stat.uid}`;
  // It is thrown away after this.
  chmodSync(path, 0o700);
  const inside = readdirSync(path)
    .sort()
    .map((name) => `${name}: ${describeTree(join(path, name))}`);
  return `${mode} ${stat.uid} {${inside.join(', ')}}`;
}

class AlwaysOverlapping extends GroupPacing {
  override mayOverlap(): boolean {
    return true;
  }
}

class Killed extends Error {}

/** Of an owner that is killed when it has changed the volume so many times. */
class MortalGate implements WriteGate {
  readonly #changesMax: number;
  /** So far. */
  changes = 0;

  constructor(changesMax = Number.POSITIVE_INFINITY) {
    this.#changesMax = changesMax;
  }

  begin(): boolean {
    this.changes += 1;
    return this.changes <= this.#changesMax;
  }

  end(): void {}

  get hasDied(): boolean {
    return this.changes > this.#changesMax;
  }
}

/** together: with the same packets. later: each when the one before is being executed. */
export type Arrival = 'together' | 'later';

/** Between others nothing is written but the journal, and nothing answered. */
const STEPS_BEHIND_A_CHANGE: readonly OperationStep[] = ['duringExecution', 'afterExecution', 'beforeAnswer'];

export interface NeighboursOptions {
  /** false: operations rely on nothing, to show that the checks can fail. */
  readonly carefully?: boolean;
  /** How often the next owner is killed as well, at some change of its opening: a third one settles what both have left. */
  readonly killedAgain?: number;
}

/** Changes of an opening that has more to settle than the last one. */
const CHANGES_MORE = 3;

/** Of a journal segment's file, what these tests need; the rest is zeros, and reading them takes most of an opening's time. */
const SEGMENT_USED = 256 * 1024;

/** A volume, its owners one after the other, and stages on it. */
export class Neighbours {
  readonly #parent: string;
  #path: string;
  #served!: ServedVolume;
  #epoch: number;
  #stages: number;
  readonly #inOrder: Map<string, string>;
  readonly #carefully: boolean;
  readonly #killedAgain: number;
  /** Of the last opening. */
  #openingChanges: number;
  /** Owners that were killed while they served. */
  kills: number;
  /** Those that were killed while they took over. */
  killsOfSuccessors: number;

  private constructor(parent: string, { carefully = true, killedAgain = 0.5 }: NeighboursOptions) {
    this.#parent = parent;
    this.#path = '';
    this.#epoch = 0;
    this.#stages = 0;
    this.#inOrder = new Map();
    this.#carefully = carefully;
    this.#killedAgain = killedAgain;
    this.#openingChanges = 0;
    this.kills = 0;
    this.killsOfSuccessors = 0;
  }

  static async on(parent: string, options: NeighboursOptions = {}): Promise<Neighbours> {
    const neighbours = new Neighbours(parent, options);
    await neighbours.#begin();
    return neighbours;
  }

  async close(): Promise<void> {
    await this.#served.close();
    become(SERVER_IDENTITY);
    rmSync(this.#path, { recursive: true, force: true });
  }

  /** With a volume that has no answers yet. */
  async #begin(): Promise<void> {
    become(SERVER_IDENTITY);
    this.#path = mkdtempSync(join(this.#parent, 'filerpair-neighbours-'));
    chmodSync(this.#path, 0o755);
    this.#epoch = 0;
    await this.#open();
  }

  async #open(): Promise<void> {
    const gate = new MortalGate();
    this.#served = await this.#opened(gate);
    this.#openingChanges = gate.changes;
  }

  #opened(gate: WriteGate): Promise<ServedVolume> {
    this.#epoch += 1;
    return ServedVolume.open(this.#path, this.#epoch, undefined, new AlwaysOverlapping(), gate);
  }

  /** `at`: how many changes the next owner makes before it is killed; null: it is not. */
  async #takeOver(at: number | null): Promise<void> {
    await this.#served.close();
    this.#shortenJournal();
    if (at !== null) {
      this.killsOfSuccessors += 1;
      await this.#openAndDie(new MortalGate(at));
      this.#shortenJournal();
    }
    await this.#open();
  }

  async #openAndDie(gate: MortalGate): Promise<void> {
    try {
      await (await this.#opened(gate)).close();
    } catch (error) {
      if (!gate.hasDied) throw error;
    }
  }

  #shortenJournal(): void {
    become(SERVER_IDENTITY);
    for (const file of journalFiles(join(this.#path, '.filerpair'))) truncateSync(file, SEGMENT_USED);
  }

  /** A new stage, and the calls of the parts on it. */
  #prepare(parts: readonly Part[]): { stage: string; calls: Call[] } {
    const stage = `s${this.#stages++}`;
    makeStage(join(this.#path, stage));
    const handles: Handles = (path) => this.#served.file(join(stage, path)).handle;
    const calls = parts.map(({ procedure, user, args }, index) => ({
      procedure: nfs.nfsproc3[procedure],
      user,
      args: args(handles),
      key: `${stage}/${index}`.padEnd(16, '.'),
    }));
    return { stage, calls };
  }

  #tree(stage: string): string {
    become(SERVER_IDENTITY);
    return describeTree(join(this.#path, stage));
  }

  #discard(stage: string): void {
    become(SERVER_IDENTITY);
    rmSync(join(this.#path, stage), { recursive: true, force: true });
  }

  #submit({ procedure, args, key, user }: Call): Promise<Answer> {
    const operation = this.#served.make(procedure, args, key, user);
    if (!this.#carefully) changed(operation, (check) => ({ ...check, reliesOn: [] }));
    return this.#served.submit(operation);
  }

  /** Statuses and tree when they are executed in this order, nothing happens, and the statuses stand as `parts` do. */
  async #sequential(parts: readonly Part[], order: readonly number[]): Promise<string> {
    const name = JSON.stringify([parts.map(({ title }) => title), order]);
    const known = this.#inOrder.get(name);
    if (known !== undefined) return known;
    const { stage, calls } = this.#prepare(parts);
    const statuses: (number | null)[] = [];
    for (const index of order) {
      statuses[index] = statusOf(await this.#submit(calls[index]!));
      await this.#served.idle();
    }
    const outcome = outcomeOf(statuses, this.#tree(stage));
    this.#discard(stage);
    this.#inOrder.set(name, outcome);
    return outcome;
  }

  /**
   * Runs the parts as often as they have moments that differ, and kills the owner at another one each time; the last run has
   * none. What is wrong, as sentences. `resent`: in which order the calls are sent to the next owner.
   */
  async check(parts: readonly Part[], arrival: Arrival, random: SeededRandom): Promise<string[]> {
    if (this.#served.volume.journal.usedSize > SEGMENT_USED / 2) {
      await this.close();
      await this.#begin();
    }
    const orders = permutations(parts.length);
    const allowed: string[] = [];
    for (const order of orders) allowed.push(await this.#sequential(parts, order));
    const wrong: string[] = [];
    for (let moment = 0; ; moment++) {
      const resent = random.pick(orders);
      const again = random.chance(this.#killedAgain)
        ? random.below(this.#openingChanges + CHANGES_MORE)
        : null;
      const { killedAt, outcome, contradicted } = await this.#run(parts, arrival, moment, again, resent);
      const next = again === null ? '' : `, its successor after ${again} changes`;
      const when = `${parts.map(({ title }) => title).join(' | ')}; ${arrival}; killed ${killedAt ?? 'never'}${next}; sent again ${resent}`;
      if (contradicted !== null) wrong.push(`${when}: ${contradicted}`);
      if (!allowed.includes(outcome))
        wrong.push(`${when}:\n    ${outcome}\n  is not one of\n    ${[...new Set(allowed)].join('\n    ')}`);
      if (killedAt === null) return wrong;
      this.kills += 1;
    }
  }

  async #run(
    parts: readonly Part[],
    arrival: Arrival,
    moment: number,
    successorAt: number | null,
    resent: readonly number[],
  ): Promise<Run> {
    const { stage, calls } = this.#prepare(parts);
    const served = this.#served;
    const answers: (Answer | undefined)[] = [];
    const { promise: over, resolve: end } = Promise.withResolvers<void>();
    let killedAt: string | null = null;
    let moments = 0;
    let submitted = 0;
    let answered = 0;
    const submitNext = (): void => {
      const index = submitted++;
      if (index >= calls.length) return;
      const given = (answer: Answer): void => {
        // Its memory is the queue's.
        answers[index] = answer?.slice() ?? null;
        answered += 1;
        if (answered === calls.length) served.queue.whenIdle(end);
        if (arrival === 'later' && submitted === index + 1) submitNext();
      };
      void this.#submit(calls[index]!).then(given);
    };
    let last = '';
    served.onStep = (operation, step: OperationStep) => {
      if (killedAt !== null) throw new Killed();
      if (step === 'afterExecution' && arrival === 'later') submitNext();
      // Steps between which nothing was written or answered leave the same.
      if (STEPS_BEHIND_A_CHANGE.includes(step)) moments += 1;
      const now = `${moments} ${served.volume.journal.usedSize}`;
      if (now === last) return;
      last = now;
      if (moment-- > 0) return;
      killedAt = `${step} of ${operation}`;
      served.kill();
      end();
      throw new Killed();
    };
    submitNext();
    if (arrival === 'together') for (let i = 1; i < calls.length; i++) submitNext();
    await over;
    served.onStep = () => {};
    if (killedAt !== null) await this.#takeOver(successorAt);
    const again: Answer[] = [];
    let contradicted: string | null = null;
    for (const index of resent) {
      const answer = answers[index] ?? null;
      // Failures are not recorded for good: they changed nothing, and who was told does not ask again.
      const isFinal = answer !== null && statusOf(answer) !== nfs.NFS3_OK;
      again[index] = isFinal ? answer : await this.#submit(calls[index]!);
      if (answer !== null && !sameBytes(answer, again[index]))
        contradicted = `${parts[index]!.title} was answered ${statusOf(answer)}, and then ${statusOf(again[index])}`;
    }
    await this.#served.idle();
    const outcome = outcomeOf(again.map(statusOf), this.#tree(stage));
    this.#discard(stage);
    return { killedAt, outcome, contradicted };
  }
}

interface Call {
  readonly procedure: number;
  readonly args: Uint8Array;
  readonly key: string;
  readonly user: Identity;
}

interface Run {
  readonly killedAt: string | null;
  readonly outcome: string;
  readonly contradicted: string | null;
}

function sameBytes(one: Uint8Array, other: Answer): boolean {
  return other !== null && Buffer.from(one).equals(other);
}

function outcomeOf(statuses: readonly (number | null)[], tree: string): string {
  const names = statuses.map((status) => (status === null ? 'SYSTEM_ERR' : nfs.nfsstat3Name(status)));
  return `${names.join(' ')}: ${tree}`;
}

function permutations(count: number): number[][] {
  if (count === 0) return [[]];
  return permutations(count - 1).flatMap((shorter) =>
    Array.from({ length: count }, (_, at) => shorter.toSpliced(at, 0, count - 1)),
  );
}
