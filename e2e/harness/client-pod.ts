/** Who uses a pair while a test breaks servers: a client, by default a pod, and the writer that runs in it. */
import type { ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { eventually } from '../../testing/eventually.ts';
import { start } from '../machine/command.ts';
import { type BystandersWaits, type HistoryEntry, LINES_FILE, runDirectory } from '../writer/history.ts';
import { checkHistory, type FoundEntry, type FoundOnDisk, type Verdict } from './check-history.ts';
import type { Pair, PodThing, Server } from './pair.ts';
import { POD_READY_MS_MAX, WRITER_FINISHED_MS_MAX, WRITER_STARTED_MS_MAX } from './timeouts.ts';

export const CLIENT_POD = 'client';
/** What a client does while nobody starts a program in it. */
export const WAITING = ['/usr/bin/tini', '-s', '--', 'node', '-e', 'setInterval(() => {}, 3600_000)'];

export interface Client {
  /** Starts a program in it, with its standard input open. */
  readonly start: (...command: string[]) => Promise<ChildProcess>;
}

/**
 * Starts the client pod on a node that the scenario will not break.
 *
 * @param dns further fields of the pod: whom it asks for names
 * @param beside further containers
 */
export async function createClientPod(
  pair: Pair,
  node: string,
  dns: object = {},
  beside: readonly object[] = [],
): Promise<Client> {
  await pair.kubectl.apply({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: CLIENT_POD, namespace: pair.namespace },
    spec: {
      nodeName: node,
      terminationGracePeriodSeconds: 1,
      containers: [
        {
          name: CLIENT_POD,
          image: pair.environment.images.client,
          imagePullPolicy: 'Never',
          // What it measures is the servers' gap, not its own.
          resources: { requests: { cpu: '250m', memory: '128Mi' } },
          // The writer comes with kubectl exec; the pod itself only waits.
          command: WAITING,
        },
        ...beside,
      ],
      ...dns,
    },
  });
  await pair.kubectl.wait(`pod/${CLIENT_POD}`, 'condition=Ready', POD_READY_MS_MAX);
  return { start: (...command) => startInClientPod(pair, ...command) };
}

/**
 * A program in the client pod, with its standard input open. Through the node's container runtime: kubectl exec would end
 * with the API server, which is among what scenarios stop.
 */
async function startInClientPod(pair: Pair, ...command: string[]): Promise<ChildProcess> {
  const { spec, status } = await pair.kubectl.get<PodThing>('pod', CLIENT_POD);
  const own = status.containerStatuses?.find(({ name }) => name === CLIENT_POD);
  const id = own?.containerID?.replace('containerd://', '');
  if (id === undefined) throw new Error(`pod ${CLIENT_POD} shows no container`);
  const exec = [
    'ctr',
    '--namespace',
    'k8s.io',
    'tasks',
    'exec',
    '--exec-id',
    `writer-${process.pid}-${++programs}`,
  ];
  return start(['docker', 'exec', '--interactive', spec.nodeName, ...exec, id, ...command]);
}
let programs = 0;

export class Writer {
  readonly history: HistoryEntry[] = [];
  readonly #process: ChildProcess;
  readonly #pair: Pair;
  readonly #server: Server;
  readonly #run: string;
  #complaints = '';

  private constructor(pair: Pair, server: Server, run: string, process: ChildProcess) {
    this.#pair = pair;
    this.#server = server;
    this.#run = run;
    this.#process = process;
    createInterface({ input: this.#process.stdout! }).on('line', (line) => {
      this.history.push(JSON.parse(line) as HistoryEntry);
    });
    this.#process.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.#complaints += text;
    });
  }

  /** Starts writing to a server's export and waits for the first acknowledged line. */
  /** `pauseMs`: between two requests of a loop. */
  static async start(
    client: Client,
    pair: Pair,
    server: Server,
    run: string,
    pauseMs?: number,
  ): Promise<Writer> {
    const args = [pair.urlOf(server), run, ...(pauseMs === undefined ? [] : [String(pauseMs)])];
    const program = await client.start('node', '/app/dist/e2e/writer/main.js', ...args);
    const writer = new Writer(pair, server, run, program);
    await writer.#saw('started', WRITER_STARTED_MS_MAX);
    return writer;
  }

  /** Puts a mark into the history, and waits until the writer has put it there. */
  async mark(name: string): Promise<void> {
    this.#process.stdin!.write(`mark ${name}\n`);
    await this.#until(`the writer has set the mark "${name}"`, WRITER_STARTED_MS_MAX, () =>
      this.history.some((entry) => entry.kind === 'mark' && entry.name === name),
    );
  }

  /** Waits until this many more lines have been acknowledged: the writer works now. */
  async writes(lines: number, msMax: number): Promise<void> {
    const count = () => this.history.filter((entry) => entry.kind === 'line').length;
    const from = count();
    await this.#until(
      `the writer has ${lines} more lines acknowledged`,
      msMax,
      () => count() >= from + lines,
    );
  }

  /** Waits for something new of this kind in the history. */
  async finds(kind: HistoryEntry['kind'], msMax: number): Promise<void> {
    const from = this.history.length;
    await this.#until(`the writer finds ${kind}`, msMax, () =>
      this.history.slice(from).some((entry) => entry.kind === kind),
    );
  }

  /** Ends the run, checks what NFS shows against the disk, and judges the history. */
  async finish(): Promise<Verdict> {
    this.#process.stdin!.end();
    await this.#saw('finished', WRITER_FINISHED_MS_MAX);
    const disk = this.#onDisk(await this.#pair.onDisk(this.#server));
    const finished = this.history.find((entry) => entry.kind === 'finished')!;
    const sha256 = createHash('sha256').update(disk.lines).digest('hex');
    if (sha256 !== finished.sha256) {
      throw new Error(
        `NFS shows another file of lines (sha256 ${finished.sha256}) than the disk holds (${sha256})`,
      );
    }
    return checkHistory(this.#run, this.history, disk);
  }

  /** Losses and adoptions of connections, as the writer's client library noticed them, between the marks. */
  noticed(): string[] {
    return this.history.flatMap((entry) => {
      if (entry.kind === 'mark') return [`-- ${entry.name} --`];
      const moved = entry.kind === 'connection' && (entry.event === 'Lost' || entry.event === 'Adopted');
      return moved ? [`${entry.event} ${entry.detail}`] : [];
    });
  }

  /** After finish(). Of a writer with a pause. */
  bystandersWaits(): BystandersWaits {
    const bystander = this.history.find((entry) => entry.kind === 'finished')?.bystander;
    if (bystander === undefined) throw new Error('the writer was no bystander');
    return bystander;
  }

  kill(): void {
    this.#process.kill('SIGKILL');
  }

  #saw(kind: 'started' | 'finished', msMax: number): Promise<unknown> {
    return this.#until(`the writer has ${kind}`, msMax, () =>
      this.history.some((entry) => entry.kind === kind),
    );
  }

  #until(event: string, msMax: number, holds: () => boolean): Promise<unknown> {
    return eventually(
      event,
      msMax,
      () => {
        if (holds()) return true;
        const failed = this.history.find((entry) => entry.kind === 'failed');
        if (failed) throw new Error(`the writer cannot go on: ${failed.message}`);
        if (this.#process.exitCode !== null) throw new Error(`the writer has ended: ${this.#complaints}`);
        return false;
      },
      () =>
        `its last words: ${this.history
          .slice(-5)
          .map((entry) => JSON.stringify(entry))
          .join('\n')}\n${this.#complaints}`,
    );
  }

  /** Read from the volume's directory on this machine: past NFS, past both servers. */
  #onDisk(directory: string): FoundOnDisk {
    const root = join(directory, runDirectory(this.#run));
    const entries = new Map<string, FoundEntry>();
    if (existsSync(join(root, 'rounds'))) {
      for (const name of readdirSync(root, { recursive: true, encoding: 'utf8' })) {
        const status = statSync(join(root, name));
        entries.set(name, { kind: status.isDirectory() ? 'directory' : 'file', mode: status.mode & 0o7777 });
      }
    }
    return { lines: readFileSync(join(root, LINES_FILE)), entries };
  }
}
