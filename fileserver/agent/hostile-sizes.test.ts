/**
 * Legal calls of hostile size against a real pair. Ordinary users who send what the protocol allows and no sensible client makes
 * must not end a server, nor hand it the same call again at its partner. Seconds in `make unit`; as long as wanted with
 * `make hostile SECONDS=3600`.
 */

import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import * as nfs from '../../protocol/nfs3.ts';
import { RecordParser } from '../../protocol/record.ts';
import { decodeReplyHeader, ReplyHeader } from '../../protocol/rpc.ts';
import { XdrReader } from '../../protocol/xdr.ts';
import { eventually } from '../../testing/eventually.ts';
import { pause } from '../../testing/pause.ts';
import { SeededRandom } from '../../testing/seeded-random.ts';
import { mount } from '../data-path/data-thread.fixture.ts';
import { RpcClient } from '../data-path/rpc-client.fixture.ts';
import { HostileSizes } from './hostile-sizes.fixture.ts';
import { firstAnswer, Pair, type Running, type Server, servers } from './pair.fixture.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** How long the calls go on. s */
    readonly hostileSeconds?: number;
  }
}

const SECONDS = Number(inject('hostileSeconds') ?? 15);
const SEED = Number(inject('from') ?? 1);
const CALLS_AT_ONCE = 16;
/** Connections to each server. */
const ATTACKERS = 2;
/** A call that has no answer by then never gets one. */
const ANSWER_MS_MAX = 60_000;
/** A server that gets no processor for some seconds is not what this is about: it must not fence itself. ms */
const PATIENT = { leaseMs: 30_000, guardMs: 5000, heartbeatMs: 200 };
/** Characters of a server's log that a failure shows. */
const LOG_SIZE = 3000;
/** Between two lines about the progress of a long run. ms */
const REPORT_MS = 60_000;

let pair: Pair;
const running = new Map<Server, Running>();

beforeAll(async () => {
  pair = await Pair.create(() => ({ timing: PATIENT }));
  for (const server of servers) {
    pair.startSentinel(server);
    running.set(server, pair.startServer(server));
  }
  await pair.paired();
}, 120_000);
afterAll(() => pair?.stop());

/** One connection that keeps CALLS_AT_ONCE calls under way. */
class Attacker {
  answered = 0;
  readonly outcomes: Map<string, number>;
  readonly #socket: Socket;
  readonly #calls: HostileSizes;
  readonly #waiting: Map<number, { name: nfs.Nfs3Name; sentAt: number }>;
  #nextXid: number;
  #ending: (() => void) | null;
  /** Why it can't go on. */
  failure: Error | null;

  constructor(port: number, calls: HostileSizes) {
    this.#calls = calls;
    this.#waiting = new Map();
    this.outcomes = new Map();
    this.#nextXid = 1;
    this.#ending = null;
    this.failure = null;
    const parser = new RecordParser(4 * 1024 * 1024);
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true });
    this.#socket.on('error', (error) => this.#fail(error));
    this.#socket.on('close', () => this.#fail(new Error('the server closed the connection')));
    this.#socket.on('data', (chunk: Buffer) => {
      parser.push(chunk);
      while (parser.next()) this.#take(parser.record);
    });
    for (let i = 0; i < CALLS_AT_ONCE; i++) this.#send();
  }

  /** Resolves when everything sent is answered. */
  end(): Promise<void> {
    return new Promise((resolve) => {
      this.#ending = () => {
        this.#socket.removeAllListeners('close');
        this.#socket.destroy();
        resolve();
      };
      if (this.#waiting.size === 0 || this.failure !== null) this.#ending();
    });
  }

  get oldestMs(): number {
    const [first] = this.#waiting.values();
    return first === undefined ? 0 : performance.now() - first.sentAt;
  }

  get waitingFor(): string {
    return [...new Set([...this.#waiting.values()].map(({ name }) => name))].join(', ');
  }

  #fail(error: Error): void {
    this.failure ??= error;
    this.#ending?.();
  }

  #send(): void {
    const xid = this.#nextXid++;
    const { name, message } = this.#calls.next(xid);
    this.#waiting.set(xid, { name, sentAt: performance.now() });
    const mark = Buffer.alloc(4);
    mark.writeUInt32BE(0x80000000 + message.length);
    this.#socket.write(Buffer.concat([mark, message]));
  }

  #take(record: XdrReader): void {
    const r = new XdrReader(record.bytes.slice(record.position, record.end));
    const header = new ReplyHeader();
    decodeReplyHeader(r, header);
    const call = this.#waiting.get(header.xid);
    if (call === undefined) return;
    this.#waiting.delete(header.xid);
    this.answered += 1;
    const outcome =
      header.kind === 'success' ? this.#learn(call.name, r) : `${header.kind} ${header.acceptStat}`;
    const key = `${call.name} ${outcome}`;
    this.outcomes.set(key, (this.outcomes.get(key) ?? 0) + 1);
    if (this.#ending === null) this.#send();
    else if (this.#waiting.size === 0) this.#ending();
  }

  #learn(name: nfs.Nfs3Name, r: XdrReader): string {
    const result = nfs.nfs3Procedures[name].res.decode(r) as {
      status: number;
      object?: Uint8Array;
      obj?: Uint8Array | null;
    };
    const handle = result.object ?? result.obj;
    if (handle != null) this.#calls.learnHandle(handle.slice());
    return String(result.status);
  }
}

/** What the servers said last. */
function logs(): string {
  return [...running].map(([server, { output }]) => `${server}: ${output().slice(-LOG_SIZE)}`).join('\n');
}

async function rootOf(server: Server): Promise<Uint8Array> {
  const client = await RpcClient.connect(pair.ports[server].primary);
  const root = await mount(client, '/home');
  client.close();
  return root;
}

test('no legal call ends a server', { timeout: (SECONDS + 120) * 1000 }, async () => {
  const attackers: Attacker[] = [];
  for (const server of servers) {
    const root = await rootOf(server);
    for (let i = 0; i < ATTACKERS; i++) {
      const random = new SeededRandom(SEED + attackers.length);
      attackers.push(new Attacker(pair.ports[server].primary, new HostileSizes(random, root)));
    }
  }
  const endAt = performance.now() + SECONDS * 1000;
  let reportAt = performance.now() + REPORT_MS;
  const answered = (): number => attackers.reduce((sum, one) => sum + one.answered, 0);
  while (performance.now() < endAt) {
    for (const one of attackers) {
      expect(one.failure, logs()).toBe(null);
      expect(one.oldestMs, one.waitingFor).toBeLessThan(ANSWER_MS_MAX);
    }
    for (const [server, { child, output }] of running)
      expect(child.exitCode ?? child.signalCode, `${server}: ${output().slice(-LOG_SIZE)}`).toBe(null);
    if (performance.now() > reportAt) {
      reportAt += REPORT_MS;
      process.stdout.write(`${answered()} calls answered\n`);
    }
    await pause(100, 'between two looks at the servers');
  }
  await Promise.all(attackers.map((one) => one.end()));
  for (const one of attackers) expect(one.failure).toBe(null);

  // Each serves its own disk set in its first epoch: no takeover, no restart.
  for (const server of servers) {
    expect(running.get(server)!.child.exitCode).toBe(null);
    const status = (await pair.status(server))!;
    expect(status.diskSets.find(({ home }) => home === server)).toMatchObject({
      phase: 'open',
      owner: server,
      epoch: 1,
    });
    expect(pair.history(server).every(({ epoch }) => epoch <= 1)).toBe(true);
    await firstAnswer(pair.ports[server].primary);
    const found = running.get(server)!.output();
    expect(found).not.toMatch(/a request failed|uncaught|unhandled/i);
  }
  // The calls reached what they are about: every procedure succeeds sometimes and is refused in many ways.
  const outcomes = new Set(attackers.flatMap((one) => [...one.outcomes.keys()]));
  const names = Object.keys(nfs.nfs3Procedures);
  expect(names.filter((name) => !outcomes.has(`${name} 0`))).toEqual([]);
  expect(outcomes.size).toBeGreaterThan(100);
  process.stdout.write(`${answered()} calls of hostile size answered, ${outcomes.size} kinds of outcome\n`);
  await eventually('both are ready', 60_000, async () => {
    const ready = await Promise.all(servers.map((server) => pair.control(server, 'GET', '/readyz')));
    return ready.every(({ status }) => status === 200);
  });
});
