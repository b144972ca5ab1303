/** Messages between the proxy's first thread and a relay thread. */
import type { AttemptsOptions } from '../../attempts-state.ts';
import type { ConnectionEvent } from '../../connection-event.ts';
import type { DiskSetKnowledge } from '../../disk-set-identity.ts';
import type { ServingPlace } from '../../serving-port/serving-port.ts';

export interface RelaySetup {
  /** An eventfd: there are messages, or `stop` is set. */
  readonly wakeUp: number;
  /** One word: not 0 when the thread is to end. */
  readonly stop: Int32Array;
  /** FIGURES numbers for each slot. */
  readonly figures: Float64Array;
  /** Of CallTimes. */
  readonly callTimes: Float64Array;
  /** performance.timeOrigin of the first thread: all times are by its clock. */
  readonly timeOrigin: number;
  readonly clientIdentity: Uint8Array;
  readonly attempts: Partial<AttemptsOptions> | undefined;
  /** Limits for unanswered calls: those of one client, and those of all clients of this thread. Bytes. */
  readonly memory: { readonly ofOne: number; readonly ofAll: number };
  readonly pipesMax: number;
  /** Sockets of clients and to servers that this thread may have. */
  readonly socketsMax: number;
}

/** Figures in a client's slot. Written by the relay thread alone, and read at any time. */
export const FIGURES = 7;
export const figure = {
  count: 0,
  size: 1,
  calledAtMs: 2,
  calls: 3,
  replies: 4,
  repeated: 5,
  /** When the oldest unanswered call came. */
  sinceMs: 6,
} as const;

export type ToRelayThread =
  /** A client's connection; `fd` belongs to the thread from here on. */
  | {
      readonly kind: 'Client';
      readonly id: number;
      readonly fd: number;
      readonly slot: number;
      /** Connections to the servers come from ports below 1024. */
      readonly reserved: boolean;
    }
  | { readonly kind: 'End'; readonly id: number }
  | { readonly kind: 'Place'; readonly place: ServingPlace | null; readonly known: DiskSetKnowledge };

export type FromRelayThread =
  | { readonly kind: 'Ended'; readonly id: number; readonly reason: string }
  /** The client's calls wait in its socket, or do not any more. */
  | { readonly kind: 'Unread'; readonly id: number; readonly unread: boolean }
  | { readonly kind: 'Event'; readonly id: number; readonly event: ConnectionEvent }
  /** A connection to the servers is silent, or has ended. */
  | { readonly kind: 'Doubt' }
  /** A call was answered there: the first one on a new connection. */
  | { readonly kind: 'Worked'; readonly place: ServingPlace }
  /** A new connection to the place failed. */
  | { readonly kind: 'Refused' }
  | { readonly kind: 'Learned'; readonly known: DiskSetKnowledge }
  | { readonly kind: 'NoReservedPorts'; readonly reason: string };
