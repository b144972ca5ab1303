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
import { ServingPort } from '../serving-port/serving-port.ts';
import type { Endpoints } from '../transport-address.ts';
import { CallMemory, MEMORY_OF_ALL, MEMORY_OF_ONE } from './call-memory.ts';
import { readConnectionTable } from './connection-table.ts';
import { BACKLOG_MAX, DescriptorBudget } from './descriptor-budget.ts';
import { Downstream } from './downstream.ts';
import { Listener } from './listener.ts';
import type { ClientCounts, ProxiedClient } from './proxied-client.ts';
import { ProxyFigures } from './proxy-figures.ts';
import { type RelayedClientOptions, RelayThreads, rawCalls, THREADS } from './relay-threads.ts';

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
      readonly counts: ClientCounts;
    }
  /** No more connections are accepted: those that come wait. */
  | { readonly kind: 'Full'; readonly connections: number }
  /** Sockets of Node carry the calls, since there is nothing better here; once. */
  | { readonly kind: 'NoRawCalls' }
  /** Connections to the servers cannot be opened from ports below 1024, though a client's are; once. */
  | { readonly kind: 'NoReservedPorts'; readonly reason: string }
  /** Connections are accepted again. */
  | { readonly kind: 'Open'; readonly connections: number }
  | { readonly kind: 'Upstream'; readonly client: string; readonly event: ConnectionEvent }
  /** The disk set has not been served for a while; once for each search. */
  | { readonly kind: 'Waiting'; readonly event: ConnectionEvent };

export interface ProxyOptions {
  readonly endpoints: Endpoints;
  /** Address and port to listen on. Port 0: any free one. */
  readonly host: string;
  readonly port: number;
  /**
   * Who this proxy's clients are to the servers (FailoverConnectionOptions). A proxy that takes the place of another one has that
   * one's, since its clients send their unanswered calls again. Default: a new one.
   */
  readonly clientIdentity?: Uint8Array | undefined;
  readonly resolver?: Resolver | undefined;
  readonly attempts?: Partial<AttemptsOptions> | undefined;
  /** Limits for the unanswered calls of one client, and of all. Bytes. */
  readonly memory?: { readonly ofOne: number; readonly ofAll: number } | undefined;
  /** Connections of clients; more wait until there is room. */
  readonly connectionsMax?: number | undefined;
  /** Default: true, where they are to be had. False: sockets of Node carry the calls, which costs several times the work. */
  readonly rawCalls?: boolean | undefined;
  readonly onEvent?: ((event: ProxyEvent) => void) | undefined;
}

/** A client whose machine vanished is noticed after this time and ten probes, a second apart. Ms. */
const KEEP_ALIVE_MS = 10_000;

/** The client has it from its machine's root: the kernel's NFS client does, but for `noresvport`. */
const isReserved = (port: number | undefined): boolean => port !== undefined && port > 0 && port < 1024;

export class NfsProxy {
  readonly #options: ProxyOptions;
  readonly #resolver: Resolver;
  readonly #identity = new DiskSetIdentity();
  /** Figures of its clients. */
  readonly figures = new ProxyFigures();
  readonly #clientIdentity: Uint8Array;
  readonly #memory: CallMemory;
  readonly #descriptors: DescriptorBudget;
  readonly #connectionsMax: number;
  readonly #reservedPorts: ReservedPorts;
  /** By the client's address and port. */
  readonly #clients = new Map<string, ProxiedClient>();
  /** Null: there are no raw system calls here. */
  readonly #relays: RelayThreads | null;
  /** While there are clients. */
  #servingPort: ServingPort | null = null;
  #hasReservedClient = false;
  #saidNoReservedPorts = false;
  #listener!: Listener;
  #roomTimer: NodeJS.Timeout | null = null;
  #unreadTimer: NodeJS.Timeout | null = null;

  private constructor(options: ProxyOptions, calls: Awaited<ReturnType<typeof rawCalls>>) {
    this.#options = options;
    this.#clientIdentity = options.clientIdentity ?? randomBytes(IDENTITY_SIZE);
    this.#resolver = options.resolver ?? new Resolver();
    const { ofOne = MEMORY_OF_ONE, ofAll = MEMORY_OF_ALL } = options.memory ?? {};
    this.#memory = new CallMemory(ofOne, ofAll);
    const onNoReservedPorts = (reason: string) => this.#noReservedPorts(reason);
    this.#reservedPorts = new ReservedPorts(onNoReservedPorts);
    const othersBefore = connectionCount();
    const threads = calls === null ? 0 : THREADS;
    const countSockets = () => connectionCount() - othersBefore + this.#clients.size;
    this.#descriptors = new DescriptorBudget(countSockets, threads);
    this.#connectionsMax = Math.min(options.connectionsMax ?? CONNECTIONS_MAX, this.#descriptors.clientsMax);
    this.#relays =
      calls &&
      new RelayThreads(calls, {
        clientIdentity: this.#clientIdentity,
        identity: this.#identity,
        attempts: options.attempts,
        memory: { ofOne, ofAll },
        clientsMax: this.#connectionsMax,
        socketsMax: this.#descriptors.socketsMax,
        pipesMax: this.#descriptors.pipesMax,
        onDoubt: () => this.#servingPort?.doubt(),
        onWorked: (place) => this.#servingPort?.worked(place),
        onRefused: () => this.#servingPort?.renew(),
        onStarted: (callTimes) => this.figures.include(callTimes),
        onNoReservedPorts,
      });
  }

  /** Resolves when clients can connect. Rejects with the system's error if the port cannot be had. */
  static async listen(options: ProxyOptions): Promise<NfsProxy> {
    const calls = options.rawCalls === false ? null : await rawCalls();
    const proxy = new NfsProxy(options, calls);
    if (calls === null && options.rawCalls !== false) proxy.#emit({ kind: 'NoRawCalls' });
    const backlog = calls === null ? proxy.#descriptors.backlog : BACKLOG_MAX;
    try {
      proxy.#listener = await Listener.listen(options.host, options.port, backlog, calls, {
        accept: (socket) => proxy.#accept(socket),
        changed: (state) => {
          const connections = proxy.#clients.size;
          proxy.#emit(state === 'paused' ? { kind: 'Full', connections } : { kind: 'Open', connections });
        },
      });
    } catch (error) {
      await proxy.#relays?.close();
      throw error;
    }
    return proxy;
  }

  get port(): number {
    return this.#listener.port;
  }

  get connectionCount(): number {
    return this.#clients.size;
  }

  /** When the oldest unanswered call of all clients was sent, on performance.now(); null: none is unanswered. */
  get pendingSinceMs(): number | null {
    let oldest: number | null = null;
    for (const { pendingSinceMs } of this.#clients.values())
      if (pendingSinceMs !== null) oldest = Math.min(oldest ?? pendingSinceMs, pendingSinceMs);
    return oldest;
  }

  /** Bytes of unanswered calls of all clients. */
  get pendingSize(): number {
    let size = 0;
    for (const client of this.#clients.values()) size += client.pendingSize;
    return size;
  }

  /** Ends all connections. Clients will see errors: for the end of the process only. */
  async close(): Promise<void> {
    if (this.#roomTimer !== null) clearInterval(this.#roomTimer);
    const closed = this.#listener.close();
    if (this.#unreadTimer !== null) clearTimeout(this.#unreadTimer);
    this.#servingPort?.close();
    for (const client of [...this.#clients.values()]) client.close();
    await this.#relays?.close();
    await closed;
  }

  #accept(socket: Socket): void {
    const client = `${socket.remoteAddress}:${socket.remotePort}`;
    // Two connections cannot have the same two ends: the kernel has ended the earlier one.
    this.#clients.get(client)?.supersede();
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    const handlers = {
      onUnread: () => this.#watchUnread(),
      onEvent: (event: ConnectionEvent) => {
        if (event.kind === 'Lost') this.figures.lost();
        else if (event.kind === 'Adopted') this.figures.adopted(event.port);
        this.#emit({ kind: 'Upstream', client, event });
      },
      onEnd: (reason: string) => {
        this.#clients.delete(client);
        if (this.#clients.size === 0) this.#stopFinding();
        this.#emit({ kind: 'ClientGone', client, reason, counts: proxied.counts });
      },
    };
    // A local user gets no port through the proxy that the machine would not give that user.
    const reserved = isReserved(socket.remotePort);
    const proxied: ProxiedClient = this.#relays
      ? this.#relay(this.#relays, socket, reserved, handlers)
      : new Downstream(socket, {
          upstream: {
            endpoints: this.#options.endpoints,
            resolver: this.#resolver,
            identity: this.#identity,
            clientIdentity: this.#clientIdentity,
            program: NFS_PROGRAM,
            version: NFS_V3,
            attempts: this.#options.attempts,
            ports: reserved ? this.#reservedPorts : undefined,
            mayConnect: () => this.#descriptors.hasRoomForAttempt,
            onEvent: handlers.onEvent,
          },
          memory: this.#memory,
          figures: this.figures,
          ...handlers,
        });
    this.#clients.set(client, proxied);
    if (!this.#hasRoom) this.#waitForRoom();
    this.#emit({ kind: 'ClientConnected', client });
  }

  #relay(
    relays: RelayThreads,
    socket: Socket,
    reserved: boolean,
    handlers: Omit<RelayedClientOptions, 'reserved'>,
  ): ProxiedClient {
    this.#hasReservedClient ||= reserved;
    this.#servingPort ??= this.#find(relays);
    return relays.accept(socket, { reserved, ...handlers });
  }

  #find(relays: RelayThreads): ServingPort {
    const servingPort = new ServingPort({
      endpoints: this.#options.endpoints,
      resolver: this.#resolver,
      identity: this.#identity,
      clientIdentity: this.#clientIdentity,
      attempts: this.#options.attempts,
      mayConnect: () => this.#descriptors.hasRoomForAttempt,
      ports: () => (this.#hasReservedClient ? this.#reservedPorts : undefined),
      onEvent: (event) => {
        if (event.kind === 'Waiting') this.#emit({ kind: 'Waiting', event });
      },
    });
    servingPort.subscribe((place) => relays.move(place));
    return servingPort;
  }

  /** Nobody wants to know. */
  #stopFinding(): void {
    this.#servingPort?.close();
    this.#servingPort = null;
    this.#relays?.move(null);
  }

  /** Said once: each thread finds out by itself. */
  #noReservedPorts(reason: string): void {
    if (this.#saidNoReservedPorts) return;
    this.#saidNoReservedPorts = true;
    this.#emit({ kind: 'NoReservedPorts', reason });
  }

  get #hasRoom(): boolean {
    return this.#clients.size < this.#connectionsMax;
  }

  /** More than for one: to accept again costs those who wait a reset. */
  get #hasRoomAgain(): boolean {
    return this.#clients.size <= this.#connectionsMax * ROOM_AGAIN_PART;
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
    for (const client of this.#clients.values()) {
      if (!client.isIdle(now, IDLE_MS)) continue;
      client.makeRoom();
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
    const clients = [...this.#clients.values()];
    for (const each of clients) each.endIfClosed(table);
    if (clients.some((each) => each.isUnread)) this.#watchUnread();
  }

  #emit(event: ProxyEvent): void {
    this.#options.onEvent?.(event);
  }
}
