/** One NFS client of the proxy. A relay thread carries its calls, or a pair of sockets of this thread does (downstream.ts). */
import type { ConnectionTable } from './connection-table.ts';

export interface ClientCounts {
  calls: number;
  replies: number;
  /** Calls that the client sent again while the first was unanswered; not forwarded. */
  repeated: number;
}

export interface ProxiedClient {
  readonly counts: Readonly<ClientCounts>;
  /** Bytes of unanswered calls. */
  readonly pendingSize: number;
  /** When its oldest unanswered call came, on performance.now(); null: none is unanswered. */
  readonly pendingSinceMs: number | null;
  /** True while calls wait in the socket and nobody would notice its end. */
  readonly isUnread: boolean;
  /** Nothing is owed to the client, and it has not called for this time. `now`: ms of performance.now(). */
  isIdle(now: number, idleMs: number): boolean;
  /** Ends the client if it is unread and the kernel knows that its connection has ended. */
  endIfClosed(table: ConnectionTable): void;
  /** The same client is here again, on a new connection from the same port: this one is over. */
  supersede(): void;
  /** Ends a connection to which nothing is owed: its client comes again when it has a call. */
  makeRoom(): void;
  /** Ends both sides at once; for the proxy's own end. */
  close(): void;
}
