/** The relay threads of a proxy: hands clients to them, tells them where the disk set is served, and hears what becomes of them. */
import type { Socket } from 'node:net';
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { AttemptsOptions } from '../attempts-state.ts';
import type { ConnectionEvent } from '../connection-event.ts';
import type { DiskSetIdentity } from '../disk-set-identity.ts';
import type { ServingPlace } from '../serving-port/serving-port.ts';
import { type ConnectionTable, EndWatch, endsOf } from './connection-table.ts';
import type { ClientCounts, ProxiedClient } from './proxied-client.ts';
import { CallTimes } from './proxy-figures.ts';
import {
  FIGURES,
  type FromRelayThread,
  figure,
  type RelaySetup,
  type ToRelayThread,
} from './relay/messages.ts';

/** More of them bring nothing: one relays more than a server serves, and takes some 10 MiB. */
const THREADS_MAX = 2;
export const THREADS = Math.max(1, Math.min(THREADS_MAX, availableParallelism() - 1));
/** V8 would let young objects fill more than all else takes. What calls leave lies in the processor's cache so. MiB. */
const YOUNG_OBJECTS_MAX_MB = 2;

export interface RelayOptions {
  readonly clientIdentity: Uint8Array;
  readonly identity: DiskSetIdentity;
  readonly attempts: Partial<AttemptsOptions> | undefined;
  readonly memory: { readonly ofOne: number; readonly ofAll: number };
  readonly clientsMax: number;
  readonly socketsMax: number;
  /** Limit for each thread. */
  readonly pipesMax: number;
  /** A connection to the servers is silent, or has ended. */
  readonly onDoubt: () => void;
  /** A call was answered at this place. */
  readonly onWorked: (place: ServingPlace) => void;
  /** A new connection to the place failed. */
  readonly onRefused: () => void;
  readonly onNoReservedPorts: (reason: string) => void;
  /** A thread writes the times of its calls there (CallTimes). */
  readonly onStarted: (callTimes: Float64Array) => void;
}

export interface RelayedClientOptions {
  /** Connections to the servers come from ports below 1024. */
  readonly reserved: boolean;
  readonly onUnread: () => void;
  readonly onEvent: (event: ConnectionEvent) => void;
  readonly onEnd: (reason: string) => void;
}

type Calls = typeof import('./relay/system-calls.ts');

/** Null where there are no raw system calls: another system than Linux, or koffi is not installed. */
export async function rawCalls(): Promise<Calls | null> {
  if (process.platform !== 'linux') return null;
  return import('./relay/system-calls.ts').catch(() => null);
}

interface Thread {
  readonly worker: Worker;
  readonly wakeUp: number;
  readonly stop: Int32Array;
  readonly figures: Float64Array;
  readonly freeSlots: number[];
}

export class RelayThreads {
  readonly #options: RelayOptions;
  readonly #calls: Calls;
  readonly #threads: Thread[];
  readonly #clients = new Map<number, RelayedConnection>();
  #nextId = 1;
  readonly #stopAtExit = (): void => this.#stopThreads();

  constructor(calls: Calls, options: RelayOptions) {
    this.#options = options;
    this.#calls = calls;
    this.#threads = Array.from({ length: THREADS }, () => this.#start());
    // A thread that waits in the kernel cannot be joined: the process would not end.
    process.on('exit', this.#stopAtExit);
  }

  /** Takes the socket of a client over. */
  accept(socket: Socket, options: RelayedClientOptions): ProxiedClient {
    const { remoteAddress = '', remotePort = 0 } = socket;
    // The same for the same port: its calls end in the order in which they came.
    const thread = this.#threads[hashOf(`${remoteAddress}:${remotePort}`) % this.#threads.length]!;
    const id = this.#nextId++;
    const slot = thread.freeSlots.pop() ?? 0;
    const fd = this.#calls.duplicate((socket as Socket & { _handle: { fd: number } })._handle.fd);
    const ends = endsOf(socket);
    socket.destroy();
    const figures = thread.figures.subarray(slot * FIGURES, (slot + 1) * FIGURES).fill(0);
    figures[figure.calledAtMs] = performance.now();
    const client = new RelayedConnection(new EndWatch(...ends), figures, options, () =>
      this.#post(thread, { kind: 'End', id }),
    );
    this.#clients.set(id, client);
    this.#post(thread, { kind: 'Client', id, fd, slot, reserved: options.reserved });
    return client;
  }

  move(place: ServingPlace | null): void {
    const { knowledge: known } = this.#options.identity;
    for (const thread of this.#threads) this.#post(thread, { kind: 'Place', place, known });
  }

  async close(): Promise<void> {
    process.off('exit', this.#stopAtExit);
    this.#stopThreads();
    await Promise.all(
      this.#threads.map(async ({ worker, wakeUp }) => {
        await new Promise((resolve) => worker.once('exit', resolve));
        this.#calls.close(wakeUp);
      }),
    );
  }

  #start(): Thread {
    const { clientIdentity, attempts, memory, clientsMax, socketsMax, pipesMax } = this.#options;
    const wakeUp = this.#calls.openWakeUp();
    const stop = new Int32Array(new SharedArrayBuffer(4));
    const slots = clientsMax + SLOTS_SPARE;
    const figures = new Float64Array(new SharedArrayBuffer(slots * FIGURES * 8));
    const callTimes = new Float64Array(new SharedArrayBuffer(CallTimes.SIZE * 8));
    this.#options.onStarted(callTimes);
    const setup: RelaySetup = {
      wakeUp,
      stop,
      figures,
      callTimes,
      timeOrigin: performance.timeOrigin,
      clientIdentity,
      attempts,
      memory: { ofOne: memory.ofOne, ofAll: memory.ofAll / THREADS },
      pipesMax,
      socketsMax: socketsMax / THREADS,
    };
    const worker = new Worker(new URL('./relay/relay-thread.ts', import.meta.url), {
      workerData: setup,
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_OBJECTS_MAX_MB },
    });
    const thread: Thread = { worker, wakeUp, stop, figures, freeSlots: [...Array(slots).keys()] };
    worker.unref();
    worker.on('message', (message: FromRelayThread) => this.#handle(thread, message));
    // A bug: it ends the process, whose successor the clients send their calls to.
    worker.on('error', (error) => {
      throw error;
    });
    return thread;
  }

  #post(thread: Thread, message: ToRelayThread): void {
    thread.worker.postMessage(message);
    this.#calls.wakeUp(thread.wakeUp);
  }

  #handle(thread: Thread, message: FromRelayThread): void {
    switch (message.kind) {
      case 'Doubt':
        this.#options.onDoubt();
        return;
      case 'Worked':
        this.#options.onWorked(message.place);
        return;
      case 'Refused':
        this.#options.onRefused();
        return;
      case 'Learned':
        this.#options.identity.know(message.known);
        return;
      case 'NoReservedPorts':
        this.#options.onNoReservedPorts(message.reason);
        return;
      default:
    }
    const client = this.#clients.get(message.id);
    if (client === undefined) return;
    switch (message.kind) {
      case 'Unread':
        client.unread(message.unread);
        break;
      case 'Event':
        client.event(message.event);
        break;
      case 'Ended':
        this.#clients.delete(message.id);
        thread.freeSlots.push(client.slotIn(thread.figures));
        client.ended(message.reason);
        break;
    }
  }

  #stopThreads(): void {
    for (const { stop, wakeUp } of this.#threads) {
      Atomics.store(stop, 0, 1);
      this.#calls.wakeUp(wakeUp);
    }
  }
}

/** Clients that a thread has not ended yet, and others in their place. */
const SLOTS_SPARE = 64;

/** A client's connection as the first thread sees it. */
class RelayedConnection implements ProxiedClient {
  readonly #endWatch: EndWatch;
  readonly #figures: Float64Array;
  readonly #options: RelayedClientOptions;
  readonly #endThere: () => void;
  #isUnread = false;
  #ended: ClientCounts | null = null;

  constructor(
    endWatch: EndWatch,
    figures: Float64Array,
    options: RelayedClientOptions,
    endThere: () => void,
  ) {
    this.#endWatch = endWatch;
    this.#figures = figures;
    this.#options = options;
    this.#endThere = endThere;
  }

  get counts(): ClientCounts {
    return this.#ended ?? this.#countsNow();
  }

  get pendingSize(): number {
    return this.#ended === null ? this.#figures[figure.size]! : 0;
  }

  get pendingSinceMs(): number | null {
    return this.#ended !== null || this.#figures[figure.count] === 0 ? null : this.#figures[figure.sinceMs]!;
  }

  get isUnread(): boolean {
    return this.#isUnread && this.#ended === null;
  }

  isIdle(now: number, idleMs: number): boolean {
    return this.#figures[figure.count] === 0 && now - this.#figures[figure.calledAtMs]! >= idleMs;
  }

  endIfClosed(table: ConnectionTable): void {
    if (this.isUnread && this.#endWatch.hasEnded(table)) this.#end('the client closed the connection');
  }

  supersede(): void {
    this.#end('the client came back on a new connection');
  }

  makeRoom(): void {
    this.#end('unused for long, and there was no room for others');
  }

  close(): void {
    this.#end('the proxy ends');
  }

  unread(unread: boolean): void {
    this.#isUnread = unread;
    if (unread) this.#options.onUnread();
  }

  event(event: ConnectionEvent): void {
    if (this.#ended === null) this.#options.onEvent(event);
  }

  /** In its thread. */
  ended(reason: string): void {
    if (this.#ended !== null) return;
    this.#ended = this.#countsNow();
    this.#options.onEnd(reason);
  }

  slotIn(figures: Float64Array): number {
    return (this.#figures.byteOffset - figures.byteOffset) / figures.BYTES_PER_ELEMENT / FIGURES;
  }

  #end(reason: string): void {
    if (this.#ended !== null) return;
    this.ended(reason);
    this.#endThere();
  }

  #countsNow(): ClientCounts {
    const [calls, replies, repeated] = [figure.calls, figure.replies, figure.repeated].map(
      (at) => this.#figures[at]!,
    ) as [number, number, number];
    return { calls, replies, repeated };
  }
}

function hashOf(text: string): number {
  let hash = 0;
  for (let i = 0; i < text.length; i++) hash = (Math.imul(hash, 31) + text.charCodeAt(i)) >>> 0;
  return hash;
}
