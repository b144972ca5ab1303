/**
 * What the servers have acknowledged, and whether it is true. Pure: entries go in while the writer runs, the volume's contents
 * are compared with them afterwards.
 */

import { lostLines } from '../client/cli/probe/numbered-line.ts';

// Two kinds of work are entered:
//  - lines: each written in place and acknowledged as being on the disk. A line that is missing afterwards is lost.
//  - operations that must be executed exactly once (MKDIR, guarded CREATE, RENAME, LINK, REMOVE, guarded SETATTR).
//    Each acts on a name of its own, so that executing one twice cannot go unnoticed: the second execution fails
//    (exists already, no such file) and that failure is what the client would be told.

export interface Wrong {
  readonly kind: 'Lost' | 'ExecutedTwice';
  readonly what: string;
}

/** A directory entry that must be there at the end, with its contents if it is a file. */
type Expected = { readonly kind: 'Directory' } | { readonly kind: 'File'; readonly contents: string };

export class Ledger {
  readonly writer: string;
  /** Lines acknowledged: numbers 0 to lines-1. */
  lines = 0;
  /** Exactly-once operations acknowledged. */
  operations = 0;
  readonly #wrong: Wrong[] = [];
  readonly #expected = new Map<string, Expected>();

  constructor(writer: string) {
    this.writer = writer;
  }

  /** Everything the servers have said yes to. */
  get acknowledged(): number {
    return this.lines + this.operations;
  }

  lineAcknowledged(): void {
    this.lines += 1;
  }

  /** An operation was acknowledged; `appeared` and `disappeared` are the paths that it changed. */
  done(appeared: readonly (readonly [string, Expected])[], disappeared: readonly string[] = []): void {
    this.operations += 1;
    for (const path of disappeared) this.#expected.delete(path);
    for (const [path, what] of appeared) this.#expected.set(path, what);
  }

  /** An operation on a name of its own was answered as if it had been done before. */
  answeredAsDone(operation: string, path: string, status: string): void {
    this.#wrong.push({ kind: 'ExecutedTwice', what: `${operation} ${path} was answered ${status}` });
  }

  /** Compares with what is on the volume: `found` maps paths to the contents of files, null for directories. */
  verify(found: ReadonlyMap<string, string | null>, lines: string): Wrong[] {
    const wrong = [...this.#wrong];
    for (const number of lostLines(lines, this.lines, this.writer))
      wrong.push({ kind: 'Lost', what: `line ${number}` });
    for (const [path, what] of this.#expected) {
      const contents = found.get(path);
      if (contents === undefined) wrong.push({ kind: 'Lost', what: path });
      else if (what.kind === 'File' && contents !== what.contents) {
        wrong.push({ kind: 'Lost', what: `${path} holds other contents` });
      }
    }
    for (const path of found.keys()) {
      if (!this.#expected.has(path)) {
        wrong.push({ kind: 'ExecutedTwice', what: `${path} is there, but was removed or renamed` });
      }
    }
    return wrong;
  }
}
