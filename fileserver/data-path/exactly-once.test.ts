/**
 * Issue: "A CREATE exclusive/guarded, MKDIR, REMOVE, RENAME, LINK, SETATTR with guard, resent with the same XID to the survivor
 * after the owner was killed between executing and answering, gets the original answer."
 */

import { type ChildProcess, fork } from 'node:child_process';
import {
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  DONT_CHANGE,
  EXCLUSIVE,
  GUARDED,
  NF3FIFO,
  NFS3_OK,
  NFS3ERR_EXIST,
  NFS3ERR_NOENT,
  NFS3ERR_NOT_SYNC,
  type Nfs3Calls,
  type Nfs3Name,
  type nfstime3,
  SATTR3_NOTHING,
  SET_TO_CLIENT_TIME,
  UNCHECKED,
} from '../../protocol/nfs3.ts';
import type { ExportSpec } from '../settings/export-spec.ts';
import { OperationStep } from '../storage/duplicate-requests/operation-step.ts';
import type { Failpoints } from '../system/failpoints.ts';
import type { FromDataThread } from '../threads/messages.ts';
import { EVERYBODY, mount, openMessage, TestDataThread, temporaryDirectory } from './data-thread.fixture.ts';
import type { OpenInProcess } from './data-thread-process.fixture.ts';
import { RpcClient } from './rpc-client.fixture.ts';

// For every operation and every step of it:
//
//   filer-a serves in a process of its own, which is killed (SIGKILL) when the operation reaches the step
//   filer-b takes the volume over in this process, with a higher epoch; the client sends the same call again
//   it succeeds, exactly as if nothing had happened: once
//
// The control at the end runs without the journal and must fail in just the way the journal prevents.

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const XID = 0x5eed0001;
/** Bytes; truncated in parts. */
const LARGE_SIZE = 24 * 1024 * 1024;

/** What the operation finds, besides the root: handles of files that the test made there. */
interface Stage {
  readonly root: Uint8Array;
  readonly handle: (name: string) => Promise<Uint8Array>;
  readonly ctime: (name: string) => Promise<nfstime3>;
}

interface Scenario<Name extends Nfs3Name = Nfs3Name> {
  readonly title: string;
  readonly procedure: Name;
  /** Has steps between two system calls. */
  readonly divisible: boolean;
  readonly prepare: (root: string) => void;
  readonly args: (stage: Stage) => Promise<Nfs3Calls[Name]['args']> | Nfs3Calls[Name]['args'];
  /** The volume's directory after it was executed once. */
  readonly verify: (root: string) => void;
  /** What a second execution says. */
  readonly statusTwice: number;
}

function scenario<Name extends Nfs3Name>(one: Scenario<Name>): Scenario {
  return one as unknown as Scenario;
}

const names = (root: string): string[] =>
  readdirSync(root)
    .filter((name) => name !== '.filerpair')
    .sort();

const scenarios: readonly Scenario[] = [
  scenario({
    title: 'CREATE guarded with attributes',
    procedure: 'CREATE',
    divisible: true,
    prepare: () => {},
    args: ({ root }) => ({
      where: { dir: root, name: bytes('new') },
      how: {
        mode: GUARDED,
        obj_attributes: {
          ...SATTR3_NOTHING,
          mode: 0o640,
          size: 5000,
          mtime: { how: SET_TO_CLIENT_TIME, time: { seconds: 1_000_000, nseconds: 42 } },
        },
      },
    }),
    verify: (root) => {
      expect(names(root)).toEqual(['new']);
      const { mode, size, mtimeMs } = statSync(join(root, 'new'));
      expect({ mode: mode & 0o7777, size, mtimeMs: Math.floor(mtimeMs) }).toEqual({
        mode: 0o640,
        size: 5000,
        mtimeMs: 1_000_000_000,
      });
    },
    statusTwice: NFS3ERR_EXIST,
  }),
  scenario({
    title: 'CREATE exclusive',
    procedure: 'CREATE',
    divisible: true,
    prepare: () => {},
    args: ({ root }) => ({
      where: { dir: root, name: bytes('new') },
      how: { mode: EXCLUSIVE, verf: bytes('verifier') },
    }),
    verify: (root) => expect(names(root)).toEqual(['new']),
    // Without a journal too: the verifier in the file's times tells the same request.
    statusTwice: NFS3_OK,
  }),
  scenario({
    title: 'CREATE unchecked that cuts a file',
    procedure: 'CREATE',
    divisible: false,
    prepare: (root) => writeFileSync(join(root, 'old'), 'a long content'),
    args: ({ root }) => ({
      where: { dir: root, name: bytes('old') },
      how: { mode: UNCHECKED, obj_attributes: { ...SATTR3_NOTHING, size: 0 } },
    }),
    verify: (root) => expect(statSync(join(root, 'old')).size).toBe(0),
    statusTwice: NFS3_OK,
  }),
  scenario({
    title: 'MKDIR',
    procedure: 'MKDIR',
    divisible: true,
    prepare: () => {},
    args: ({ root }) => ({
      where: { dir: root, name: bytes('new') },
      attributes: { ...SATTR3_NOTHING, mode: 0o751, uid: 7, gid: 8 },
    }),
    verify: (root) => {
      const { mode, uid } = statSync(join(root, 'new'));
      expect(mode & 0o7777).toBe(0o751);
      if (process.geteuid!() === 0) expect(uid).toBe(7);
    },
    statusTwice: NFS3ERR_EXIST,
  }),
  scenario({
    title: 'SYMLINK',
    procedure: 'SYMLINK',
    divisible: true,
    prepare: () => {},
    args: ({ root }) => ({
      where: { dir: root, name: bytes('new') },
      symlink: { symlink_attributes: SATTR3_NOTHING, symlink_data: bytes('../some/where') },
    }),
    verify: (root) => expect(readlinkSync(join(root, 'new'))).toBe('../some/where'),
    statusTwice: NFS3ERR_EXIST,
  }),
  scenario({
    title: 'MKNOD of a fifo',
    procedure: 'MKNOD',
    divisible: true,
    prepare: () => {},
    args: ({ root }) => ({
      where: { dir: root, name: bytes('new') },
      what: { type: NF3FIFO, pipe_attributes: { ...SATTR3_NOTHING, mode: 0o622 } },
    }),
    verify: (root) => {
      const stat = lstatSync(join(root, 'new'));
      expect([stat.isFIFO(), stat.mode & 0o7777]).toEqual([true, 0o622]);
    },
    statusTwice: NFS3ERR_EXIST,
  }),
  scenario({
    title: 'REMOVE',
    procedure: 'REMOVE',
    divisible: false,
    prepare: (root) => writeFileSync(join(root, 'old'), 'content'),
    args: ({ root }) => ({ object: { dir: root, name: bytes('old') } }),
    verify: (root) => expect(names(root)).toEqual([]),
    statusTwice: NFS3ERR_NOENT,
  }),
  scenario({
    title: 'REMOVE of one of two links',
    procedure: 'REMOVE',
    divisible: false,
    prepare: (root) => {
      writeFileSync(join(root, 'kept'), 'content');
      linkSync(join(root, 'kept'), join(root, 'old'));
    },
    args: ({ root }) => ({ object: { dir: root, name: bytes('old') } }),
    verify: (root) => {
      expect(names(root)).toEqual(['kept']);
      expect(statSync(join(root, 'kept')).nlink).toBe(1);
    },
    statusTwice: NFS3ERR_NOENT,
  }),
  scenario({
    title: 'RMDIR',
    procedure: 'RMDIR',
    divisible: false,
    prepare: (root) => mkdirSync(join(root, 'old')),
    args: ({ root }) => ({ object: { dir: root, name: bytes('old') } }),
    verify: (root) => expect(names(root)).toEqual([]),
    statusTwice: NFS3ERR_NOENT,
  }),
  scenario({
    title: 'RENAME over an existing file, into another directory',
    procedure: 'RENAME',
    divisible: false,
    prepare: (root) => {
      mkdirSync(join(root, 'sub'));
      writeFileSync(join(root, 'old'), 'moved');
      writeFileSync(join(root, 'sub', 'new'), 'replaced, and longer');
    },
    args: async ({ root, handle }) => ({
      from: { dir: root, name: bytes('old') },
      to: { dir: await handle('sub'), name: bytes('new') },
    }),
    verify: (root) => {
      expect(names(root)).toEqual(['sub']);
      expect(statSync(join(root, 'sub', 'new')).size).toBe('moved'.length);
    },
    statusTwice: NFS3ERR_NOENT,
  }),
  scenario({
    title: 'LINK',
    procedure: 'LINK',
    divisible: false,
    prepare: (root) => writeFileSync(join(root, 'old'), 'content'),
    args: async ({ root, handle }) => ({
      file: await handle('old'),
      link: { dir: root, name: bytes('new') },
    }),
    verify: (root) => {
      expect(names(root)).toEqual(['new', 'old']);
      expect(statSync(join(root, 'old')).nlink).toBe(2);
    },
    statusTwice: NFS3ERR_EXIST,
  }),
  scenario({
    title: 'SETATTR with guard, of several attributes',
    procedure: 'SETATTR',
    divisible: true,
    prepare: (root) => writeFileSync(join(root, 'old'), 'content that is cut'),
    args: async ({ handle, ctime }) => ({
      object: await handle('old'),
      new_attributes: {
        mode: 0o604,
        uid: null,
        gid: null,
        size: 7,
        atime: { how: DONT_CHANGE },
        mtime: { how: SET_TO_CLIENT_TIME, time: { seconds: 2_000_000, nseconds: 0 } },
      },
      guard: await ctime('old'),
    }),
    verify: (root) => {
      const { mode, size, mtimeMs } = statSync(join(root, 'old'));
      expect([mode & 0o7777, size, mtimeMs]).toEqual([0o604, 7, 2_000_000_000]);
    },
    statusTwice: NFS3ERR_NOT_SYNC,
  }),
  scenario({
    title: 'SETATTR with guard, of a size that frees much',
    procedure: 'SETATTR',
    divisible: true,
    prepare: (root) => writeFileSync(join(root, 'old'), Buffer.alloc(LARGE_SIZE, 'x')),
    args: async ({ handle, ctime }) => ({
      object: await handle('old'),
      new_attributes: { ...SATTR3_NOTHING, mode: 0o604, size: 7 },
      guard: await ctime('old'),
    }),
    verify: (root) => {
      const { mode, size } = statSync(join(root, 'old'));
      expect([mode & 0o7777, size]).toEqual([0o604, 7]);
    },
    statusTwice: NFS3ERR_NOT_SYNC,
  }),
  scenario({
    title: 'CREATE unchecked that cuts a large file',
    procedure: 'CREATE',
    divisible: true,
    prepare: (root) => writeFileSync(join(root, 'old'), Buffer.alloc(LARGE_SIZE, 'x')),
    args: ({ root }) => ({
      where: { dir: root, name: bytes('old') },
      how: { mode: UNCHECKED, obj_attributes: { ...SATTR3_NOTHING, size: 0 } },
    }),
    verify: (root) => expect(statSync(join(root, 'old')).size).toBe(0),
    statusTwice: NFS3_OK,
  }),
];

/** A process that serves the volume until it dies at the step. */
class Victim {
  readonly #child: ChildProcess;
  readonly exited: Promise<NodeJS.Signals | null>;

  constructor() {
    this.#child = fork(new URL('./data-thread-process.fixture.ts', import.meta.url), { stdio: 'inherit' });
    this.exited = new Promise((resolve) => this.#child.once('exit', (_code, signal) => resolve(signal)));
  }

  /** Resolves with the port. */
  open(order: OpenInProcess): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#child.on('message', (message: FromDataThread) => {
        if (message.kind === 'opened') resolve(message.port);
        if (message.kind === 'openFailed') reject(new Error(message.message));
      });
      this.#child.once('exit', (code, signal) =>
        reject(new Error(`ended before it served: ${code ?? signal}`)),
      );
      this.#child.send(order);
    });
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }
}

/** In memory: a killed process loses nothing that the kernel has, and sixteen megabytes of journal are made at once. */
const parent = existsSync('/dev/shm') ? '/dev/shm' : undefined;
let survivor: TestDataThread;
/** Starts up while the case before runs. */
let spare: Victim;
beforeAll(() => {
  survivor = new TestDataThread();
  spare = new Victim();
});
afterAll(async () => {
  spare.kill();
  await survivor.stop();
});

function takeVictim(): Victim {
  const victim = spare;
  spare = new Victim();
  return victim;
}

async function stageOf(client: RpcClient): Promise<Stage> {
  const root = await mount(client, '/data');
  const lookup = async (name: string) => {
    const found = await client.call('LOOKUP', { what: { dir: root, name: bytes(name) } });
    if (found.status !== NFS3_OK) throw new Error(`LOOKUP ${name}: ${found.status}`);
    return found;
  };
  return {
    root,
    handle: async (name) => (await lookup(name)).object,
    ctime: async (name) => (await lookup(name)).obj_attributes!.ctime,
  };
}

/** The call sent until the owner is dead; then to the survivor, three times, and once to the owner's next run. */
async function run(
  one: Scenario,
  testing: Failpoints,
  check: (status: number) => void,
  exportsThen?: readonly ExportSpec[],
): Promise<void> {
  const directory = temporaryDirectory(parent);
  const victim = takeVictim();
  try {
    one.prepare(directory.path);
    const port = await victim.open({ message: openMessage(directory.path), testing });
    const client = await RpcClient.connect(port);
    const args = await one.args(await stageOf(client));
    await expect(client.call(one.procedure, args, { xid: XID })).rejects.toThrow('connection closed');
    expect(await victim.exited).toBe('SIGKILL');

    const changed = exportsThen === undefined ? {} : { exports: exportsThen };
    const partner = { diskSet: 'partner', server: 'filer-b', epoch: 2 } as const;
    const takenOver = openMessage(directory.path, { ...partner, ...changed });
    const { port: secondary } = await survivor.open(takenOver);
    const other = await RpcClient.connect(secondary);
    const answer = await other.call(one.procedure, args, { xid: XID });
    check(answer.status);
    if (answer.status === NFS3_OK) one.verify(directory.path);
    expect(await other.call(one.procedure, args, { xid: XID })).toEqual(answer);
    await survivor.close('partner', 'quiesce');

    const { port: home } = await survivor.open(openMessage(directory.path, { epoch: 3, ...changed }));
    const third = await RpcClient.connect(home);
    expect(await third.call(one.procedure, args, { xid: XID })).toEqual(answer);
    if (answer.status === NFS3_OK) one.verify(directory.path);
    await survivor.close('local', 'fence');
  } finally {
    victim.kill();
    await survivor.close('partner', 'fence');
    await survivor.close('local', 'fence');
    directory.remove();
  }
}

const steps = Object.values(OperationStep);

describe.each(scenarios)('$title', (one) => {
  const reached = steps.filter((step) => one.divisible || step !== OperationStep.duringExecution);
  test.each(reached)('killed at %s: the resent call gets its answer, executed once', async (step) => {
    const killAt = { operation: one.procedure, step };
    await run(one, { killAt }, (status) => expect(status).toBe(NFS3_OK));
  });
});

describe('exactly once, whatever has become of the export since', () => {
  const one = (title: string): Scenario => scenarios.find((scenario) => scenario.title === title)!;
  const killed: readonly (readonly [Scenario, OperationStep])[] = [
    [one('CREATE guarded with attributes'), 'duringExecution'],
    [one('CREATE guarded with attributes'), 'afterExecution'],
    [one('CREATE guarded with attributes'), 'beforeAnswer'],
    [one('RENAME over an existing file, into another directory'), 'afterExecution'],
    [one('SETATTR with guard, of several attributes'), 'duringExecution'],
    [one('SETATTR with guard, of a size that frees much'), 'duringExecution'],
    [one('LINK'), 'afterFlush'],
  ];
  const data: ExportSpec = { path: '/data', volume: 'data', ...EVERYBODY };
  const fates: readonly (readonly [string, readonly ExportSpec[]])[] = [
    ['ReadOnly', [{ ...data, access: 'ReadOnly' }]],
    ['for other clients', [{ ...data, clients: ['10.9.9.9'] }]],
    ['gone', [{ ...data, path: '/other' }]],
  ];
  const cases = killed.flatMap(([scenario, step]) =>
    fates.map(([fate, exports]) => ({ title: scenario.title, scenario, step, fate, exports })),
  );
  test.each(cases)(
    '$title, killed at $step, then the export is $fate',
    async ({ scenario, step, exports }) => {
      const killAt = { operation: scenario.procedure, step };
      await run(scenario, { killAt }, (status) => expect(status).toBe(NFS3_OK), exports);
    },
  );
});

describe('without the journal the same test fails (so it can)', () => {
  const telling = scenarios.filter(({ statusTwice }) => statusTwice !== NFS3_OK);
  test.each(telling)('$title', async (one) => {
    const killAt = { operation: one.procedure, step: OperationStep.beforeAnswer };
    await run(one, { killAt, journalDisabled: true }, (status) => expect(status).toBe(one.statusTwice));
  });
});
