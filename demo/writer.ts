/**
 * A client that never rests: one stream of lines, each acknowledged as being on the disk before the next, and beside it streams
 * of operations that must be executed exactly once.
 */

import { LINE_SIZE, lineText } from '../client/cli/probe/numbered-line.ts';
import {
  type ConnectionEvent,
  constants,
  type FileHandle,
  FilerPairClient,
  type Found,
  NfsError,
} from '../client/index.ts';
import {
  FILE_SYNC,
  NFS3ERR_EXIST,
  NFS3ERR_NOENT,
  NFS3ERR_NOT_SYNC,
  type nfs_fh3,
  nfsstat3Name,
} from '../protocol/nfs3.ts';
import { Ledger } from './ledger.ts';

/** Statuses with which a second execution of an operation on a name of its own is answered. */
const AS_IF_DONE: readonly number[] = [NFS3ERR_EXIST, NFS3ERR_NOENT, NFS3ERR_NOT_SYNC];

/** Streams of exactly-once operations side by side: so that some are under way whenever a server dies. */
const STREAMS = 4;

export const LINES_FILE = 'lines.log';
export const OPERATIONS_DIRECTORY = 'operations';

export interface Acknowledgement {
  readonly atMs: number;
  readonly tookMs: number;
}

export class Writer {
  readonly ledger: Ledger;
  readonly events: ConnectionEvent[];
  /** Every acknowledged line, times of performance.now(). */
  readonly acknowledgements: Acknowledgement[] = [];
  readonly #client: FilerPairClient;
  readonly #running: Promise<void>[] = [];
  #stopping = false;

  private constructor(name: string, client: FilerPairClient, events: ConnectionEvent[]) {
    this.ledger = new Ledger(name);
    this.#client = client;
    this.events = events;
  }

  static async start(name: string, url: string): Promise<Writer> {
    const events: ConnectionEvent[] = [];
    const client = new FilerPairClient(url);
    client.on('connection', (event) => events.push(event));
    await client.connect();
    const writer = new Writer(name, client, events);
    // Each line is on the disk when its write is answered.
    const { O_CREAT, O_EXCL, O_SYNC, O_WRONLY } = constants;
    const lines = await client.open(LINES_FILE, O_CREAT | O_EXCL | O_WRONLY | O_SYNC);
    const { handle: directory } = await client.nfs.mkdir(client.root, OPERATIONS_DIRECTORY, { mode: 0o755 });
    writer.#running.push(writer.#writeLines(lines));
    for (let stream = 0; stream < STREAMS; stream++) writer.#running.push(writer.#operate(directory, stream));
    return writer;
  }

  /** Lets what is under way end; rejects with the first thing that went wrong. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await Promise.all(this.#running);
  }

  /** Whatever is under way fails. */
  close(): void {
    this.#client.destroy();
  }

  /** Rejects as soon as one of the streams fails, never resolves. */
  async failed(): Promise<never> {
    await Promise.all(this.#running);
    return new Promise<never>(() => {});
  }

  /** Resolves with the time of the first line that is acknowledged after `atMs`. */
  async acknowledgedAfter(atMs: number): Promise<number> {
    for (;;) {
      const last = this.acknowledgements[this.acknowledgements.length - 1];
      if (last && last.atMs > atMs) {
        return this.acknowledgements.find((each) => each.atMs > atMs)!.atMs;
      }
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }

  /** The longest time between two acknowledged lines that lies at least partly between two moments, in ms. */
  longestGap(fromMs: number, toMs: number): number {
    let longest = 0;
    for (let i = 1; i < this.acknowledgements.length; i++) {
      const before = this.acknowledgements[i - 1]!.atMs;
      const after = this.acknowledgements[i]!.atMs;
      if (after >= fromMs && before <= toMs) longest = Math.max(longest, after - before);
    }
    return longest;
  }

  async #writeLines(file: FileHandle): Promise<void> {
    for (let number = 0; !this.#stopping; number++) {
      const begunMs = performance.now();
      const line = Buffer.from(lineText(number, this.ledger.writer));
      await file.write(line, { position: number * LINE_SIZE });
      const atMs = performance.now();
      this.acknowledgements.push({ atMs, tookMs: atMs - begunMs });
      this.ledger.lineAcknowledged();
    }
  }

  async #operate(root: nfs_fh3, stream: number): Promise<void> {
    for (let number = 0; !this.#stopping; number++) await this.#round(root, `${stream}-${number}`, number);
  }

  /** Eight operations on names of their own; every second round cleans up after itself. */
  async #round(root: nfs_fh3, name: string, number: number): Promise<void> {
    const { nfs } = this.#client;
    const { ledger } = this;
    const made = await this.#once('MKDIR', name, () => nfs.mkdir(root, name, { mode: 0o755 }));
    if (made === null) return;
    const dir = made.handle;
    ledger.done([[name, { kind: 'Directory' }]]);
    const created = await this.#once<Found>('CREATE', `${name}/new`, () =>
      nfs.create(dir, 'new', 'Guarded', { mode: 0o644 }),
    );
    if (created === null) return;
    ledger.done([[`${name}/new`, { kind: 'File', contents: '' }]]);
    const guard = created.attributes.ctime;
    await this.#once('SETATTR', `${name}/new`, () => nfs.setattr(created.handle, { mode: 0o600 }, guard));
    ledger.done([]);
    const contents = `round ${name}\n`;
    await nfs.write(created.handle, 0, Buffer.from(contents), FILE_SYNC);
    ledger.done([[`${name}/new`, { kind: 'File', contents }]]);
    const file = { kind: 'File', contents } as const;
    await this.#once('RENAME', `${name}/new`, () => nfs.rename(dir, 'new', dir, 'kept'));
    ledger.done([[`${name}/kept`, file]], [`${name}/new`]);
    await this.#once('LINK', `${name}/second`, () => nfs.link(created.handle, dir, 'second'));
    ledger.done([[`${name}/second`, file]]);
    await this.#once('REMOVE', `${name}/second`, () => nfs.remove(dir, 'second'));
    ledger.done([], [`${name}/second`]);
    if (number % 2 === 0) return;
    await this.#once('REMOVE', `${name}/kept`, () => nfs.remove(dir, 'kept'));
    ledger.done([], [`${name}/kept`]);
    await this.#once('RMDIR', name, () => nfs.rmdir(root, name));
    ledger.done([], [name]);
  }

  /** Null if the server answers as if it had done this before: nobody else uses these names, so it has. */
  async #once<T>(operation: string, path: string, execute: () => Promise<T>): Promise<T | null> {
    try {
      return await execute();
    } catch (error) {
      if (!(error instanceof NfsError) || !AS_IF_DONE.includes(error.status)) throw error;
      this.ledger.answeredAsDone(operation, path, nfsstat3Name(error.status));
      return null;
    }
  }
}
