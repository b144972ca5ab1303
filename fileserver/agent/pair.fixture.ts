/**
 * A pair as it runs in production, on one machine: two server processes, two sentinels, directories as volumes, the embedded
 * witness, relays between the two so that the network can be cut. Everything in it is real.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { NFS3_OK, SATTR3_NOTHING } from '../../protocol/nfs3.ts';
import { beginRecord, endRecord } from '../../protocol/record.ts';
import { AUTH_NONE_CREDENTIAL, encodeCallHeader } from '../../protocol/rpc.ts';
import { XdrWriter } from '../../protocol/xdr.ts';
import { eventually } from '../../testing/eventually.ts';
import { freePorts } from '../../testing/free-ports.ts';
import { program } from '../../testing/program.ts';
import { mount } from '../data-path/data-thread.fixture.ts';
import { RpcClient } from '../data-path/rpc-client.fixture.ts';
import { certificateFiles, writeCertificates } from '../interconnect/certificates.fixture.ts';
import { bootMs } from '../system/boottime.ts';
import { type Relay, startRelay } from './interconnect-relay.fixture.ts';
import type { Status } from './status.ts';

export const servers = ['filer-a', 'filer-b'] as const;
export type Server = (typeof servers)[number];
export const partnerOf = (server: Server): Server => (server === 'filer-a' ? 'filer-b' : 'filer-a');

/** Longer than the defaults: these tests share their machine with others, and a starved server fences itself. */
export const timing = { leaseMs: 3000, guardMs: 750, heartbeatMs: 200 };

interface Ports {
  readonly primary: number;
  readonly secondary: number;
  readonly interconnect: number;
  readonly metrics: number;
}

/** A line of the embedded witness's history. */
export interface HistoryLine {
  readonly bootMs: number;
  readonly holder: string | null;
  readonly epoch: number;
  readonly acknowledger: string | null;
  readonly releasedTo: string | null;
}

export interface Running {
  readonly child: ChildProcess;
  /** Resolves with exit code, signal and the time on CLOCK_BOOTTIME. */
  readonly ended: Promise<{ code: number | null; signal: string | null; atMs: number }>;
  output(): string;
}

export class Pair {
  readonly directory: string;
  readonly ports: Readonly<Record<Server, Ports>>;
  /** On the way to a server's interconnect port. */
  readonly relays: Readonly<Record<Server, Relay>>;
  readonly #children: Running[] = [];

  private constructor(directory: string, ports: Record<Server, Ports>, relays: Record<Server, Relay>) {
    this.directory = directory;
    this.ports = ports;
    this.relays = relays;
  }

  /** `more`: further fields of a server's configuration. */
  static async create(more: (server: Server, directory: string) => object = () => ({})): Promise<Pair> {
    const directory = mkdtempSync(join(tmpdir(), 'filerpair-pair-'));
    const ports = { 'filer-a': await portsOfServer(), 'filer-b': await portsOfServer() };
    const relays = {
      'filer-a': await startRelay(ports['filer-a'].interconnect),
      'filer-b': await startRelay(ports['filer-b'].interconnect),
    };
    const pair = new Pair(directory, ports, relays);
    await writeCertificates(directory);
    for (const server of servers) pair.#configure(server, more(server, directory));
    return pair;
  }

  configFile(server: Server): string {
    return join(this.directory, server, 'config.json');
  }

  /** Where each run of the server leaves its name. */
  terminationLog(server: Server): string {
    return join(this.directory, server, 'termination-log');
  }

  startSentinel(server: Server): Running {
    return this.#start(new URL('../sentinel/main.ts', import.meta.url), server);
  }

  /** `stdout`: a descriptor in place of a pipe that is read. */
  startServer(server: Server, stdout: number | 'pipe' = 'pipe'): Running {
    return this.#start(new URL('../main.ts', import.meta.url), server, stdout);
  }

  /** Null while the server cannot be asked. */
  async status(server: Server): Promise<Status | null> {
    const answer = await this.control(server, 'GET', '/status').catch(() => null);
    return answer === null ? null : (JSON.parse(answer.body) as Status);
  }

  control(
    server: Server,
    method: 'GET' | 'POST',
    path: string,
    body = '',
  ): Promise<{ status: number; body: string }> {
    return new Promise((resolve, reject) => {
      const socketPath = join(this.directory, server, 'control.sock');
      const outgoing = request({ socketPath, method, path }, (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          text += chunk;
        });
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body: text }));
      });
      outgoing.on('error', reject);
      outgoing.end(body);
    });
  }

  /** Resolves when both serve their own disk set and each one's Lease names the other as acknowledger. */
  async paired(): Promise<void> {
    for (const server of servers) {
      await eventually(`${server} is paired and serves its own`, 60_000, async () => {
        const set = (await this.status(server))?.diskSets.find((one) => one.home === server);
        return (
          set?.phase === 'open' && set.owner === server && set.acknowledger?.startsWith(partnerOf(server))
        );
      });
    }
  }

  /** For the server's next start. */
  reconfigure(server: Server, changes: object): void {
    const config = JSON.parse(readFileSync(this.configFile(server), 'utf8')) as object;
    writeFileSync(this.configFile(server), JSON.stringify({ ...config, ...changes }));
  }

  history(home: Server): HistoryLine[] {
    const path = join(this.directory, 'witness', `${home}.history`);
    if (!existsSync(path)) return [];
    return readFileSync(path, 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as HistoryLine);
  }

  /** Every process of it. */
  async kill(): Promise<void> {
    for (const { child } of this.#children) {
      child.kill('SIGKILL');
      child.kill('SIGCONT');
    }
    await Promise.all(this.#children.map((one) => one.ended));
  }

  async stop(): Promise<void> {
    await this.kill();
    for (const server of servers) this.relays[server].close();
    rmSync(this.directory, { recursive: true, force: true });
  }

  #start(source: URL, server: Server, stdout: number | 'pipe' = 'pipe'): Running {
    const child = spawn(process.execPath, [program(source), '--config', this.configFile(server)], {
      env: { ...process.env, TERMINATION_LOG: this.terminationLog(server) },
      stdio: ['ignore', stdout, 'pipe'],
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (data: Buffer) => {
        output += data.toString();
      });
    }
    const ended = once(child, 'exit').then(([code, signal]) => ({ code, signal, atMs: bootMs() }));
    const running = { child, ended, output: () => output };
    this.#children.push(running);
    return running;
  }

  #configure(server: Server, more: object): void {
    const partner = partnerOf(server);
    const diskSet = (home: Server) => {
      const path = join(this.directory, 'volumes', home, 'data');
      mkdirSync(path, { recursive: true });
      return {
        volumes: [{ name: 'data', path }],
        exports: [{ path: '/home', volume: 'data', squash: 'None' }],
      };
    };
    const config = {
      pair: 'home',
      server,
      partner,
      listen: { host: '127.0.0.1', ...this.ports[server] },
      partnerAddress: { host: '127.0.0.1', interconnect: this.relays[partner].port },
      runDir: join(this.directory, server),
      tls: certificateFiles(this.directory, server, partner),
      timing,
      witness: { kind: 'embedded', directory: join(this.directory, 'witness') },
      diskSets: { 'filer-a': diskSet('filer-a'), 'filer-b': diskSet('filer-b') },
      log: { level: 'debug', format: 'text' },
      ...more,
    };
    mkdirSync(join(this.directory, server), { recursive: true });
    writeFileSync(this.configFile(server), JSON.stringify(config));
  }
}

/** A client's change that has to reach the disk, in the own disk set of the server whose primary port this is. */
export async function changeOwn(port: number): Promise<void> {
  const client = await RpcClient.connect(port);
  const dir = await mount(client, '/home');
  const name = new TextEncoder().encode(`d${bootMs()}`);
  const { status } = await client.call('MKDIR', { where: { dir, name }, attributes: SATTR3_NOTHING });
  if (status !== NFS3_OK) throw new Error(`MKDIR was answered with status ${status}`);
  client.close();
}

/**
 * Asks the NFS NULL procedure until it is answered, over a new connection every 20 ms, as the client's overlapping
 * attempts do. Resolves with the time of the first answer, ms on CLOCK_BOOTTIME.
 */
export async function firstAnswer(port: number, timeoutMs = 60_000): Promise<number> {
  const giveUpAt = bootMs() + timeoutMs;
  const answered = Promise.withResolvers<number>();
  const attempts = new Set<Socket>();
  const attempt = (): void => {
    const socket = connect(port, '127.0.0.1');
    attempts.add(socket);
    socket.setNoDelay(true);
    socket.on('connect', () => socket.write(nullCall));
    socket.on('data', () => answered.resolve(bootMs()));
    socket.on('error', () => attempts.delete(socket));
    if (bootMs() > giveUpAt) answered.reject(new Error(`port ${port} did not answer within ${timeoutMs} ms`));
  };
  const timer = setInterval(attempt, 20);
  try {
    return await answered.promise;
  } finally {
    clearInterval(timer);
    for (const socket of attempts) socket.destroy();
  }
}

/** Whether a connection to the port is refused: nobody listens. */
export async function isClosed(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ECONNREFUSED';
  } finally {
    socket.destroy();
  }
}

const nullCall = ((): Uint8Array => {
  const writer = new XdrWriter(64);
  const at = beginRecord(writer);
  encodeCallHeader(writer, 1, 100_003, 3, 0, AUTH_NONE_CREDENTIAL);
  endRecord(writer, at);
  return writer.written();
})();

/** The servers need numbers that stay the same over restarts. */
async function portsOfServer(): Promise<Ports> {
  const [primary, secondary, interconnect, metrics] = (await freePorts(4)) as [
    number,
    number,
    number,
    number,
  ];
  return { primary, secondary, interconnect, metrics };
}
