// A pair on this machine, for tests with NFS clients: two servers and two sentinels as they run in production, with
// the embedded witness, on ports of their own.
import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { REPOSITORY } from '../environment.ts';
import { start } from '../machine/command.ts';
import { eventually } from '../machine/eventually.ts';
import { EXPORTS, partnerOf, SERVERS, type Server } from './pair.ts';

/** Two Node processes and two volumes on a busy machine. */
const SERVING_MS_MAX = 30_000;
const TAKEOVER_MS_MAX = 15_000;

interface Ports {
  readonly primary: number;
  readonly secondary: number;
  readonly interconnect: number;
  readonly metrics: number;
}

/** What GET /status says, as far as tests look at it. */
interface Status {
  readonly diskSets: readonly {
    readonly home: string;
    readonly owner?: string | null;
    readonly phase: string;
  }[];
  readonly partner: { readonly connected: boolean };
}

export class LocalPair {
  readonly #directory = mkdtempSync(join(tmpdir(), 'filerpair-e2e-'));
  readonly #ports: Readonly<Record<Server, Ports>>;
  readonly #processes = new Map<string, ChildProcess>();

  private constructor(ports: Readonly<Record<Server, Ports>>) {
    this.#ports = ports;
  }

  /** Starts both servers and waits until each serves its own disk set and a takeover is possible. */
  static async start(): Promise<LocalPair> {
    const pair = new LocalPair({ 'filer-a': await freePorts(), 'filer-b': await freePorts() });
    mkdirSync(join(pair.#directory, 'witness'));
    writeFileSync(join(pair.#directory, 'secret'), randomBytes(32), { mode: 0o600 });
    for (const server of SERVERS) {
      mkdirSync(pair.volume(server), { recursive: true });
      chmodSync(pair.volume(server), 0o777);
      mkdirSync(pair.#runDirectory(server), { recursive: true });
      writeFileSync(pair.#configFile(server), JSON.stringify(pair.#config(server), null, 2));
      pair.startServer(server);
    }
    try {
      for (const server of SERVERS) await pair.servedBy(server, server, SERVING_MS_MAX);
    } catch (error) {
      await pair.stop();
      throw error;
    }
    return pair;
  }

  /** The volume of a server as a directory of this machine. */
  volume(server: Server): string {
    return join(this.#directory, 'volumes', server);
  }

  primaryPort(server: Server): number {
    return this.#ports[server].primary;
  }

  /** Where a server serves its partner's disk set, while it does. */
  secondaryPort(server: Server): number {
    return this.#ports[server].secondary;
  }

  /** For the client library and the command: both ports of a disk set. */
  url(server: Server, path = ''): string {
    const secondary = this.secondaryPort(partnerOf(server));
    return `nfs://127.0.0.1:${this.#ports[server].primary}:${secondary}${EXPORTS[server]}${path}?failover=127.0.0.1`;
  }

  /** Starts the sentinel, if it does not run, and the server. */
  startServer(server: Server): void {
    const sentinel = `${server} sentinel`;
    const config = this.#configFile(server);
    if (!this.#runs(sentinel)) this.#launch(sentinel, ['fileserver/sentinel/main.ts', '--config', config]);
    this.#launch(server, ['fileserver/main.ts', '--config', config]);
  }

  /** SIGKILL of the server process; its sentinel lives on. */
  async kill(server: Server): Promise<void> {
    const child = this.#processes.get(server)!;
    const closed = once(child, 'close');
    child.kill('SIGKILL');
    await closed;
  }

  /** Brings a server back after kill() and gives its disk set back to it. */
  async giveBack(server: Server): Promise<void> {
    this.startServer(server);
    const partner = partnerOf(server);
    await eventually(
      'the servers are connected',
      SERVING_MS_MAX,
      async () => (await this.status(partner))?.partner.connected,
    );
    await eventually('the giveback is accepted', SERVING_MS_MAX, async () => {
      const { code } = await control(this.#socket(partner), 'POST', '/giveback');
      return code < 300;
    });
    await this.servedBy(server, server, TAKEOVER_MS_MAX);
  }

  async servedBy(home: Server, owner: Server, msMax = TAKEOVER_MS_MAX): Promise<void> {
    await eventually(
      `${owner} serves the disk set of ${home}`,
      msMax,
      async () => {
        if (!this.#runs(owner)) throw new Error(`${owner} has ended:\n${this.#log(owner)}`);
        const status = await this.status(owner);
        return status?.diskSets.some(
          (set) => set.home === home && set.owner === owner && set.phase === 'Serving',
        );
      },
      async () => `${JSON.stringify(await this.status(owner))}\n${this.#log(owner)}`,
    );
  }

  /** Undefined while the server does not answer. */
  async status(server: Server): Promise<Status | undefined> {
    try {
      const { code, body } = await control(this.#socket(server), 'GET', '/status');
      return code === 200 ? (JSON.parse(body) as Status) : undefined;
    } catch {
      return undefined;
    }
  }

  /** Ends all processes and removes everything. */
  async stop(): Promise<void> {
    for (const [name, child] of this.#processes) {
      if (!this.#runs(name)) continue;
      const closed = once(child, 'close');
      child.kill('SIGKILL');
      await closed;
    }
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #launch(name: string, args: readonly string[]): void {
    const child = start([join(REPOSITORY, 'node_modules/.bin/node'), ...args], { cwd: REPOSITORY });
    for (const stream of [child.stdout!, child.stderr!]) {
      stream.on('data', (text: Buffer) => writeFileSync(this.#logFile(name), text, { flag: 'a' }));
    }
    this.#processes.set(name, child);
  }

  #runs(name: string): boolean {
    const child = this.#processes.get(name);
    return child !== undefined && child.exitCode === null && child.signalCode === null;
  }

  #runDirectory = (server: Server) => join(this.#directory, 'run', server);
  #configFile = (server: Server) => join(this.#directory, `${server}.json`);
  #socket = (server: Server) => join(this.#runDirectory(server), 'control.sock');
  #logFile = (name: string) => join(this.#directory, `${name}.log`);
  #log(name: string): string {
    const file = this.#logFile(name);
    return existsSync(file) ? readFileSync(file, 'utf8').slice(-3000) : '';
  }

  #config(server: Server): object {
    const partner = partnerOf(server);
    return {
      pair: 'home',
      server,
      partner,
      listen: { host: '127.0.0.1', ...this.#ports[server] },
      partnerAddress: { host: '127.0.0.1', interconnect: this.#ports[partner].interconnect },
      runDir: this.#runDirectory(server),
      secretFile: join(this.#directory, 'secret'),
      witness: { kind: 'embedded', directory: join(this.#directory, 'witness') },
      diskSets: Object.fromEntries(
        SERVERS.map((home) => [
          home,
          {
            volumes: [{ name: 'data', path: this.volume(home) }],
            exports: [{ path: EXPORTS[home], volume: 'data', clients: ['127.0.0.0/8'], squash: 'None' }],
          },
        ]),
      ),
      log: { level: 'info', format: 'text' },
    };
  }
}

function control(socketPath: string, method: string, path: string): Promise<{ code: number; body: string }> {
  return new Promise((resolve, reject) => {
    const call = request({ socketPath, method, path }, (reply) => {
      let body = '';
      reply.setEncoding('utf8').on('data', (text: string) => {
        body += text;
      });
      reply.on('end', () => resolve({ code: reply.statusCode ?? 0, body }));
    });
    call.on('error', reject);
    call.end();
  });
}

/** Ports that nobody uses now; all are held until the last is known, so that they differ. */
async function freePorts(): Promise<Ports> {
  const servers = await Promise.all(
    [1, 2, 3, 4].map(async () => {
      const server = createServer().listen(0, '127.0.0.1');
      await once(server, 'listening');
      return server;
    }),
  );
  const [primary, secondary, interconnect, metrics] = servers.map(
    (server) => (server.address() as { port: number }).port,
  );
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return { primary: primary!, secondary: secondary!, interconnect: interconnect!, metrics: metrics! };
}
