/**
 * Hostile calls by the thousand against a server that is confined: everything but its volume is read-only to it (confined.sh),
 * and what lies outside its exports is looked at before and after. It must not have been changed, none of it may be in any reply,
 * and the server must be as well as before.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import * as nfs from '../../protocol/nfs3.ts';
import { RecordParser } from '../../protocol/record.ts';
import { decodeReplyHeader, ReplyHeader } from '../../protocol/rpc.ts';
import { XdrReader } from '../../protocol/xdr.ts';
import { SeededRandom } from '../../testing/seeded-random.ts';
import type { FromDataThread } from '../threads/messages.ts';
import { EVERYBODY, mount, openMessage, TestDataThread, temporaryDirectory } from './data-thread.fixture.ts';
import { type HostileCall, HostileCalls } from './hostile-calls.fixture.ts';
import { RpcClient } from './rpc-client.fixture.ts';

declare module 'vitest' {
  interface ProvidedContext {
    readonly hostileCalls?: number;
    /** Write what led to something new to the corpus: a run of `make conformance` that found it. */
    readonly keepCorpus?: boolean;
  }
}

const isRoot = process.geteuid!() === 0;
const SEED = Number(inject('from') ?? 1);
const CALLS = Number(inject('hostileCalls') ?? 30_000);
const MORE_ATTACKS_MAX = 20;
const CALLS_AT_ONCE = 32;
/** A call that has no answer by then never gets one. */
const ANSWER_MS_MAX = 20_000;
const CORPUS = join(import.meta.dirname, 'hostile-corpus.txt');
/** Stands in every file that no client may read. */
const TREASURE = 'TREASURE-3f9c1e77';

let directory: { path: string; remove: () => void };
let volume: string;
let canary: string;
let server: ChildProcess;
let told: FromDataThread[];
let port: number;
let handles: Uint8Array[];
let foreign: Uint8Array[];

/** Everything about a tree that a client could have changed. Reading it moves only times of access. */
function snapshot(path: string): string[] {
  const { mode, uid, gid, size, mtimeMs, ctimeMs, nlink } = lstatSync(path);
  const facts = [path, mode, uid, gid, size, mtimeMs, ctimeMs, nlink];
  const type = mode & 0o170000;
  if (type === 0o100000) facts.push(createHash('sha256').update(readFileSync(path)).digest('hex'));
  if (type === 0o120000) facts.push(readlinkSync(path));
  const below = type === 0o040000 ? readdirSync(path).sort() : [];
  return [facts.join(' '), ...below.flatMap((name) => snapshot(join(path, name)))];
}

beforeAll(async () => {
  if (!isRoot) return;
  directory = temporaryDirectory();
  volume = join(directory.path, 'volume');
  canary = join(directory.path, 'canary');
  for (const path of ['volume/inside/directory', 'volume/locked', 'volume/outside', 'canary', 'other']) {
    mkdirSync(join(directory.path, path), { recursive: true });
  }
  for (const path of ['canary', 'volume/outside', 'volume/locked']) {
    writeFileSync(join(directory.path, path, path === 'volume/locked' ? 'file' : 'treasure'), TREASURE, {
      mode: 0o666,
    });
  }
  writeFileSync(join(volume, 'locked', 'file'), 'for reading only', { mode: 0o666 });
  writeFileSync(join(volume, 'inside', 'file'), 'anything');
  symlinkSync(canary, join(volume, 'inside', 'link'));
  symlinkSync('..', join(volume, 'inside', 'up'));
  foreign = await handlesOfAnotherVolume();
  port = await startConfined();
  const client = await RpcClient.connect(port);
  const inside = await mount(client, '/inside');
  const find = async (dir: Uint8Array, name: string): Promise<Uint8Array> => {
    const found = await client.call('LOOKUP', { what: { dir, name: new TextEncoder().encode(name) } });
    if (found.status !== nfs.NFS3_OK) throw new Error(`LOOKUP ${name}: ${found.status}`);
    return found.object;
  };
  const locked = await mount(client, '/locked');
  const names = ['directory', 'file', 'link', 'up'];
  const found = await Promise.all(names.map((name) => find(inside, name)));
  handles = [inside, ...found, locked, await find(locked, 'file'), ...foreign];
  client.close();
});
afterAll(() => {
  server?.kill('SIGKILL');
  directory?.remove();
});

/** Well signed, but with another volume's secret; and one of its root directory under the same export's name. */
async function handlesOfAnotherVolume(): Promise<Uint8Array[]> {
  const other = join(directory.path, 'other');
  const thread = new TestDataThread();
  const exports = [{ path: '/inside', volume: 'data', ...EVERYBODY }];
  const opened = await thread.open(openMessage(other, { exports }));
  const client = await RpcClient.connect(opened.port);
  const root = await mount(client, '/inside');
  client.close();
  await thread.close('local', 'quiesce');
  await thread.stop();
  return [root];
}

async function startConfined(): Promise<number> {
  const program = join(import.meta.dirname, 'data-thread-process.fixture.ts');
  const command = [volume, canary, process.execPath, program];
  server = spawn(join(import.meta.dirname, 'confined.sh'), command, {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  told = [];
  const exports = [
    { path: '/inside', volume: 'data', directory: 'inside', ...EVERYBODY },
    { path: '/locked', volume: 'data', directory: 'locked', ...EVERYBODY, access: 'ReadOnly' as const },
  ];
  const opened = new Promise<number>((resolve, reject) => {
    server.on('message', (message: FromDataThread) => {
      told.push(message);
      if (message.kind === 'opened') resolve(message.port);
      if (message.kind === 'openFailed') reject(new Error(message.message));
    });
    server.on('exit', (code, signal) => reject(new Error(`the server ended: ${code ?? signal}`)));
  });
  server.send({ message: openMessage(volume, { exports }), testing: {} });
  return opened;
}

/** A connection that takes anything for a reply, and looks for treasures in every byte of it. */
class Attacker {
  readonly socket: Socket;
  readonly ended: Promise<void>;
  readonly #parser: RecordParser;
  #onReply: (r: XdrReader) => void;
  #tail: Buffer;
  /** What went wrong while a reply was looked at. */
  failure: unknown;

  constructor(onReply: (r: XdrReader) => void) {
    this.#parser = new RecordParser(4 * 1024 * 1024);
    this.#onReply = onReply;
    this.#tail = Buffer.alloc(0);
    this.socket = connect({ port, host: '127.0.0.1', noDelay: true });
    this.socket.on('error', () => {});
    this.ended = new Promise((resolve) => this.socket.on('close', () => resolve()));
    this.socket.on('data', (chunk: Buffer) => {
      try {
        this.#receive(chunk);
      } catch (error) {
        this.failure ??= error;
        this.socket.destroy();
      }
    });
  }

  #receive(chunk: Buffer): void {
    const seen = Buffer.concat([this.#tail, chunk]);
    for (const secret of secrets())
      if (seen.includes(secret)) throw new Error('a reply holds what no client may see');
    this.#tail = seen.subarray(-64);
    this.#parser.push(chunk);
    while (this.#parser.next()) this.#onReply(this.#parser.record);
  }

  send(message: Uint8Array): void {
    const mark = Buffer.alloc(4);
    mark.writeUInt32BE(0x80000000 + message.length);
    this.socket.write(Buffer.concat([mark, message]));
  }
}

let known: Buffer[] = [];
function secrets(): Buffer[] {
  if (known.length === 0) known = [Buffer.from(TREASURE), readFileSync(join(volume, '.filerpair', 'secret'))];
  return known;
}

/** Which behaviour of the server a reply shows. New handles in it are put to use. */
function behaviour(r: XdrReader, what: string, calls: HostileCalls): string {
  const header = new ReplyHeader();
  decodeReplyHeader(r, header);
  if (header.kind !== 'success')
    return `${what} ${header.kind} ${header.kind === 'error' ? header.acceptStat : ''}`;
  const procedure = nfs.nfs3Procedures[what as nfs.Nfs3Name];
  if (procedure === undefined) return `${what} success`;
  // A changed call may be one of another procedure by now: then the reply is not this one's.
  const status =
    r.end - r.position >= 4 ? new DataView(r.bytes.buffer, r.bytes.byteOffset).getUint32(r.position) : -1;
  try {
    const result = procedure.res.decode(r) as { object?: Uint8Array; obj?: Uint8Array | null };
    const handle = result.object ?? result.obj;
    if (handle != null) calls.learnHandle(handle.slice());
  } catch {
    return `${what} ${status} undecodable`;
  }
  return `${what} ${status}`;
}

/** Procedures that have not once done their work for the attacker. */
function withoutSuccess(behaviours: ReadonlyMap<string, HostileCall>): string[] {
  const names = Object.keys(nfs.nfs3Procedures);
  return names.filter((name) => name !== 'NULL' && !behaviours.has(`${name} 0`));
}

/** Sends calls in groups, on a new connection after each that the server closed. */
async function attack(
  count: number,
  next: () => HostileCall,
  seen: (behaviour: string, call: HostileCall) => void,
  calls: HostileCalls,
): Promise<void> {
  const outstanding = new Map<number, HostileCall>();
  let wake = (): void => {};
  const onReply = (record: XdrReader): void => {
    const r = new XdrReader(record.bytes.slice(record.position, record.end));
    const xid = new DataView(r.bytes.buffer).getUint32(0);
    const call = outstanding.get(xid);
    outstanding.delete(xid);
    if (call !== undefined) seen(behaviour(r, call.what, calls), call);
    if (outstanding.size === 0) wake();
  };
  let attacker = new Attacker(onReply);
  for (let sent = 0; sent < count; sent += CALLS_AT_ONCE) {
    for (let i = 0; i < CALLS_AT_ONCE; i++) {
      const call = next();
      outstanding.set(call.xid, call);
      attacker.send(call.message);
    }
    const answered = new Promise<'answered'>((resolve) => {
      wake = () => resolve('answered');
    });
    const late = setTimeout(() => attacker.socket.destroy(new Error('late')), ANSWER_MS_MAX);
    const outcome = await Promise.race([answered, attacker.ended]);
    clearTimeout(late);
    if (attacker.socket.errored?.message === 'late') {
      const first = [...outstanding.values()].map((call) => calls.write(call).slice(0, 300)).slice(0, 3);
      throw new Error(`${outstanding.size} calls without an answer, among them: ${first.join('\n')}`);
    }
    if (attacker.failure !== undefined) throw attacker.failure;
    if (outcome !== 'answered') {
      // Which of them it was is not known; the rest of the group was not looked at.
      outstanding.clear();
      attacker = new Attacker(onReply);
    }
  }
  attacker.socket.destroy();
}

test.runIf(isRoot)('nothing escapes, nothing breaks', { timeout: 1_800_000 }, async () => {
  const outside = () => [canary, join(volume, 'outside'), join(volume, 'locked')].flatMap(snapshot);
  const before = outside();
  const random = new SeededRandom(SEED);
  const calls = new HostileCalls(random, canary, handles);
  const behaviours = new Map<string, HostileCall>();
  const note = (what: string, call: HostileCall): void => {
    if (behaviours.has(what)) return;
    behaviours.set(what, call);
    calls.keep(call);
  };
  const corpus = existsSync(CORPUS) ? readFileSync(CORPUS, 'utf8').split('\n').filter(Boolean) : [];
  let at = 0;
  const fromCorpus = (): HostileCall => calls.read(corpus[at++ % corpus.length]!);
  if (corpus.length > 0) await attack(corpus.length, fromCorpus, note, calls);
  await attack(CALLS, () => calls.next(), note, calls);
  // The order of answers is the server's, and what a call finds depends on it: now and then a procedure needs longer
  // to find something that it works on.
  for (let more = 0; more < MORE_ATTACKS_MAX && withoutSuccess(behaviours).length > 0; more++)
    await attack(CALLS / 4, () => calls.next(), note, calls);

  expect(outside()).toEqual(before);
  expect(server.exitCode).toBe(null);
  expect(told.filter((one) => one.kind === 'fault' || (one.kind === 'log' && one.level === 'error'))).toEqual(
    [],
  );
  // A neighbour is served as ever.
  const client = await RpcClient.connect(port);
  const root = await mount(client, '/inside');
  expect((await client.call('GETATTR', { object: root })).status).toBe(nfs.NFS3_OK);
  client.close();
  // The attack was one: every procedure did its work for it, and refused in many ways.
  expect(withoutSuccess(behaviours)).toEqual([]);
  expect(behaviours.size).toBeGreaterThan(200);
  if (inject('keepCorpus') === true) {
    writeFileSync(CORPUS, `${[...behaviours.values()].map((call) => calls.write(call)).join('\n')}\n`);
  }
});
