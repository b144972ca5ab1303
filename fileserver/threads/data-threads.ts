/**
 * The threads behind the coordinator, by number: first those that hold connections, then those that change volumes of
 * the server's own disk set, then those of the partner's. Each pair of a connection thread and a volume thread has a
 * channel of its own, so that no call passes through a third thread.
 */

import { MessageChannel, type MessagePort } from 'node:worker_threads';
import type { DiskSetSide } from '../../pair/types.ts';
import { ConnectionsByAddress } from '../connection-limits/connections-by-address.ts';
import type { ThreadCounts } from '../settings/thread-counts.ts';
import { volumesOf } from '../settings/thread-counts.ts';
import type { VolumeSpec } from '../settings/volume-spec.ts';
import type { FileTableLimits } from '../storage/files/file-table.ts';
import type { PrepareMessage } from './messages.ts';
import { ThreadBoard } from './thread-board.ts';
import type { Channel, FromDataThreads, ToConnectionThread, ToVolumeThread } from './thread-messages.ts';

/** workerData of connection-thread.ts and volume-thread.ts. */
export interface ThreadSetup {
  /** Its own, on the board. */
  readonly number: number;
  readonly leases: SharedArrayBuffer;
  readonly board: SharedArrayBuffer;
  readonly metrics: SharedArrayBuffer;
  /** How many threads of its kind come before those that change volumes. */
  readonly connectionThreads: number;
  readonly limits: FileTableLimits;
  readonly groupChannel: string | undefined;
  /** Volumes that it will open, if it is told to. */
  readonly volumes: readonly VolumeSpec[];
  /** After a lone call, if processor time allows it: adaptive-poller.ts. */
  readonly busyPoll: boolean;
  /** To each thread of the other kind. */
  readonly channels: readonly (readonly [thread: number, port: MessagePort])[];
}

export type ThreadKind = 'connection' | 'volume';
/** Starts a thread; everything in `ports` goes to it. */
export type ThreadStarter = (kind: ThreadKind, setup: ThreadSetup, ports: readonly MessagePort[]) => Channel;

export interface DataThreadsSetup {
  readonly counts: ThreadCounts;
  readonly leases: SharedArrayBuffer;
  readonly board: SharedArrayBuffer;
  readonly metrics: SharedArrayBuffer;
  readonly limits: FileTableLimits;
  /** Limit for all ports together. */
  readonly connectionsMax: number;
  /** Channel of the group thread; undefined: users' groups are those of their credentials. */
  readonly groupChannel: string | undefined;
  readonly volumes: Readonly<Record<DiskSetSide, readonly VolumeSpec[]>>;
  readonly busyPoll: boolean;
  readonly start: ThreadStarter;
  readonly received: (from: number, message: FromDataThreads) => void;
}

export class DataThreads {
  /** Connections of all ports. */
  readonly connections: ConnectionsByAddress;
  readonly connectionThreads: number[];
  readonly #volumeThreads: Readonly<Record<DiskSetSide, readonly number[]>>;
  readonly #channels: Map<number, Channel>;
  readonly #board: ThreadBoard;
  /** Connections ever handed to each connection thread. */
  readonly #given: number[];

  constructor(setup: DataThreadsSetup) {
    this.connections = new ConnectionsByAddress(setup.connectionsMax);
    const { connections, own, partner } = setup.counts;
    const range = (from: number, count: number): number[] =>
      Array.from({ length: count }, (_, i) => from + i);
    this.connectionThreads = range(0, connections);
    this.#volumeThreads = { local: range(connections, own), partner: range(connections + own, partner) };
    this.#board = new ThreadBoard(setup.board);
    this.#given = this.connectionThreads.map(() => 0);
    this.#channels = this.#startAll(setup);
  }

  #startAll(setup: DataThreadsSetup): Map<number, Channel> {
    const changing = [...this.#volumeThreads.local, ...this.#volumeThreads.partner];
    const ports = new Map<number, [number, MessagePort][]>();
    const add = (thread: number, other: number, port: MessagePort): void => {
      ports.set(thread, [...(ports.get(thread) ?? []), [other, port]]);
    };
    for (const a of this.connectionThreads) {
      for (const b of changing) {
        const { port1, port2 } = new MessageChannel();
        add(a, b, port1);
        add(b, a, port2);
      }
    }
    const { leases, board, metrics, limits, groupChannel, busyPoll, start, received } = setup;
    const connectionThreads = this.connectionThreads.length;
    const channels = new Map<number, Channel>();
    for (const number of [...this.connectionThreads, ...changing]) {
      const kind = number < this.connectionThreads.length ? 'connection' : 'volume';
      const own = ports.get(number) ?? [];
      const shared = { leases, board, metrics, connectionThreads, limits, groupChannel, busyPoll };
      const common = { ...shared, number, volumes: this.#volumesOf(number, setup.volumes), channels: own };
      const thread = start(
        kind,
        common,
        own.map(([, port]) => port),
      );
      thread.on('message', (message: FromDataThreads) => received(number, message));
      channels.set(number, thread);
    }
    return channels;
  }

  /** The threads that are to change so many volumes: placeOf() says which one. */
  volumeThreadsFor(diskSet: DiskSetSide, volumes: number): number[] {
    return this.#volumeThreads[diskSet].slice(0, Math.max(1, volumes));
  }

  #volumesOf(thread: number, volumes: DataThreadsSetup['volumes']): VolumeSpec[] {
    if (thread < this.connectionThreads.length) return [...volumes.local, ...volumes.partner];
    const of = (diskSet: DiskSetSide): VolumeSpec[] => {
      const threads = this.#volumeThreads[diskSet];
      const place = threads.indexOf(thread);
      return volumesOf(volumes[diskSet], threads.length, place);
    };
    return [...of('local'), ...of('partner')];
  }

  toVolumeThread(thread: number, message: ToVolumeThread | PrepareMessage): void {
    this.#channels.get(thread)!.postMessage(message);
  }

  toConnectionThread(thread: number, message: ToConnectionThread): void {
    if (message.kind === 'adopt') this.#given[thread]! += 1;
    this.#channels.get(thread)!.postMessage(message);
  }

  leastLoaded(): number {
    return this.connectionThreads.reduce((best, thread) =>
      this.#loadOf(thread) < this.#loadOf(best) ? thread : best,
    );
  }

  #loadOf(thread: number): number {
    return this.#given[thread]! - this.#board.connectionsEnded(thread);
  }
}
