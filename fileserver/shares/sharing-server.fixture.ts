/** A server as far as FilerShares go: their watch, and a real data thread. The test is the rest of the agent. */

import { mount, openMessage, type TestDataThread } from '../data-path/data-thread.fixture.ts';
import { RpcClient } from '../data-path/rpc-client.fixture.ts';
import { createLog } from '../logging/log.ts';
import type { OpenMessage } from '../threads/messages.ts';
import { PairShares } from './pair-shares.ts';
import type { ShareApi } from './share-api.fixture.ts';

export class SharingServer {
  readonly thread: TestDataThread;
  readonly shares: PairShares;
  port = 0;
  readonly #volume: string;
  #epoch: number;

  /** volume: the directory of volume `data` of filer-a's disk set, which this server serves as its own. */
  constructor(api: ShareApi, thread: TestDataThread, volume: string, epoch = 1, server = 'filer-a') {
    this.#volume = volume;
    this.#epoch = epoch;
    this.thread = thread;
    this.shares = new PairShares({
      client: api.api.client,
      namespace: 'storage',
      pair: 'nas',
      volumes: new Map([
        ['filer-a', ['data']],
        ['filer-b', ['data']],
      ]),
      serviceNames: { 'filer-a': 'nas-a', 'filer-b': 'nas-b' },
      log: createLog({ level: 'error', format: 'text' }, { server }),
    });
  }

  async start(msMax = 10_000): Promise<void> {
    const { thread } = this;
    await this.shares.start(
      {
        replace: (_home, exports) => thread.post({ kind: 'exports', diskSet: 'local', exports }),
        change: (_home, changes, number) =>
          thread.post({ kind: 'exportChanges', diskSet: 'local', number, changes }),
        removeDirectory: (_home, id, volume, directory) =>
          thread.post({ kind: 'removeDirectory', diskSet: 'local', id, volume, directory }),
        forgetRemoval: (_home, id, volume) =>
          thread.post({ kind: 'forgetRemoval', diskSet: 'local', id, volume }),
      },
      msMax,
    );
  }

  /** Serves the disk set of filer-a. */
  async open(overrides: Partial<OpenMessage> = {}): Promise<void> {
    const { shares, thread } = this;
    const home = 'filer-a';
    thread.onMessage = (message) => {
      if (message.kind === 'exportsReplaced') shares.replaced(home);
      if (message.kind === 'exportsChanged') shares.exportsInForce(home, message.number);
      if (message.kind === 'directoriesKnown') shares.directoriesKnown(home);
      if (message.kind === 'absentExports') shares.absent(home, message.exports);
      if (message.kind === 'directoryRemoved') shares.directoryRemoved(home, message.id, message.result);
      if (message.kind === 'closed') shares.closed(home);
    };
    const exports = shares.opening(home);
    const message = openMessage(this.#volume, {
      exports,
      copiesExports: true,
      epoch: this.#epoch,
      ...overrides,
    });
    this.#epoch += 1;
    this.port = (await thread.open(message)).port;
    shares.served(home);
  }

  /** Status of MNT, 0: it is mounted. */
  async tryMount(path: string): Promise<number> {
    const client = await RpcClient.connect(this.port);
    try {
      await mount(client, path);
      return 0;
    } catch (error) {
      return Number(/MNT .*: (\d+)$/.exec((error as Error).message)?.[1] ?? -1);
    } finally {
      client.close();
    }
  }

  async close(mode: 'quiesce' | 'fence' = 'quiesce'): Promise<void> {
    await this.thread.close('local', mode);
  }

  async stop(): Promise<void> {
    await this.shares.stop();
    await this.close('fence');
    this.thread.onMessage = () => {};
  }
}
