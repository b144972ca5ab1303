/** The agent's hold on the group thread: starts it, and again if it should end. */
import { randomUUID } from 'node:crypto';
import { BroadcastChannel, Worker } from 'node:worker_threads';
import type { Log } from '../logging/log.ts';
import type { GroupMessage } from './messages.ts';

const AGAIN_MS = 1000;

export class GroupLookup {
  /** For the data threads. */
  readonly channelName: string;
  readonly #log: Log;

  constructor(log: Log) {
    this.channelName = `filerpair-groups-${randomUUID()}`;
    this.#log = log;
    const channel = new BroadcastChannel(this.channelName);
    channel.onmessage = (event: unknown) => {
      const message = (event as { data: GroupMessage }).data;
      if (message.kind === 'answer' && message.error !== null) log.warn(`Groups: ${message.error}.`);
    };
    channel.unref();
    this.#start();
  }

  #start(): void {
    const worker = new Worker(new URL('./group-thread.ts', import.meta.url), {
      workerData: { channelName: this.channelName },
    });
    worker.unref();
    worker.on('error', (error) =>
      this.#log.error(`Groups can't be looked up: ${error.stack ?? error.message}`),
    );
    worker.on('exit', () => setTimeout(() => this.#start(), AGAIN_MS).unref());
  }
}
