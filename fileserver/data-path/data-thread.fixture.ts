/** Runs the data thread alone for tests: the test is the agent, and grants rights by writing the table. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import type { DiskSetSide } from '../../pair/types.ts';
import { dirpath, MOUNT_PROGRAM, MOUNT_V3, mountproc3, mountres3 } from '../../protocol/mount.ts';
import { program } from '../../testing/program.ts';
import { unpacked } from '../exports/export-specs.ts';
import { DataFigures, metricsSize } from '../metrics/data-metrics.ts';
import { allocateLeaseTable, LeaseTable } from '../serving-lease/lease-table.ts';
import type { ExportSpec, GivenExports } from '../settings/export-spec.ts';
import { type ThreadCounts, threadCount } from '../settings/thread-counts.ts';
import { bootMs } from '../system/boottime.ts';
import { FAILPOINT_ARGUMENTS, withFailpoints } from '../system/failpoints.fixture.ts';
import type { Failpoints } from '../system/failpoints.ts';
import type {
  CloseMode,
  DataThreadOptions,
  FromDataThread,
  OpenedMessage,
  OpenMessage,
  ToDataThread,
} from '../threads/messages.ts';
import { ThreadBoard } from '../threads/thread-board.ts';
import type { RpcClient } from './rpc-client.fixture.ts';

/** Threads start within 0.3 s; on a busy machine within some. */
const START_MS_MAX = 20_000;

export const EVERYBODY: Omit<ExportSpec, 'path' | 'volume'> = {
  clients: ['*'],
  access: 'ReadWrite',
  squash: 'None',
  anonymousUid: 65534,
  anonymousGid: 65534,
};

/** Exports as a list: most tests have one or two. */
type Overrides = Partial<Omit<OpenMessage, 'exports'>> & {
  readonly exports?: readonly ExportSpec[] | GivenExports | null;
};

export function openMessage(path: string, overrides: Overrides = {}): OpenMessage {
  const { exports = [{ path: '/data', volume: 'data', ...EVERYBODY }], ...others } = overrides;
  return {
    kind: 'open',
    diskSet: 'local',
    home: 'filer-a',
    server: 'filer-a',
    incarnation: 'filer-a/test/1',
    epoch: 1,
    volumes: [{ name: 'data', path }],
    exports: exports === null || 'packed' in exports ? exports : unpacked(exports),
    host: '127.0.0.1',
    port: 0,
    ...others,
  };
}

/** A directory that the end of the test removes. */
export function temporaryDirectory(parent = tmpdir()): { path: string; remove: () => void } {
  const path = mkdtempSync(join(parent, 'filerpair-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

export class TestDataThread {
  readonly leases: LeaseTable;
  readonly messages: FromDataThread[];
  readonly board: ThreadBoard;
  readonly figures: DataFigures;
  readonly #worker: Worker;
  #listeners: ((message: FromDataThread) => void)[];
  /** Told of every message. */
  onMessage: (message: FromDataThread) => void;

  constructor(
    on: Failpoints = {},
    threads: ThreadCounts = { connections: 2, own: 2, partner: 1 },
    groupChannel?: string,
  ) {
    this.leases = new LeaseTable(allocateLeaseTable());
    this.messages = [];
    this.#listeners = [];
    this.onMessage = () => {};
    this.board = new ThreadBoard(ThreadBoard.allocate(threadCount(threads)));
    const metrics = new SharedArrayBuffer(metricsSize(threads));
    this.figures = new DataFigures(metrics, threads);
    const groups = groupChannel === undefined ? {} : { groupChannel };
    const common = { leases: this.leases.buffer, threads, board: this.board.buffer, metrics, ...groups };
    const options: DataThreadOptions = common;
    this.#worker = withFailpoints(
      on,
      () =>
        new Worker(program(new URL('../threads/thread.ts', import.meta.url)), {
          workerData: options,
          execArgv: FAILPOINT_ARGUMENTS,
        }),
    );
    this.#worker.on('message', (message: FromDataThread) => {
      this.messages.push(message);
      this.onMessage(message);
      for (const listener of [...this.#listeners]) listener(message);
    });
    this.#worker.on('error', (error) => {
      throw error;
    });
  }

  grant(slot: DiskSetSide, forMs = 3_600_000): void {
    this.leases.set(slot, bootMs() + forMs);
  }

  revoke(slot: DiskSetSide): void {
    this.leases.set(slot, 0);
  }

  post(message: ToDataThread): void {
    this.#worker.postMessage(message);
  }

  /** The next message for which `wanted` is true. */
  next<T extends FromDataThread>(wanted: (message: FromDataThread) => message is T): Promise<T> {
    return new Promise((resolve) => {
      const listener = (message: FromDataThread): void => {
        if (!wanted(message)) return;
        this.#listeners = this.#listeners.filter((one) => one !== listener);
        resolve(message);
      };
      this.#listeners.push(listener);
    });
  }

  of<Kind extends FromDataThread['kind']>(kind: Kind): Promise<Extract<FromDataThread, { kind: Kind }>> {
    return this.next((message): message is Extract<FromDataThread, { kind: Kind }> => message.kind === kind);
  }

  /** Grants the lease, opens, and waits until it serves. Throws the reason if it does not. */
  async open(message: OpenMessage): Promise<OpenedMessage> {
    this.grant(message.diskSet);
    const answer = this.next(
      (m): m is Extract<FromDataThread, { kind: 'opened' | 'openFailed' }> =>
        m.kind === 'opened' || m.kind === 'openFailed',
    );
    this.post(message);
    const result = await answer;
    if (result.kind === 'openFailed') throw new Error(`${result.reason}: ${result.message}`);
    return result;
  }

  async close(diskSet: DiskSetSide, mode: CloseMode): Promise<void> {
    const closed = this.of('closed');
    this.post({ kind: 'close', diskSet, mode });
    await closed;
  }

  async stop(): Promise<void> {
    this.#worker.removeAllListeners('error');
    // To end a thread while it loads the C library through koffi aborts the whole process.
    const until = performance.now() + START_MS_MAX;
    while (!this.board.allStarted && performance.now() < until) await delay(5);
    await this.#worker.terminate();
  }
}

/** The handle of an export or of a directory in it. */
export async function mount(client: RpcClient, path: string): Promise<Uint8Array> {
  const encode = (w: Parameters<typeof dirpath.encode>[0]): void =>
    dirpath.encode(w, new TextEncoder().encode(path));
  const { r } = await client.raw(MOUNT_PROGRAM, MOUNT_V3, mountproc3.MNT, encode);
  const result = mountres3.decode(r);
  if (result.status !== 0) throw new Error(`MNT ${path}: ${result.status}`);
  return result.fhandle.slice();
}
