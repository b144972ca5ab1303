// The local proxy: unmodified NFS clients (the Linux kernel's) mount it and follow the pair without noticing.
// It understands records and XIDs, nothing of NFS: it neither holds data back nor answers anything itself.
import { createServer, type Server } from 'node:net';
import { NFS_PROGRAM, NFS_V3 } from '../../protocol/nfs3.ts';
import type { AttemptsOptions } from '../attempts.ts';
import type { ConnectionEvent } from '../failover-connection.ts';
import { Resolver } from '../resolver.ts';
import type { Endpoints } from '../transport-address.ts';
import { readConnectionTable } from './connection-table.ts';
import { Downstream, type DownstreamCounts } from './downstream.ts';

/** Connections of clients; each may hold PENDING_SIZE_MAX of calls. A kernel has one or two for each mount. */
const CONNECTIONS_MAX = 256;

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
  | { readonly kind: 'Upstream'; readonly client: string; readonly event: ConnectionEvent };

export interface ProxyOptions {
  readonly endpoints: Endpoints;
  /** Where to listen. Port 0: any free one. */
  readonly host: string;
  readonly port: number;
  readonly resolver?: Resolver | undefined;
  readonly attempts?: Partial<AttemptsOptions> | undefined;
  readonly pendingSizeMax?: number | undefined;
  readonly onEvent?: ((event: ProxyEvent) => void) | undefined;
}

export class NfsProxy {
  private readonly options: ProxyOptions;
  private readonly server: Server;
  /** By the client's address and port. */
  private readonly downstreams = new Map<string, Downstream>();
  private unreadTimer: NodeJS.Timeout | null = null;

  private constructor(options: ProxyOptions) {
    this.options = options;
    const resolver = options.resolver ?? new Resolver();
    this.server = createServer((socket) => {
      const client = `${socket.remoteAddress}:${socket.remotePort}`;
      // Two connections cannot have the same two ends: the kernel has ended the earlier one.
      this.downstreams.get(client)?.supersede();
      const downstream: Downstream = new Downstream(socket, {
        upstream: {
          endpoints: options.endpoints,
          resolver,
          program: NFS_PROGRAM,
          version: NFS_V3,
          attempts: options.attempts,
          onEvent: (event) => this.emit({ kind: 'Upstream', client, event }),
        },
        pendingSizeMax: options.pendingSizeMax,
        onUnread: () => this.watchUnread(),
        onEnd: (reason) => {
          this.downstreams.delete(client);
          this.emit({ kind: 'ClientGone', client, reason, counts: downstream.counts });
        },
      });
      this.downstreams.set(client, downstream);
      this.emit({ kind: 'ClientConnected', client });
    });
    this.server.maxConnections = CONNECTIONS_MAX;
  }

  /** Resolves when clients can connect. Rejects with the system's error if the port cannot be had. */
  static listen(options: ProxyOptions): Promise<NfsProxy> {
    const proxy = new NfsProxy(options);
    return new Promise((resolve, reject) => {
      proxy.server.once('error', reject);
      proxy.server.listen(options.port, options.host, () => {
        proxy.server.removeListener('error', reject);
        resolve(proxy);
      });
    });
  }

  get port(): number {
    const address = this.server.address();
    if (address === null || typeof address === 'string') throw new Error('the proxy does not listen');
    return address.port;
  }

  /** Bytes of unanswered calls of all clients. */
  get pendingSize(): number {
    let size = 0;
    for (const downstream of this.downstreams.values()) size += downstream.pendingSize;
    return size;
  }

  /** Ends all connections. Clients will see errors: for the end of the process only. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.server.close(() => resolve()));
    for (const downstream of [...this.downstreams.values()]) downstream.close();
    await closed;
  }

  /** As long as a socket is not read. */
  private watchUnread(): void {
    this.unreadTimer ??= setTimeout(() => void this.checkUnread(), UNREAD_CHECK_MS);
  }

  private async checkUnread(): Promise<void> {
    const table = await readConnectionTable();
    this.unreadTimer = null;
    if (table === null) return;
    const downstreams = [...this.downstreams.values()];
    for (const each of downstreams) each.endIfClosed(table);
    if (downstreams.some((each) => each.isUnread)) this.watchUnread();
  }

  private emit(event: ProxyEvent): void {
    this.options.onEvent?.(event);
  }
}
