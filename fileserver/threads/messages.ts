/**
 * Messages between the agent (main thread) and the data path's first thread (worker). The agent decides who may serve; the
 * data thread owns the sockets and every file system call. Nothing else is shared but the table of leases (lease-table.ts).
 */

import type { WrittenVolumes } from '../../pair/lease.ts';
import type { DiskSetSide } from '../../pair/types.ts';
import type { ExportChanges, ExportSpec, GivenExports } from '../settings/export-spec.ts';
import type { ThreadCounts } from '../settings/thread-counts.ts';
import type { VolumeSpec } from '../settings/volume-spec.ts';
import type { RemovalResult } from '../storage/directories/directory-remover.ts';
import type { FaultReason } from '../storage/failures/fault-reason.ts';
import type { VolumeErrorCount } from '../storage/failures/volume-errors.ts';
import type { RootProblem } from '../storage/files/export-root.ts';
import type { OpenFailure } from '../storage/volume/open-failure.ts';

//   agent                         data thread
//     | open (epoch, volumes) -->   |  verify, write the ownership record, replay the journal, listen
//     |   <-- opened | openFailed   |
//     |   <-- firstReply            |
//     | exports               -->   |
//     |   <-- exportsReplaced       |  or exportsRefused: the old ones go on
//     |   <-- directoriesKnown      |  after `opened`, and after `exports`
//     |   <-- absentExports         |  at any time while open, and before `directoriesKnown`
//     | exportChanges         -->   |
//     |   <-- exportsChanged        |
//     | removeDirectory       -->   |
//     |   <-- directoryRemoved      |  later, if it is open for so long; then forgetRemoval
//     | hold                  -->   |  nothing changes any more, everything is on the disk
//     |   <-- held                  |
//     | resume                -->   |
//     |   <-- resumed               |  also by itself, when it has lasted too long
//     | close quiesce|fence   -->   |
//     |   <-- closed                |
//     |   <-- fault                 |  at any time while open; the data thread has fenced itself already
//     |   <-- halted                |  likewise, because it found the lease over

export interface OpenMessage {
  readonly kind: 'open';
  readonly diskSet: DiskSetSide;
  /** Server to which the disk set belongs by declaration. */
  readonly home: string;
  /** This server. */
  readonly server: string;
  /** This run of this server, for the ownership record. */
  readonly incarnation: string;
  readonly epoch: number;
  readonly volumes: readonly VolumeSpec[];
  /** null: those of the copies on the volumes, until there are others (exports/exports-copy.ts). */
  readonly exports: GivenExports | null;
  /** Copies of the exports are kept on the volumes. */
  readonly copiesExports?: boolean;
  /** The Lease's entries for the volumes; absent: there are none. */
  readonly written?: WrittenVolumes;
  /** A volume whose disk has not answered for so long is reported (`stalled`). ms; absent or 0: never. */
  readonly volumeStalledMs?: number;
  /**
   * How long to wait for volumes that move from node to node, of the time in which the partner could serve them. ms;
   * absent: not at all.
   */
  readonly attachPatienceMs?: number;
  readonly host: string;
  /** TCP port; 0 lets the kernel choose (tests). */
  readonly port: number;
}

export type CloseMode = 'quiesce' | 'fence';

export interface CloseMessage {
  readonly kind: 'close';
  readonly diskSet: DiskSetSide;
  /**
   * quiesce: stop reading, finish and flush what runs, answer it, close connections, sync, then `closed`.
   * fence: stop at once, answer nothing, close everything, then `closed`.
   */
  readonly mode: CloseMode;
}

export interface ExportsMessage {
  readonly kind: 'exports';
  readonly diskSet: DiskSetSide;
  readonly exports: readonly ExportSpec[];
}

/** Some of the exports are others: nothing is sent of the rest. */
export interface ExportChangesMessage {
  readonly kind: 'exportChanges';
  readonly diskSet: DiskSetSide;
  /** Grows; the answer carries it. */
  readonly number: number;
  readonly changes: ExportChanges;
}

/** A directory of a volume is to be removed, with everything in it. The answer may take long, and is lost with a takeover. */
export interface RemoveDirectoryMessage {
  readonly kind: 'removeDirectory';
  readonly diskSet: DiskSetSide;
  /** The sender chooses it, for good: under one ID nothing is removed twice. */
  readonly id: string;
  readonly volume: string;
  readonly directory: string;
}

/** Nobody asks for the ID again. */
export interface ForgetRemovalMessage {
  readonly kind: 'forgetRemoval';
  readonly diskSet: DiskSetSide;
  readonly id: string;
  readonly volume: string;
}

/**
 * The disk set is being claimed at this epoch: what is read to open it may be read already, so that the claim and the reading
 * take place at once. null: the claim has failed. A hint: nothing is changed, and `open` may come without it.
 */
export interface PrepareMessage {
  readonly kind: 'prepare';
  readonly diskSet: DiskSetSide;
  readonly epoch: number | null;
  readonly volumes: readonly VolumeSpec[];
}

/** Where volumes that move from node to node are mounted now: also while the disk set is not open, or waits for them. */
export interface DisksMessage {
  readonly kind: 'disks';
  readonly diskSet: DiskSetSide;
  /** Name of the directory beside the volume's path that holds the mounts, PATH/../DIRECTORY/VOLUME; null: nowhere. */
  readonly directory: string | null;
  /** The partner could serve them if this server gave them up. */
  readonly partnerCouldServe: boolean;
}

/**
 * Nothing on the disk set's volumes is to change for a moment, and all that was answered is to be on the disk. So all of them, and
 * those of the other disk set, can be copied as they are at one point in time. Clients wait.
 */
export interface FreezeMessage {
  readonly kind: 'hold';
  readonly diskSet: DiskSetSide;
  /** The asker chooses it; the answers carry it. A second message with the same changes nothing. */
  readonly id: string;
  /** It ends by itself after this time: clients wait no longer for an asker that has died. ms */
  readonly msMax: number;
}

export interface ThawMessage {
  readonly kind: 'resume';
  readonly diskSet: DiskSetSide;
  readonly id: string;
}

export type ToDataThread =
  | PrepareMessage
  | OpenMessage
  | CloseMessage
  | ExportsMessage
  | ExportChangesMessage
  | RemoveDirectoryMessage
  | ForgetRemovalMessage
  | DisksMessage
  | FreezeMessage
  | ThawMessage;

export interface Phase {
  readonly name: 'attach' | 'verify' | 'replay' | 'listen';
  readonly tookMs: number;
}

export interface OpenedMessage {
  readonly kind: 'opened';
  readonly diskSet: DiskSetSide;
  readonly port: number;
  readonly phases: readonly Phase[];
  /** UUIDs by name: on each of them the ownership record is durable. */
  readonly volumes: Readonly<Record<string, string>>;
}

export interface OpenFailedMessage {
  readonly kind: 'openFailed';
  readonly diskSet: DiskSetSide;
  readonly reason: OpenFailure;
  readonly message: string;
  /** The epoch on the volume, when that was the reason. */
  readonly epochFound?: number;
}

export interface ClosedMessage {
  readonly kind: 'closed';
  readonly diskSet: DiskSetSide;
  readonly mode: CloseMode;
}

export interface FaultMessage {
  readonly kind: 'fault';
  readonly diskSet: DiskSetSide;
  readonly volume: string;
  readonly reason: FaultReason;
  readonly message: string;
}

/**
 * A data thread found the lease over, and so every data thread has stopped serving the disk set. It stays so until the disk set
 * is closed and opened again, also if the lease was extended since: the agent has to close it.
 */
export interface HaltedMessage {
  readonly kind: 'halted';
  readonly diskSet: DiskSetSide;
}

/**
 * A volume's disk has not answered for longer than `volumeStalledMs`. Said again every second while that is so. The
 * data path goes on: whether giving the disk set up is of any use, the agent knows.
 */
export interface StalledMessage {
  readonly kind: 'stalled';
  readonly diskSet: DiskSetSide;
  readonly volume: string;
  readonly waitedMs: number;
}

/** Calls wait for a volume's disk, or (null) do so no longer. Said when it begins and when it is over. */
export interface VolumeWaitsMessage {
  readonly kind: 'volumeWaits';
  readonly diskSet: DiskSetSide;
  readonly volume: string;
  /** CLOCK_BOOTTIME */
  readonly sinceBootMs: number | null;
}

/** Clients were told of errors that say something of the disk or of the server; the volume is served on. Once a second at most. */
export interface VolumeErrorsMessage {
  readonly kind: 'volumeErrors';
  readonly diskSet: DiskSetSide;
  readonly volume: string;
  /** Since the message before, of one thread. */
  readonly errors: readonly VolumeErrorCount[];
}

export interface FirstReplyMessage {
  readonly kind: 'firstReply';
  readonly diskSet: DiskSetSide;
  /** When the first reply after the open was handed to the kernel, ms on CLOCK_BOOTTIME. */
  readonly atBootMs: number;
}

/**
 * The answer to `exports`: no client is served on other terms from now on. While the disk set is being opened it comes when that
 * has ended. Of two changes at the same time the later one counts, and the earlier one may have no answer of its own.
 */
export interface ExportsReplacedMessage {
  readonly kind: 'exportsReplaced';
  readonly diskSet: DiskSetSide;
  /** Those of the message. */
  readonly exports: readonly ExportSpec[];
}

/** The exports stay as they were. */
export interface ExportsRefusedMessage {
  readonly kind: 'exportsRefused';
  readonly diskSet: DiskSetSide;
  /** Those of the message. */
  readonly exports: readonly ExportSpec[];
  readonly message: string;
}

/** The answer to `exportChanges`: this one and all before it are in force. */
export interface ExportsChangedMessage {
  readonly kind: 'exportsChanged';
  readonly diskSet: DiskSetSide;
  readonly number: number;
}

export interface DirectoryRemovedMessage {
  readonly kind: 'directoryRemoved';
  readonly diskSet: DiskSetSide;
  readonly id: string;
  readonly result: RemovalResult;
}

export interface AbsentExport {
  readonly path: string;
  readonly cause?: RootProblem | undefined;
  /** Why it is not served, as a sentence. */
  readonly reason: string;
}

/** Exports whose directories are not there; all others are served. Said whenever these are others than before. */
export interface AbsentExportsMessage {
  readonly kind: 'absentExports';
  readonly diskSet: DiskSetSide;
  readonly exports: readonly AbsentExport[];
}

/** The directories of all exports have been looked for: of those that are not there `absentExports` has told. */
export interface DirectoriesKnownMessage {
  readonly kind: 'directoriesKnown';
  readonly diskSet: DiskSetSide;
}

/** From now on, until `resumed`, nothing changes on the volumes. */
export interface FrozenMessage {
  readonly kind: 'held';
  readonly diskSet: DiskSetSide;
  readonly id: string;
}

/** Answer to `resume`; comes without one when the freeze has ended before, or could not begin. */
export interface ThawedMessage {
  readonly kind: 'resumed';
  readonly diskSet: DiskSetSide;
  readonly id: string;
  /** Nothing has changed from `held` until `resume` came. */
  readonly whole: boolean;
  /** Why not, as a sentence; empty if whole. */
  readonly message: string;
}

/** For the log of the process: the data thread has none of its own. */
export interface LogMessage {
  readonly kind: 'log';
  readonly diskSet: DiskSetSide;
  readonly level: 'info' | 'warn' | 'error';
  readonly message: string;
}

export type FromDataThread =
  | LogMessage
  | OpenedMessage
  | OpenFailedMessage
  | ClosedMessage
  | ExportsReplacedMessage
  | VolumeWaitsMessage
  | VolumeErrorsMessage
  | ExportsRefusedMessage
  | ExportsChangedMessage
  | DirectoryRemovedMessage
  | AbsentExportsMessage
  | DirectoriesKnownMessage
  | FaultMessage
  | HaltedMessage
  | StalledMessage
  | FrozenMessage
  | ThawedMessage
  | FirstReplyMessage;

/** workerData of threads/thread.ts. */
export interface DataThreadOptions {
  /** See lease-table.ts. */
  readonly leases: SharedArrayBuffer;
  readonly threads: ThreadCounts;
  /** See thread-board.ts; made for threadCount(threads) threads. */
  readonly board: SharedArrayBuffer;
  /** Channel of the group thread; absent: users' groups are those of their credentials. */
  readonly groupChannel?: string;
  /** See data-metrics.ts. */
  readonly metrics: SharedArrayBuffer;
  /** Volumes that may be opened later: their threads rehearse it. */
  readonly volumes?: Readonly<Record<DiskSetSide, readonly VolumeSpec[]>>;
  /** After a lone call (adaptive-poller.ts); absent: yes. */
  readonly busyPoll?: boolean;
}
