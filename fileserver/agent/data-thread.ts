/**
 * The agent's hold on the data thread: one worker that owns the NFS sockets and all file system calls. The agent only
 * ever sends it messages; whatever a disk does, heartbeats go on. Its end is the end of the process: half a server
 * that still sends heartbeats would be worse than none.
 */
import { Worker } from 'node:worker_threads';
import type { Incarnation } from '../../pair/incarnation.ts';
import type { Config } from '../config.ts';
import type { DataThreadOptions, FromDataThread, ToDataThread } from '../data/messages.ts';
import type { DiskSetSlot } from '../right-table.ts';

export interface DataThreadSetup {
  readonly config: Config;
  readonly me: Incarnation;
  readonly rights: SharedArrayBuffer;
  readonly received: (message: FromDataThread) => void;
  /** The thread has ended. `reason` is a sentence. */
  readonly ended: (reason: string) => void;
}

export class DataThread {
  private readonly setup: DataThreadSetup;
  private readonly worker: Worker;

  constructor(setup: DataThreadSetup) {
    this.setup = setup;
    const { testing } = setup.config;
    // Not an import: the file runs in the worker alone. Compiled, it has another extension.
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
    const options = {
      rights: setup.rights,
      ...(testing === undefined ? {} : { testing }),
    } as DataThreadOptions;
    this.worker = new Worker(new URL(`../data/thread.${extension}`, import.meta.url), {
      workerData: options,
    });
    this.worker.on('message', setup.received);
    this.worker.on('error', (error: Error) => setup.ended(error.stack ?? error.message));
    this.worker.on('exit', (code) => setup.ended(`it exited with code ${code}`));
  }

  open(diskSet: DiskSetSlot, epoch: number): void {
    const { config, me } = this.setup;
    const home = diskSet === 'own' ? config.server : config.partner;
    const { volumes, exports } = config.diskSets[home]!;
    this.post({
      kind: 'open',
      diskSet,
      home,
      server: config.server,
      incarnation: me,
      epoch,
      volumes: volumes.map(({ name, path, writeThrough }) => ({
        name,
        path,
        writeThrough: writeThrough ?? false,
      })),
      exports: exports.map(({ directory, ...rest }) =>
        directory === undefined ? rest : { ...rest, directory },
      ),
      host: config.listen.host,
      port: diskSet === 'own' ? config.listen.primary : config.listen.secondary,
    });
  }

  close(diskSet: DiskSetSlot, mode: 'quiesce' | 'fence'): void {
    this.post({ kind: 'close', diskSet, mode });
  }

  /** Ends the thread where it is. For tests: a server ends as a process. */
  async terminate(): Promise<void> {
    await this.worker.terminate();
  }

  private post(message: ToDataThread): void {
    this.worker.postMessage(message);
  }
}
