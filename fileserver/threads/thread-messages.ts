/**
 * Messages between the data threads. The coordinator (thread.ts) accepts connections and leads every disk set through its
 * life; connection threads hold the sockets and read; volume threads make every change.
 */

import type { MessagePort } from 'node:worker_threads';
import type { DiskSetSide } from '../../pair/types.ts';
import type { Admission } from '../connection-limits/connections-by-address.ts';
import type { MountChange, MountEntry } from '../mount/mount-list.ts';
import type { ForwardingConnection } from '../rpc/forwarding-connection.ts';
import type { ExportChanges, GivenExports } from '../settings/export-spec.ts';
import type { RemovalResult } from '../storage/directories/directory-remover.ts';
import type { FaultReason } from '../storage/failures/fault-reason.ts';
import type { VolumeErrorCount } from '../storage/failures/volume-errors.ts';
import type { ExportRoot } from '../storage/files/export-root.ts';
import type { OpenFailure } from '../storage/volume/open-failure.ts';
import type { VolumeAttachment } from '../storage/volume/volume.ts';
import type { CloseMode, OpenMessage } from './messages.ts';

//   coordinator                volume thread                     connection thread
//     | verify          -->      | ownership record
//     |   <-- verified           |
//     | serve           -->      | replay                          |
//     | attach          ------------------------------------->     | opens the volumes for reading
//     |   <-- serving            |             <-- attached        |
//     | adopt           ------------------------------------->     | a connection
//     |                          |  <-- calls --                   |
//     |                          |  --- replies -->                |
//     | flush / drain   -->      |             -->                 | quiescing: see disk-set-coordinator.ts
//     | close           -->      |             -->                 |
//     |   <-- closed             |             <-- closed          |
//
// Everything names the session, which is one opening of one disk set: what comes late is told apart.

/** A port of a MessageChannel, a worker, or the port of a worker to its parent. */
export type Channel = Pick<MessagePort, 'postMessage'> & Listening;

interface Listening {
  // biome-ignore lint/suspicious/noExplicitAny: what comes is what the other side's type says, as with MessagePort
  on(event: 'message', listener: (message: any) => void): unknown;
}

interface OfSession {
  readonly session: number;
}

/** As its sender writes it; the session is added. */
export type WithoutSession<T> = T extends unknown ? Omit<T, 'session'> : never;

export type ToVolumeThread = OfSession &
  (
    | { readonly kind: 'verify'; readonly part: OpenMessage }
    | { readonly kind: 'serve'; readonly order: SharedArrayBuffer }
    /** Everything written unstable, while clients are still served. */
    | { readonly kind: 'flush' }
    /** Calls are kept unexecuted, everything is flushed, and nothing is written until `thaw`: `frozen`. */
    | { readonly kind: 'freeze' }
    | { readonly kind: 'thaw' }
    /** To the thread of the first volume, which keeps them there. */
    | { readonly kind: 'mounts'; readonly mounts: readonly MountEntry[] }
    /** quiesce: flush, declare clean. fence: nothing more. Either way `closed`. */
    | { readonly kind: 'close'; readonly mode: CloseMode }
    /** Nothing more is changed or answered; `close` follows. */
    | { readonly kind: 'halt' }
    /** From now on these count, of all volumes: `exported`. */
    | { readonly kind: 'exports'; readonly change: number; readonly exports: GivenExports }
    /** The same of some of them. */
    | { readonly kind: 'exportChanges'; readonly change: number; readonly changes: ExportChanges }
    /** Looks for the directories of all exports, between calls: `directoriesKnown`. */
    | { readonly kind: 'lookForDirectories'; readonly change: number }
    | {
        readonly kind: 'removeDirectory';
        readonly id: string;
        readonly volume: string;
        readonly directory: string;
      }
    | { readonly kind: 'forgetRemoval'; readonly id: string; readonly volume: string }
  );

/** A volume as connection threads know it: which of the volume threads makes its changes. */
export interface AttachedVolume {
  readonly attachment: VolumeAttachment;
  readonly thread: number;
}

export type ToConnectionThread = OfSession &
  (
    | {
        readonly kind: 'attach';
        readonly diskSet: DiskSetSide;
        readonly volumes: readonly AttachedVolume[];
        readonly exports: GivenExports;
        readonly roots: readonly ExportRoot[];
        readonly mounts: readonly MountEntry[];
        /** Memory of ConnectionOrder. */
        readonly order: SharedArrayBuffer;
      }
    /** A connection. The descriptor belongs to the receiver. `number`: of those of the session, in the order of their coming. */
    | {
        readonly kind: 'adopt';
        readonly fd: number;
        readonly host: string;
        readonly port: number;
        readonly number: number;
        readonly admission: Admission;
      }
    | { readonly kind: 'mounts'; readonly mounts: readonly MountEntry[] }
    | { readonly kind: 'exports'; readonly exports: GivenExports }
    | { readonly kind: 'exportChanges'; readonly changes: ExportChanges }
    /** Where exported directories are. With a number: the end of that change of exports, `rooted`. */
    | { readonly kind: 'roots'; readonly change: number | null; readonly roots: readonly ExportRoot[] }
    /** Takes no more calls, answers those that it has, says `drained`. */
    | { readonly kind: 'drain' }
    | { readonly kind: 'close'; readonly mode: CloseMode }
    | { readonly kind: 'halt' }
  );

export type FromDataThreads = OfSession &
  (
    | {
        readonly kind: 'verified';
        readonly attachments: readonly VolumeAttachment[];
        readonly roots: readonly ExportRoot[];
      }
    | { readonly kind: 'serving' }
    | { readonly kind: 'attached' }
    | {
        readonly kind: 'failed';
        readonly reason: OpenFailure;
        readonly message: string;
        readonly epochFound: number | null;
      }
    /** A volume thread has them. */
    | { readonly kind: 'exported'; readonly change: number; readonly roots: readonly ExportRoot[] }
    /** So has a connection thread. */
    | { readonly kind: 'rooted'; readonly change: number }
    /** A volume thread has looked for all directories, and has told where they are. */
    | { readonly kind: 'directoriesKnown'; readonly change: number }
    | { readonly kind: 'directoryRemoved'; readonly id: string; readonly result: RemovalResult }
    /** Where exported directories of this thread's volumes are, as far as that is news. */
    | { readonly kind: 'roots'; readonly roots: readonly ExportRoot[] }
    | { readonly kind: 'flushed' }
    | { readonly kind: 'frozen' }
    | { readonly kind: 'drained' }
    | { readonly kind: 'closed' }
    | {
        readonly kind: 'fault';
        readonly volume: string;
        readonly reason: FaultReason;
        readonly message: string;
      }
    | { readonly kind: 'leaseExpired' }
    /** A call for this volume has waited so long; said again until it is answered. */
    | { readonly kind: 'waiting'; readonly volume: string; readonly waitedMs: number }
    /** Errors of the thread's system calls on this volume since its last such message. */
    | {
        readonly kind: 'volumeErrors';
        readonly volume: string;
        readonly errors: readonly VolumeErrorCount[];
      }
    /** A connection. It is counted no more (connections-by-address.ts), whether or not the session is there. */
    | { readonly kind: 'ended'; readonly admission: Admission }
    | { readonly kind: 'firstReply'; readonly atBootMs: number }
    | { readonly kind: 'mountChange'; readonly change: MountChange }
    | { readonly kind: 'log'; readonly level: 'info' | 'warn' | 'error'; readonly message: string }
  );

/** Calls for a volume thread, in memory that is the caller's again when it is said to be spent: see call-batch.ts. */
export interface CallsMessage extends OfSession {
  readonly kind: 'calls';
  /** Number of the memory in this session, and the memory itself when the receiver sees it for the first time. */
  readonly batch: number;
  readonly memory: SharedArrayBuffer | null;
  readonly size: number;
  /** Connections that the receiver does not know yet. */
  readonly callers: readonly ForwardingConnection[];
  /** Connections that have ended. */
  readonly gone: readonly number[];
  /** Numbers of memory that is not used any more. */
  readonly dropped: readonly number[];
}

export interface RepliesMessage extends OfSession {
  readonly kind: 'replies';
  readonly batch: ArrayBuffer;
  readonly size: number;
  /** Numbers of memory of calls whose last byte has been used. */
  readonly spent: readonly number[];
  /** Numbers of calls that wait for others of the same thread, and of those that wait no more and are answered later. */
  readonly queued?: readonly number[];
  readonly begun?: readonly number[];
}
