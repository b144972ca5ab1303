/**
 * The demo's machines: two servers and their sentinels as processes of this one machine, with directories as volumes, a file as
 * witness and ports that were free a moment ago. Everything lies in one directory.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import type { Status } from '../fileserver/agent/status.ts';
import { certificateFiles, writeCertificates } from '../fileserver/interconnect/certificates.fixture.ts';
import { freePorts } from '../testing/free-ports.ts';

export const SERVERS = ['filer-a', 'filer-b'] as const;
export type ServerName = (typeof SERVERS)[number];

/** How long anything may take before it is given up: nothing on an idle machine, much on a busy one. */
const PATIENCE_MS = 60_000;

interface Ports {
  readonly primary: number;
  readonly secondary: number;
  readonly interconnect: number;
}

/** The demo cannot go on; the message says where to look. */
export class StageError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'StageError';
  }
}

export class Stage {
  readonly directory: string;
  readonly #ports: Record<ServerName, Ports>;
  readonly #timing: object;
  readonly #processes = new Map<string, ChildProcess>();

  private constructor(directory: string, ports: Record<ServerName, Ports>, timing: object) {
    this.directory = directory;
    this.#ports = ports;
    this.#timing = timing;
  }

  /**
   * Writes volumes, certificates and configurations below `directory`.
   *
   * @param timing of the servers' configuration; by default theirs, which a machine that gives them no processor for seconds breaks
   */
  static async build(directory: string, timing: object = {}): Promise<Stage> {
    const free = await freePorts(6);
    const ports = {
      'filer-a': { primary: free[0]!, secondary: free[1]!, interconnect: free[2]! },
      'filer-b': { primary: free[3]!, secondary: free[4]!, interconnect: free[5]! },
    };
    const stage = new Stage(directory, ports, timing);
    // Whatever ends this process, its servers must not live on without it.
    process.once('exit', () => {
      for (const child of stage.#processes.values()) child.kill('SIGKILL');
    });
    for (const name of SERVERS) {
      mkdirSync(stage.volume(name), { recursive: true });
      mkdirSync(stage.#runDir(name), { recursive: true, mode: 0o700 });
    }
    mkdirSync(join(directory, 'witness'));
    await writeCertificates(directory);
    for (const name of SERVERS) {
      writeFileSync(stage.#configFile(name), `${JSON.stringify(stage.#config(name), null, 2)}\n`);
    }
    return stage;
  }

  volume(home: ServerName): string {
    return join(this.directory, 'volumes', home, 'data');
  }

  #runDir(name: ServerName): string {
    return join(this.directory, 'run', name);
  }

  logFile(process: string): string {
    return join(this.directory, `${process}.log`);
  }

  /** The URL at which clients of `home` find it; its failover host is this machine like everything here. */
  url(home: ServerName): string {
    const { primary } = this.#ports[home];
    const { secondary } = this.#ports[partnerOf(home)];
    return `nfs://127.0.0.1:${primary}:${secondary}/home?failover=127.0.0.1`;
  }

  primaryPort(home: ServerName): number {
    return this.#ports[home].primary;
  }

  /** Where the partner serves `home`'s disk set after a takeover. */
  secondaryPort(home: ServerName): number {
    return this.#ports[partnerOf(home)].secondary;
  }

  startServer(name: ServerName): void {
    this.#start(name, '../fileserver/main.ts', name);
  }

  startSentinel(name: ServerName): void {
    this.#start(`${name}-sentinel`, '../fileserver/sentinel/main.ts', name);
  }

  kill(name: ServerName): void {
    this.#processes.get(name)!.kill('SIGKILL');
  }

  killSentinel(name: ServerName): void {
    this.#processes.get(`${name}-sentinel`)!.kill('SIGKILL');
  }

  /** Stops the process where it is, as a machine without memory or a frozen container would. */
  freeze(name: ServerName): void {
    this.#processes.get(name)!.kill('SIGSTOP');
  }

  /** Lets it go on. */
  thaw(name: ServerName): void {
    this.#processes.get(name)!.kill('SIGCONT');
  }

  /** Resolves when the process has ended by itself or has been killed; one that stays is killed after a while. */
  async ended(name: ServerName): Promise<void> {
    const child = this.#processes.get(name)!;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exit = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    const late = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS / 6);
    await exit;
    clearTimeout(late);
  }

  controlSocket(name: ServerName): string {
    return join(this.#runDir(name), 'control.sock');
  }

  /** The server's own account of itself; null while it cannot be asked. */
  status(name: ServerName): Promise<Status | null> {
    return this.#control(name, 'GET', '/status').then(
      (text) => JSON.parse(text) as Status,
      () => null,
    );
  }

  /** What a server tells Prometheus; null while it cannot be asked. */
  async metrics({ ports }: Status): Promise<string | null> {
    return fetch(`http://127.0.0.1:${ports.metrics}/metrics`).then(
      (response) => response.text(),
      () => null,
    );
  }

  /** Orders a giveback of `home` from the server that has taken it over; resolves when it is done. */
  async giveback(owner: ServerName, home: ServerName): Promise<void> {
    const text = await this.#control(owner, 'POST', '/giveback', { home, reason: 'demo' });
    const { result, message } = JSON.parse(text) as { result: string; message: string };
    if (result !== 'done') throw new StageError(`${owner} refused the giveback: ${message}`);
  }

  /** Polls `ask` until it returns something; fails with the name of the event and the place of the logs. */
  async waitFor<T>(event: string, ask: () => Promise<T | null>): Promise<T> {
    const endMs = performance.now() + PATIENCE_MS;
    for (;;) {
      const answer = await ask();
      if (answer !== null) return answer;
      for (const [name, child] of this.#processes) {
        const { exitCode, signalCode } = child;
        if (exitCode !== null || (signalCode !== null && signalCode !== 'SIGKILL')) {
          throw new StageError(
            `${event}: ${name} ended (${signalCode ?? `code ${exitCode}`})${this.#tail(name)}`,
          );
        }
      }
      if (performance.now() > endMs) {
        throw new StageError(`${event}: not within ${PATIENCE_MS / 1000} s${this.#tails()}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  /** Asks every process to end, and waits for it; the sentinels go last, as in a pod. */
  async stop(): Promise<void> {
    const ended = [...this.#processes.values()].map((child) => this.#end(child));
    await Promise.all(ended);
  }

  async #end(child: ChildProcess): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exit = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    child.kill('SIGTERM');
    const late = setTimeout(() => child.kill('SIGKILL'), 10_000);
    await exit;
    clearTimeout(late);
  }

  #start(process_: string, script: string, server: ServerName): void {
    const log = openSync(this.logFile(process_), 'a');
    const path = new URL(script, import.meta.url).pathname;
    const child = spawn(process.execPath, [path, '--config', this.#configFile(server)], {
      stdio: ['ignore', log, log],
    });
    closeSync(log);
    this.#processes.set(process_, child);
  }

  #configFile(name: ServerName): string {
    return join(this.directory, `${name}.json`);
  }

  #config(name: ServerName): object {
    const partner = partnerOf(name);
    const diskSet = (home: ServerName) => ({
      volumes: [{ name: 'data', path: this.volume(home) }],
      exports: [
        { path: '/home', volume: 'data', clients: ['127.0.0.1'], access: 'ReadWrite', squash: 'None' },
      ],
    });
    return {
      pair: 'demo',
      server: name,
      partner,
      listen: { host: '127.0.0.1', ...this.#ports[name], metrics: 0 },
      partnerAddress: { host: '127.0.0.1', interconnect: this.#ports[partner].interconnect },
      runDir: this.#runDir(name),
      tls: certificateFiles(this.directory, name, partner),
      timing: this.#timing,
      witness: { kind: 'embedded', directory: join(this.directory, 'witness') },
      diskSets: Object.fromEntries(SERVERS.map((home) => [home, diskSet(home)])),
      log: { level: 'info', format: 'text' },
    };
  }

  #control(name: ServerName, method: 'GET' | 'POST', path: string, body?: object): Promise<string> {
    const socketPath = this.controlSocket(name);
    return new Promise((resolve, reject) => {
      const call = request({ socketPath, method, path, agent: false, timeout: PATIENCE_MS }, (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (part: string) => {
          text += part;
        });
        response.on('end', () => resolve(text));
        response.on('error', reject);
      });
      call.on('timeout', () => call.destroy(new Error('no answer')));
      call.on('error', reject);
      call.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }

  #tails(): string {
    return [...this.#processes.keys()].map((name) => this.#tail(name)).join('');
  }

  #tail(name: string): string {
    const lines = readFileSync(this.logFile(name), 'utf8').trimEnd().split('\n').slice(-6);
    return `\n  ${this.logFile(name)}:\n${lines.map((line) => `    ${line}`).join('\n')}`;
  }
}

export function partnerOf(name: ServerName): ServerName {
  return name === 'filer-a' ? 'filer-b' : 'filer-a';
}
