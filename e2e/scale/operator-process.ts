/**
 * The operator as one process of this machine, and what it costs: processor time and memory from /proc, calls of the API from
 * its own metrics.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from '../../testing/eventually.ts';
import { REPOSITORY } from '../environment.ts';
import { run } from '../machine/command.ts';

/** Clock ticks a second in /proc (USER_HZ), the same on every Linux. */
const TICKS = 100;
const PAGE_KIB = 4;

export interface Cost {
  readonly cpuSeconds: number;
  /** Resident memory, MiB. */
  readonly memoryMiB: number;
  /** The most that it was since the process began. */
  readonly memoryMiBMax: number;
  /** Requests by verb; WATCH apart from GET. */
  readonly requests: Readonly<Record<string, number>>;
}

/** As in the image: sources would cost the memory of what strips their types. */
let bundled: Promise<string> | undefined;
const bundledOperator = (): Promise<string> => (bundled ??= bundle());

async function bundle(): Promise<string> {
  const bundles = join(REPOSITORY, '.cache/scale-bundles');
  await run([process.execPath, join(REPOSITORY, 'scripts/bundle.ts'), bundles]);
  return join(bundles, 'operator/main.js');
}

/**
 * As in the pod of the chart. Its limit of 512 MiB is why Node takes 256 MiB at most for objects, and collects earlier than on a
 * machine with much memory (v8.getHeapStatistics().heap_size_limit is 259 MiB there).
 */
const FLAGS = ['--max-semi-space-size=4', '--optimize-for-size', '--max-old-space-size=256'];

export class OperatorProcess {
  readonly #child: ChildProcess;
  readonly #port: number;

  private constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.#port = port;
  }

  /** Runs once all its caches are filled. */
  static async start(options: {
    readonly kubeconfig: string;
    readonly port: number;
    readonly log: string;
    readonly fileserverImage?: string;
  }): Promise<OperatorProcess> {
    const variables = {
      KUBECONFIG: options.kubeconfig,
      FILESERVER_IMAGE: options.fileserverImage ?? 'simulated',
      LEADER_ELECTION: 'false',
      HEALTH_PORT: String(options.port),
      LOG_LEVEL: 'warn',
    };
    const assignments = Object.entries(variables).map(([name, value]) => `${name}=${value}`);
    const main = await bundledOperator();
    const child = spawn('env', [...assignments, process.execPath, ...FLAGS, main], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const log = createWriteStream(options.log, { flags: 'a' });
    child.stdout.pipe(log);
    child.stderr.pipe(log);
    const one = new OperatorProcess(child, options.port);
    try {
      await eventually('the operator has filled its caches', 120_000, () => one.#isReady());
      return one;
    } catch (error) {
      await one.kill();
      throw error;
    }
  }

  async cost(): Promise<Cost> {
    const stat = readFileSync(`/proc/${this.#child.pid}/stat`, 'utf8');
    const fields = stat.replace(/^.*\) /, '').split(' ');
    return {
      cpuSeconds: (Number(fields[11]) + Number(fields[12])) / TICKS,
      memoryMiB: Math.round((Number(fields[21]) * PAGE_KIB) / 1024),
      memoryMiBMax: this.#memoryMiBMax(),
      requests: await this.#requests(),
    };
  }

  /** FilerPairs queued for reconciliation. */
  async queueLength(): Promise<number> {
    return Number(/^filerpair_operator_queue_length (\d+)/m.exec(await this.#metrics())?.[1]);
  }

  async stop(): Promise<void> {
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGTERM');
    await ended;
  }

  /** As a node that loses its power would end it. */
  async kill(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await ended;
  }

  async #isReady(): Promise<boolean> {
    if (this.#child.exitCode !== null) throw new Error(`the operator ended with ${this.#child.exitCode}`);
    try {
      return (await fetch(`http://127.0.0.1:${this.#port}/readyz`)).ok;
    } catch {
      return false;
    }
  }

  #memoryMiBMax(): number {
    const status = readFileSync(`/proc/${this.#child.pid}/status`, 'utf8');
    return Math.round(Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) / 1024);
  }

  async #metrics(): Promise<string> {
    return (await fetch(`http://127.0.0.1:${this.#port}/metrics`)).text();
  }

  async #requests(): Promise<Record<string, number>> {
    const found: Record<string, number> = {};
    for (const [, verb, count] of (await this.#metrics()).matchAll(
      /^filerpair_operator_api_requests_total\{verb="(\w+)",[^}]*\} (\d+)/gm,
    ))
      found[verb!] = (found[verb!] ?? 0) + Number(count);
    return found;
  }
}
