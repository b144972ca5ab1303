/** Executes the agent's requests, one disk set after the other: opens, closes, changes exports, in all data threads. */

import type { DiskSetSide } from '../../pair/types.ts';
import { descriptorBudget } from '../connection-limits/descriptor-budget.ts';
import { LeaseTable } from '../serving-lease/lease-table.ts';
import { volumesOf } from '../settings/thread-counts.ts';
import { DataThreads, type ThreadStarter } from './data-threads.ts';
import { DiskSetCoordinator } from './disk-set-coordinator.ts';
import type {
  DataThreadOptions,
  DisksMessage,
  FromDataThread,
  PrepareMessage,
  ToDataThread,
} from './messages.ts';
import type { FromDataThreads } from './thread-messages.ts';

export interface DataPathSetup {
  readonly options: DataThreadOptions;
  /** Descriptors that the process may have. */
  readonly openFilesMax: number;
  readonly start: ThreadStarter;
  readonly post: (message: FromDataThread) => void;
}

export class DataPath {
  readonly #setup: DataPathSetup;
  readonly #leases: LeaseTable;
  readonly #threads: DataThreads;
  readonly #coordinators: Map<DiskSetSide, DiskSetCoordinator>;
  #sessions: number;
  /** Last message of the agent about volumes that move. */
  readonly #disks: Map<DiskSetSide, DisksMessage>;

  constructor(setup: DataPathSetup) {
    const { options, openFilesMax, start } = setup;
    const { leases, board, metrics, threads: counts } = options;
    const budget = descriptorBudget(openFilesMax, counts);
    this.#setup = setup;
    this.#leases = new LeaseTable(leases);
    this.#coordinators = new Map();
    this.#sessions = 0;
    this.#disks = new Map();
    this.#threads = new DataThreads({
      counts,
      leases,
      board,
      groupChannel: options.groupChannel,
      metrics,
      limits: budget.files,
      connectionsMax: budget.connectionsMax,
      volumes: options.volumes ?? { local: [], partner: [] },
      busyPoll: options.busyPoll !== false,
      start,
      received: (from, message) => this.#received(from, message),
    });
  }

  async handle(message: ToDataThread): Promise<void> {
    const { post } = this.#setup;
    const coordinator = this.#coordinators.get(message.diskSet);
    switch (message.kind) {
      case 'prepare':
        if (coordinator === undefined || coordinator.isClosed) this.#prepare(message);
        return;
      case 'open': {
        if (coordinator !== undefined && !coordinator.isClosed) {
          throw new Error(`disk set "${message.diskSet}" is open already: close it first`);
        }
        this.#sessions += 1;
        const { diskSet } = message;
        const disks = (): DisksMessage | null => this.#disks.get(diskSet) ?? null;
        const opened = new DiskSetCoordinator(
          this.#sessions,
          message,
          this.#threads,
          this.#leases,
          post,
          disks,
        );
        this.#coordinators.set(message.diskSet, opened);
        await opened.open();
        return;
      }
      case 'close':
        if (coordinator === undefined || coordinator.isClosed) {
          post({ kind: 'closed', diskSet: message.diskSet, mode: message.mode });
        } else {
          await coordinator.close(message.mode);
        }
        return;
      case 'disks':
        this.#disks.set(message.diskSet, message);
        return;
      case 'hold': {
        const { diskSet, id, msMax } = message;
        if (coordinator !== undefined) await coordinator.freeze(id, msMax);
        else post({ kind: 'resumed', diskSet, id, whole: false, message: 'it is not served here' });
        return;
      }
      case 'resume':
        coordinator?.thaw(message.id);
        return;
      case 'exports':
        if (coordinator !== undefined) await coordinator.replaceExports(message.exports);
        else post({ kind: 'exportsReplaced', diskSet: message.diskSet, exports: message.exports });
        return;
      case 'exportChanges':
        if (coordinator !== undefined) await coordinator.changeExports(message);
        else post({ kind: 'exportsChanged', diskSet: message.diskSet, number: message.number });
        return;
      case 'removeDirectory':
      case 'forgetRemoval':
        coordinator?.directory(message);
        return;
    }
  }

  #prepare(message: PrepareMessage): void {
    const { diskSet, volumes } = message;
    const threads = this.#threads.volumeThreadsFor(diskSet, volumes.length);
    threads.forEach((thread, index) => {
      const mine = volumesOf(volumes, threads.length, index);
      this.#threads.toVolumeThread(thread, { ...message, volumes: mine });
    });
  }

  #received(from: number, message: FromDataThreads): void {
    if (message.kind === 'ended') {
      this.#threads.connections.leave(message.admission);
      return;
    }
    for (const coordinator of this.#coordinators.values()) {
      if (coordinator.session === message.session) coordinator.received(from, message);
    }
  }
}
