/**
 * What the writer says it saw: one JSON object a line, in the order in which it happened to the writer. Times are milliseconds
 * on the writer's own monotonic clock; only differences mean something.
 */

/** A line of the file was written with FILE_SYNC and acknowledged: it must never be missing again. */
export interface LineAcknowledged {
  readonly kind: 'line';
  /** The line's number: its offset in the file is number x LINE_SIZE. */
  readonly number: number;
  readonly sentMs: number;
  readonly answeredMs: number;
}

/** An operation that must be executed exactly once was answered. */
export interface OperationAnswered {
  readonly kind: 'operation';
  readonly procedure: string;
  /** Path below the writer's directory. */
  readonly path: string;
  /** nfsstat3 of RFC 1813 §2.6; 0 is NFS3_OK. Nothing else is right: see workload.ts. */
  readonly status: number;
  readonly sentMs: number;
  readonly answeredMs: number;
}

/** What the client library noticed of a failover. */
export interface ConnectionNoticed {
  readonly kind: 'connection';
  readonly event: string;
  readonly port?: string;
  readonly atMs: number;
  readonly detail: string;
}

/** The test set a mark: "what follows happens after the fault was injected". */
export interface Mark {
  readonly kind: 'mark';
  readonly name: string;
  readonly atMs: number;
}

/** The writer works: the first line has been acknowledged. */
export interface Started {
  readonly kind: 'started';
  readonly run: string;
  readonly atMs: number;
}

/** NFS3ERR_NOSPC: nothing was done, and it will be tried again. */
export interface NoSpace {
  readonly kind: 'noSpace';
  readonly procedure: string;
  readonly atMs: number;
}

/** The writer has finished what it began, and read the file back through a new mount. */
export interface Finished {
  readonly kind: 'finished';
  readonly atMs: number;
  readonly lines: number;
  /** Of the file of lines as NFS shows it, hexadecimal. */
  readonly sha256: string;
  /** Of a client with a pause of its own: one that no fault concerns. */
  readonly bystander?: BystandersWaits;
}

/** The longest waits of a client, ms. */
export interface BystandersWaits {
  /** For the attributes of a directory. */
  readonly attributesMs: number;
  /** For a timer of its own, beyond its time. */
  readonly clockLateMs: number;
}

/** The writer cannot go on; a failed test. */
export interface Failed {
  readonly kind: 'failed';
  readonly message: string;
  readonly atMs: number;
}

export type HistoryEntry =
  | LineAcknowledged
  | OperationAnswered
  | ConnectionNoticed
  | Mark
  | Started
  | NoSpace
  | Finished
  | Failed;

/** Bytes of a line, with its newline. */
export const LINE_SIZE = 64;

/** The text of a line: which run of the writer, and which number, padded to LINE_SIZE. */
export function lineText(run: string, number: number): string {
  return `${`${run} line ${number}`.padEnd(LINE_SIZE - 1, '.')}\n`;
}

/** Directory and file of a run, below the export. */
export const runDirectory = (run: string): string => `writer-${run}`;
export const LINES_FILE = 'lines';
