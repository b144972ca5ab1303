/**
 * The local proxy: unmodified NFS clients (the Linux kernel's) mount it and follow the pair without noticing. It understands RPC
 * and file handles, no more of NFS: it neither holds data back nor answers anything itself.
 */
import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { NFS_PROGRAM, NFS_V3 } from '../../protocol/nfs3.ts';
import { IDENTITY_SIZE } from '../../protocol/succession.ts';
import type { AttemptsOptions } from '../attempts-state.ts';
import type { ConnectionEvent } from '../connection-event.ts';
import { DiskSetIdentity } from '../disk-set-identity.ts';
import { connectionCount } from '../record-connection.ts';
import { ReservedPorts } from '../reserved-ports.ts';
import { Resolver } from '../resolver.ts';
import type { Endpoints } from '../transport-address.ts';
import { CallMemory, MEMORY_OF_ALL, MEMORY_OF_ONE } from './call-memory.ts';
import { readConnectionTable } from './connection-table.ts';
import { DescriptorBudget } from './descriptor-budget.ts';
import { Downstream, type DownstreamCounts } from './downstream.ts';
import { Listener } from './listener.ts';
import { ProxyFigures } from './proxy-figures.ts';

/** Connections of clients. A kernel has one or two for each mount, or as many as `nconnect` says. */
const CONNECTIONS_MAX = 1024;
/** When there is no room for more, a connection that is unused for so long makes room: its client connects again when it calls. Ms. */
const IDLE_MS = 60_000;
/** Connections are accepted again when this part of their number is left. */
const ROOM_AGAIN_PART = 15 / 16;
/** How often it is looked whether there is room again. Ms. */
const ROOM_INTERVAL_MS = 100;

/** How soon the end of a client is noticed whose socket is not read. Ms. */
const UNREAD_CHECK_MS = 100;

export type ProxyEvent =
  | { readonly kind: 'ClientConnected'; readonly client: string }
  | {
      readonly kind: 'ClientGone';
      readonly client: string;
      readonly reason: string;
      readonly counts: DownstreamCounts;
    }
  /** No more connections are accepted: those that come wait. */
  | { readonly kind: 'Full'; readonly connections: number }
  /** Connections to the servers cannot be opened from ports below 1024, though a client's are; once. */
  | { readonly kind: 'NoReservedPorts'; readonly reason: string }
  /** Connections are accepted again. */
  | { readonly kind: 'Open'; readonly connections: number }
  | { readonly kind: 'Upstream'; readonly client: string; readonly event: ConnectionEvent };

export interface ProxyOptions {
  readonly endpoints: Endpoints;
  /** Where to listen. Port 0: any free one. */
  readonly host: string;
  readonly port: number;
  /**
   * Who this proxy's clients are to the servers (FailoverConnectionOptions). A proxy that takes the place of another one has that
   * one's, since its clients send their unanswered calls again. Default: a new one.
   */
  readonly clientIdentity?: Uint8Array | undefined;
  readonly resolver?: Resolver | undefined;
  readonly attempts?: Partial<AttemptsOptions> | undefined;
  /** Of the unanswered calls of one client, and of all. Bytes. */
  readonly memory?: { readonly ofOne: number; readonly ofAll: number } | undefined;
  /** Connections of clients; more wait until there is room. */
  readonly connectionsMax?: number | undefined;
  readonly onEvent?: ((event: ProxyEvent) => void) | undefined;
}

/** The client has it from its machine's root: the kernel's NFS client does, but for `noresvport`. */
const isReserved = (port: number | undefined): boolean => port !== undefined && port > 0 && port < 1024;

export class NfsProxy {
  readonly #options: ProxyOptions;
  readonly #resolver: Resolver;
  readonly #identity = new DiskSetIdentity();
  /** What its clients see. */
  readonly figures = new ProxyFigures();
  readonly #clientIdentity: Uint8Array;
  readonly #memory: CallMemory;
  readonly #descriptors: DescriptorBudget;
  readonly #connectionsMax: number;
  readonly #reservedPorts: ReservedPorts;
  /** By the client's address and port. */
  readonly #downstreams = new Map<string, Downstream>();
  #listener!: Listener;
  #roomTimer: NodeJS.Timeout | null = null;
  #unreadTimer: NodeJS.Timeout | null = null;

  private constructor(options: ProxyOptions) {
    this.#options = options;
    this.#clientIdentity = options.clientIdentity ?? randomBytes(IDENTITY_SIZE);
    this.#resolver = options.resolver ?? new Resolver();
    const { ofOne = MEMORY_OF_ONE, ofAll = MEMORY_OF_ALL } = options.memory ?? {};
    this.#memory = new CallMemory(ofOne, ofAll);
    this.#reservedPorts = new ReservedPorts((reason) => this.#emit({ kind: 'NoReservedPorts', reason }));
    const othersBefore = connectionCount();
    this.#descriptors = new DescriptorBudget(() => connectionCount() - othersBefore + this.#downstreams.size);
    this.#connectionsMax = Math.min(options.connectionsMax ?? CONNECTIONS_MAX, this.#descriptors.clientsMax);
  }

  /** Resolves when clients can connect. Rejects with the system's error if the port cannot be had. */
  static async listen(options: ProxyOptions): Promise<NfsProxy> {
    const proxy = new NfsProxy(options);
    const { backlog } = proxy.#descriptors;
    proxy.#listener = await Listener.listen(options.host, options.port, backlog, {
      accept: (socket) => proxy.#accept(socket),
      changed: (state) => {
        const connections = proxy.#downstreams.size;
        proxy.#emit(state === 'paused' ? { kind: 'Full', connections } : { kind: 'Open', connections });
      },
    });
    return proxy;
  }

  get port(): number {
    return this.#listener.port;
  }

  get connectionCount(): number {
    return this.#downstreams.size;
  }

  /** When the oldest unanswered call of all clients was sent, on performance.now(); null: none is unanswered. */
  get pendingSinceMs(): number | null {
    let oldest: number | null = null;
    for (const { pendingSinceMs } of this.#downstreams.values())
      if (pendingSinceMs !== null) oldest = Math.min(oldest ?? pendingSinceMs, pendingSinceMs);
    return oldest;
  }

  /** Bytes of unanswered calls of all clients. */
  get pendingSize(): number {
    let size = 0;
    for (const downstream of this.#downstreams.values()) size += downstream.pendingSize;
    return size;
  }

  /** Ends all connections. Clients will see errors: for the end of the process only. */
  async close(): Promise<void> {
    if (this.#roomTimer !== null) clearInterval(this.#roomTimer);
    const closed = this.#listener.close();
    for (const downstream of [...this.#downstreams.values()]) downstream.close();
    await closed;
  }

  #accept(socket: Socket): void {
    const client = `${socket.remoteAddress}:${socket.remotePort}`;
    // Two connections cannot have the same two ends: the kernel has ended the earlier one.
    this.#downstreams.get(client)?.supersede();
    const downstream: Downstream = new Downstream(socket, {
      upstream: {
        endpoints: this.#options.endpoints,
        resolver: this.#resolver,
        identity: this.#identity,
        clientIdentity: this.#clientIdentity,
        program: NFS_PROGRAM,
        version: NFS_V3,
        attempts: this.#options.attempts,
        // A local user gets no port through the proxy that the machine would not give that user.
        ports: isReserved(socket.remotePort) ? this.#reservedPorts : undefined,
        mayConnect: () => this.#descriptors.hasRoomForAttempt,
        onEvent: (event) => {
          if (event.kind === 'Lost') this.figures.lost();
          else if (event.kind === 'Adopted') this.figures.adopted(event.port);
          this.#emit({ kind: 'Upstream', client, event });
        },
      },
      memory: this.#memory,
      figures: this.figures,
      onUnread: () => this.#watchUnread(),
      onEnd: (reason) => {
        this.#downstreams.delete(client);
        this.#emit({ kind: 'ClientGone', client, reason, counts: downstream.counts });
      },
    });
    this.#downstreams.set(client, downstream);
    if (!this.#hasRoom) this.#waitForRoom();
    this.#emit({ kind: 'ClientConnected', client });
  }

  get #hasRoom(): boolean {
    return this.#downstreams.size < this.#connectionsMax;
  }

  /** More than for one: to accept again costs those who wait a reset. */
  get #hasRoomAgain(): boolean {
    return this.#downstreams.size <= this.#connectionsMax * ROOM_AGAIN_PART;
  }

  /** No client is refused: those that come wait in the listening socket's queue. */
  #waitForRoom(): void {
    if (this.#roomTimer !== null) return;
    this.#listener.pause();
    this.#roomTimer = setInterval(() => this.#lookForRoom(), ROOM_INTERVAL_MS);
  }

  #lookForRoom(): void {
    if (!this.#hasRoomAgain) this.#makeRoom();
    if (!this.#hasRoomAgain) {
      this.#listener.pause();
      return;
    }
    clearInterval(this.#roomTimer!);
    this.#roomTimer = null;
    this.#listener.resume();
  }

  #makeRoom(): void {
    const now = performance.now();
    for (const downstream of this.#downstreams.values()) {
      if (!downstream.isIdle(now, IDLE_MS)) continue;
      downstream.makeRoom();
      return;
    }
  }

  /** As long as a socket is not read. */
  #watchUnread(): void {
    this.#unreadTimer ??= setTimeout(() => void this.#checkUnread(), UNREAD_CHECK_MS);
  }

  async #checkUnread(): Promise<void> {
    const table = await readConnectionTable();
    this.#unreadTimer = null;
    if (table === null) return;
    const downstreams = [...this.#downstreams.values()];
    for (const each of downstreams) each.endIfClosed(table);
    if (downstreams.some((each) => each.isUnread)) this.#watchUnread();
  }

  #emit(event: ProxyEvent): void {
    this.#options.onEvent?.(event);
  }
}
