/**
 * Poison: each operation of the journal with every legal extreme, as every kind of user, killed at each step, settled by the next
 * owner and sent to it again. The answer is the one of a server that nothing has happened to. An exception that is not caught
 * fails the test; so does an intent that was put aside, and what only the log tells.
 */

import { chmodSync, existsSync, linkSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as nfs from '../../protocol/nfs3.ts';
import { XdrWriter } from '../../protocol/xdr.ts';
import { SeededRandom } from '../../testing/seeded-random.ts';
import { ServedVolume, statusOf } from '../nfs3/served-volume.fixture.ts';
import { OperationStep } from '../storage/duplicate-requests/operation-step.ts';
import {
  decodeIntentRecord,
  encodeIntentRecord,
  GROUPS_KEPT_MAX,
  type IntentRecord,
} from '../storage/journal/journal-payloads.ts';
import { PAYLOAD_SIZE_MAX } from '../storage/journal/journal-records.ts';
import { type Identity, startIoPool } from '../system/thread-identity.ts';
import { mount, openMessage, TestDataThread } from './data-thread.fixture.ts';
import { RpcClient, userCredential } from './rpc-client.fixture.ts';

const isRoot = process.geteuid!() === 0;
const NO_ID = 0xffffffff;
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const LONGEST = new Uint8Array(255).fill(0xff);
const TOO_LONG = new Uint8Array(256).fill(0x61);
const NEW = bytes('new');
/** A volume in memory: a killed process loses nothing that the kernel has. */
const parent = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

type Operations =
  | 'SETATTR'
  | 'CREATE'
  | 'MKDIR'
  | 'SYMLINK'
  | 'MKNOD'
  | 'REMOVE'
  | 'RMDIR'
  | 'RENAME'
  | 'LINK';

/** What a case finds: a directory of its own with `file`, a file; `linked`, another name of it; `empty`, a directory. */
interface Stage {
  readonly dir: Uint8Array;
  readonly file: Uint8Array;
}

interface Poison {
  readonly title: string;
  readonly procedure: Operations;
  readonly args: (stage: Stage) => Uint8Array;
}

function poison<Name extends Operations>(
  procedure: Name,
  title: string,
  argsOf: (stage: Stage) => nfs.Nfs3Calls[Name]['args'],
): Poison {
  const args = (stage: Stage): Uint8Array => {
    const w = new XdrWriter();
    nfs.nfs3Procedures[procedure].args.encode(w, argsOf(stage) as never);
    return w.written().slice();
  };
  return { title: `${procedure} ${title}`, procedure, args };
}

const at = (seconds: number, nseconds: number): nfs.set_time => ({
  how: nfs.SET_TO_CLIENT_TIME,
  time: { seconds, nseconds },
});

/** Attributes at the ends of their ranges. */
const ATTRIBUTES: Readonly<Record<string, Partial<nfs.sattr3>>> = {
  'without attributes': {},
  'mode with every bit': { mode: NO_ID },
  'ids 0': { uid: 0, gid: 0 },
  'ids 65534': { uid: 65534, gid: 65534 },
  'ids 2^32-2': { uid: NO_ID - 1, gid: NO_ID - 1 },
  'ids -1': { uid: NO_ID, gid: NO_ID },
  'size 0': { size: 0 },
  'size 2^53': { size: 2n ** 53n },
  'size 2^63-1': { size: 2n ** 63n - 1n },
  'size 2^64-1': { size: 2n ** 64n - 1n },
  'first times': { atime: at(0, 0), mtime: at(0, 0) },
  'last times': { atime: at(NO_ID, 999_999_999), mtime: at(NO_ID, 999_999_999) },
  'times that are none': { atime: at(1, 1_000_000_000), mtime: at(1, NO_ID) },
  everything: {
    mode: 0o7777,
    uid: 0,
    gid: 0,
    size: 4096,
    atime: at(1, 1),
    mtime: { how: nfs.SET_TO_SERVER_TIME },
  },
};

const cases: Poison[] = [];
for (const [title, changed] of Object.entries(ATTRIBUTES)) {
  const attributes = { ...nfs.SATTR3_NOTHING, ...changed };
  const guarded = { mode: nfs.GUARDED, obj_attributes: attributes } as const;
  const unchecked = { mode: nfs.UNCHECKED, obj_attributes: attributes } as const;
  cases.push(
    poison('SETATTR', title, ({ file }) => ({ object: file, new_attributes: attributes, guard: null })),
    poison('CREATE', `guarded, ${title}`, ({ dir }) => ({ where: { dir, name: LONGEST }, how: guarded })),
    poison('CREATE', `of what is there, ${title}`, ({ dir }) => ({
      where: { dir, name: bytes('file') },
      how: unchecked,
    })),
    poison('MKDIR', title, ({ dir }) => ({ where: { dir, name: LONGEST }, attributes })),
    poison('SYMLINK', title, ({ dir }) => ({
      where: { dir, name: LONGEST },
      symlink: { symlink_attributes: attributes, symlink_data: bytes('target') },
    })),
    poison('MKNOD', `of a fifo, ${title}`, ({ dir }) => ({
      where: { dir, name: LONGEST },
      what: { type: nfs.NF3FIFO, pipe_attributes: attributes },
    })),
  );
}
for (const size of [0, 1, 4095, 4096, 65_000, 65_536, 70_000]) {
  cases.push(
    poison('SYMLINK', `to ${size} bytes`, ({ dir }) => ({
      where: { dir, name: LONGEST },
      symlink: { symlink_attributes: nfs.SATTR3_NOTHING, symlink_data: new Uint8Array(size).fill(0x61) },
    })),
  );
}
for (const [major, minor] of [
  [0, 0],
  [0xfff, 0xfffff],
  [0x1000, 0],
  [NO_ID, NO_ID],
] as const) {
  for (const type of [nfs.NF3CHR, nfs.NF3BLK] as const) {
    cases.push(
      poison('MKNOD', `of type ${type}, ${major}:${minor}`, ({ dir }) => ({
        where: { dir, name: NEW },
        what: {
          type,
          dev_attributes: nfs.SATTR3_NOTHING,
          spec: { specdata1: major, specdata2: minor },
        },
      })),
    );
  }
}
for (const name of [LONGEST, TOO_LONG, bytes('linked')]) {
  cases.push(
    poison('REMOVE', `${name.length} bytes`, ({ dir }) => ({ object: { dir, name } })),
    poison('RMDIR', `${name.length} bytes`, ({ dir }) => ({ object: { dir, name } })),
    poison('RENAME', `from ${name.length} bytes to the longest`, ({ dir }) => ({
      from: { dir, name },
      to: { dir, name: LONGEST },
    })),
    poison('LINK', `${name.length} bytes`, ({ dir, file }) => ({ file, link: { dir, name } })),
  );
}
cases.push(
  poison('CREATE', 'exclusive, the longest name and any verifier', ({ dir }) => ({
    where: { dir, name: LONGEST },
    how: { mode: nfs.EXCLUSIVE, verf: new Uint8Array(8).fill(0xff) },
  })),
  poison('SYMLINK', 'to a NUL', ({ dir }) => ({
    where: { dir, name: NEW },
    symlink: { symlink_attributes: nfs.SATTR3_NOTHING, symlink_data: new Uint8Array(1) },
  })),
  poison('MKNOD', 'of a regular file', ({ dir }) => ({
    where: { dir, name: NEW },
    what: { type: nfs.NF3REG } as never,
  })),
  poison('MKNOD', 'of a socket', ({ dir }) => ({
    where: { dir, name: NEW },
    what: { type: nfs.NF3SOCK, pipe_attributes: nfs.SATTR3_NOTHING },
  })),
  poison('REMOVE', 'of a directory', ({ dir }) => ({ object: { dir, name: bytes('empty') } })),
  poison('RMDIR', 'of an empty one', ({ dir }) => ({ object: { dir, name: bytes('empty') } })),
  poison('RENAME', 'of a directory over a file', ({ dir }) => ({
    from: { dir, name: bytes('empty') },
    to: { dir, name: bytes('file') },
  })),
  poison('SETATTR', 'with a guard at the ends of its range', ({ file }) => ({
    object: file,
    new_attributes: { ...nfs.SATTR3_NOTHING, mode: 0 },
    guard: { seconds: NO_ID, nseconds: NO_ID },
  })),
);

const groups = (count: number, first = 100_000): number[] =>
  Array.from({ length: count }, (_, i) => first + i);
const root: Identity = { uid: 0, gid: 0, groups: [] };
/** As rpc/caller.ts lets them through. */
const USERS: Readonly<Record<string, Identity>> = {
  'root with 16 groups': { uid: 0, gid: 0, groups: groups(16) },
  nobody: { uid: 65534, gid: 65534, groups: [] },
  'the last user': { uid: NO_ID - 1, gid: NO_ID - 1, groups: [NO_ID - 1] },
  'a member of 1,025 groups': { uid: 1000, gid: 1000, groups: groups(1025) },
  'a member of 65,536 groups': { uid: 1000, gid: 1000, groups: groups(65_536) },
};

let path: string;
let served: ServedVolume;
let epoch: number;
let count: number;

beforeAll(async () => {
  await startIoPool();
  path = mkdtempSync(join(parent, 'filerpair-poison-'));
  chmodSync(path, 0o777);
  epoch = 0;
  count = 0;
  await takeOver();
});
afterAll(async () => {
  await served.close();
  rmSync(path, { recursive: true, force: true });
});

async function takeOver(): Promise<void> {
  await served?.close();
  epoch += 1;
  served = await ServedVolume.open(path, epoch);
  expect(served.summary.putAside).toEqual([]);
}

/** A directory with what a case needs; handles are the same for every owner. */
function stage(): Stage {
  count += 1;
  const directory = join(path, `case-${count}`);
  mkdirSync(directory);
  chmodSync(directory, 0o777);
  writeFileSync(join(directory, 'file'), 'content');
  chmodSync(join(directory, 'file'), 0o666);
  linkSync(join(directory, 'file'), join(directory, 'linked'));
  mkdirSync(join(directory, 'empty'));
  const { diskSet } = served;
  const tree = diskSet.exports.all[0]!;
  const dir = diskSet.below(tree, [bytes(`case-${count}`)]);
  if (typeof dir === 'string') throw new Error(dir);
  const file = diskSet.lookup(dir, bytes('file'), root);
  if (typeof file === 'string') throw new Error(file);
  return { dir: dir.handle, file: file.handle };
}

interface Attempt {
  readonly of: readonly Poison[];
  readonly user: Identity;
  readonly step: OperationStep;
}

interface Request {
  readonly one: Poison;
  readonly args: Uint8Array;
  readonly key: string;
}

function requests(of: readonly Poison[]): Request[] {
  return of.map((one) => ({ one, args: one.args(stage()), key: nextKey() }));
}

/** All at once, so that they share groups. Statuses by title. */
async function send(sent: readonly Request[], user: Identity): Promise<Record<string, number | null>> {
  const answers = sent.map(async ({ one, args, key }) => {
    const operation = served.make(nfs.nfsproc3[one.procedure], args, key, user);
    return [one.title, statusOf(await served.submit(operation))] as const;
  });
  return Object.fromEntries(await Promise.all(answers));
}

/** How often the step is reached, and the statuses, where nothing happens. */
async function undisturbed({ of, user, step }: Attempt): Promise<[number, Record<string, number | null>]> {
  let reached = 0;
  served.onStep = (_operation, now) => {
    if (now === step) reached += 1;
  };
  const expected = await send(requests(of), user);
  await served.idle();
  expect(Object.entries(expected).filter(([, status]) => status === null)).toEqual([]);
  return [reached, expected];
}

/** The owner is killed when the step is reached for the n-th time; the next two have the statuses of one that is not. */
async function killAt(
  { of, user, step }: Attempt,
  n: number,
  expected: Record<string, number | null>,
): Promise<void> {
  const sent = requests(of);
  let left = n;
  const killed = new Promise<void>((resolve) => {
    served.onStep = (_operation, now) => {
      if (now !== step || served.isKilled) return;
      left -= 1;
      if (left > 0) return;
      served.kill();
      resolve();
      if (step === OperationStep.duringExecution) throw new Error('killed between two system calls');
    };
  });
  void send(sent, user);
  await killed;
  for (let again = 0; again < 2; again++) {
    await takeOver();
    expect(await send(sent, user)).toEqual(expected);
    await served.idle();
  }
  expect(served.volume.changing.size).toBe(0);
  expect([served.faults, served.said]).toEqual([[], []]);
}

async function killed(attempt: Attempt, times: number): Promise<void> {
  const [reached, expected] = await undisturbed(attempt);
  expect(reached).toBeGreaterThanOrEqual(times);
  for (let i = 0; i < times; i++) await killAt(attempt, 1 + Math.floor((i * reached) / times), expected);
}

function nextKey(): string {
  count += 1;
  return String(count).padStart(16, 'k');
}

describe.runIf(isRoot)('killed at each step', () => {
  test.each(Object.values(OperationStep))('%s', (step) =>
    killed({ of: cases, user: root, step }, step === OperationStep.duringExecution ? 8 : 3),
  );
});

describe.runIf(isRoot)('as every kind of user', () => {
  test.each(Object.entries(USERS))('%s', (_title, user) => {
    // The kernel takes milliseconds to take on so many groups.
    const of = cases.filter((_, i) => user.groups.length < GROUPS_KEPT_MAX || i % 10 === 0);
    return killed({ of, user, step: OperationStep.duringExecution }, 2);
  });
});

test('by the network, to a server and to the next one: each has an answer, and the same', async () => {
  const directory = mkdtempSync(join(parent, 'filerpair-poison-'));
  chmodSync(directory, 0o777);
  writeFileSync(join(directory, 'file'), '');
  chmodSync(join(directory, 'file'), 0o666);
  const thread = new TestDataThread();
  const ids = [0, 65534, NO_ID - 1, NO_ID];
  const statuses: (number | string)[][] = [];
  for (const turn of [1, 2]) {
    const { port } = await thread.open(openMessage(directory, { epoch: turn }));
    const client = await RpcClient.connect(port);
    const dir = await mount(client, '/data');
    const looked = await client.call('LOOKUP', { what: { dir, name: bytes('file') } });
    if (looked.status !== nfs.NFS3_OK) throw new Error(`LOOKUP: ${looked.status}`);
    const answers: Promise<number | string>[] = [];
    for (const [i, one] of cases.entries()) {
      const args = one.args({ dir, file: looked.object });
      const id = ids[i % ids.length]!;
      const credential = userCredential(id, id, Array(16).fill(id));
      const {
        proc,
        res: { decode: decodeRes },
      } = nfs.nfs3Procedures[one.procedure];
      const encode = (w: XdrWriter): void => {
        w.ensure(args.length);
        w.bytes.set(args, w.position);
        w.position += args.length;
      };
      const reply = client.raw(nfs.NFS_PROGRAM, nfs.NFS_V3, proc, encode, { xid: 1000 + i, credential });
      answers.push(
        reply.then(({ header, r }) => (header.kind === 'success' ? decodeRes(r).status : `${header.kind}`)),
      );
    }
    statuses.push(await Promise.all(answers));
    client.close();
    await thread.close('local', turn === 1 ? 'fence' : 'quiesce');
  }
  expect(statuses[0]!.filter((status) => typeof status === 'string')).toEqual([]);
  expect(statuses[1]).toEqual(statuses[0]);
  expect(thread.messages.filter((message) => message.kind === 'log' && message.level === 'error')).toEqual(
    [],
  );
  expect(thread.messages.filter(({ kind }) => kind === 'fault')).toEqual([]);
  await thread.stop();
  rmSync(directory, { recursive: true, force: true });
});

describe('an intent', () => {
  const random = new SeededRandom(7);
  const ID_ENDS = [0, 1, 65_534, 65_535, 65_536, 0x7fffffff, 0x80000000, NO_ID - 1, NO_ID];
  const id = (): number =>
    random.below(2) === 0 ? ID_ENDS[random.below(ID_ENDS.length)]! : random.below(NO_ID);
  const opaque = (max: number): Uint8Array => {
    const size = [0, 1, 3, random.below(max), max][random.below(5)]!;
    return Uint8Array.from({ length: size }, () => random.below(256));
  };

  function record(groupCount: number): IntentRecord {
    return {
      key: String.fromCharCode(...Array.from({ length: 16 }, () => random.below(256))),
      procedure: random.below(22),
      identity: { uid: id(), gid: id(), groups: Array.from({ length: groupCount }, id) },
      args: opaque(random.below(8) === 0 ? 5000 : 400),
      evidence: opaque(200),
    };
  }

  /** Encoded in memory that is used again for the next one. */
  function roundTrip(one: IntentRecord): IntentRecord {
    const { args, evidence, ...rest } = decodeIntentRecord(encodeIntentRecord(one).slice());
    return { ...rest, args: args.slice(), evidence: evidence.slice() };
  }

  test('is read as it was written, whatever is in it', () => {
    for (let i = 0; i < 300; i++) {
      const one = record([0, 1, 16, random.below(100), random.below(1100)][random.below(5)]!);
      expect(roundTrip(one)).toEqual(one);
    }
  });

  test.each([1024, 1025, GROUPS_KEPT_MAX, GROUPS_KEPT_MAX + 1, 16_300, 65_536])(
    'of a user in %i groups keeps what fits, and fits into a record',
    (size) => {
      const one = record(size);
      const kept = one.identity.groups.slice(0, GROUPS_KEPT_MAX);
      expect(roundTrip(one)).toEqual({ ...one, identity: { ...one.identity, groups: kept } });
      expect(encodeIntentRecord(one).length).toBeLessThan(PAYLOAD_SIZE_MAX);
    },
  );
});
