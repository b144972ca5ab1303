/** A client that asks an export without pause, one question after the other, and notes how long each move keeps it waiting. */
import { constants } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { ConnectionEvent } from '../../connection-event.ts';
import type { FileHandle } from '../../file-handle.ts';
import type { FilerPairClient } from '../../filer-pair-client.ts';
import type { PortRole } from '../../transport-address.ts';
import { LINE_SIZE, lineText, lostLines } from './numbered-line.ts';
import type { ProbeLine } from './probe-line.ts';

/** After the way back it asks this long, so that a connection that breaks at once is seen. Ms. */
const CALM_MS = 1000;
/** For removing its file when it is stopped. Ms. */
const REMOVED_MS_MAX = 3000;
const WRITER = 'probe';

export interface ProbeOptions {
  /** Between a reply and the next question, ms. */
  readonly everyMs: number;
  /** Name of the file that it makes and removes; null: it only reads attributes. */
  readonly writeTo: string | null;
  /** It ends when the export was served at the other port and is served at the first one again. */
  readonly roundTrip: boolean;
  readonly stop: AbortSignal;
  readonly tell: (line: ProbeLine) => void;
}

export class ProbeClient {
  readonly #client: FilerPairClient;
  readonly #options: ProbeOptions;
  /** Time by which performance.now() is behind the wall clock. */
  readonly #zeroMs = Date.now() - performance.now();
  readonly #home: PortRole | null;
  #away = false;
  /** The server is back since then, by performance.now(). */
  #backAtMs = Number.POSITIVE_INFINITY;
  #adopted = false;
  #lastMs = performance.now();
  #longestPauseMs = 0;
  #replies = 0;

  /** The client is connected, and hands its events to `onEvent`. */
  constructor(client: FilerPairClient, options: ProbeOptions) {
    this.#client = client;
    this.#options = options;
    this.#home = client.port;
  }

  onEvent(event: ConnectionEvent): void {
    if (event.kind !== 'Lost' && event.kind !== 'Adopted') return;
    this.#options.tell({ ...event, atMs: rounded(this.#zeroMs + event.atMs) });
    if (event.kind === 'Adopted') {
      this.#adopted = true;
      if (event.port !== this.#home) this.#away = true;
      else if (this.#away) this.#backAtMs = event.atMs;
    }
  }

  /** Until it is stopped, or back. Rejects with the first error of the export. */
  async run(): Promise<void> {
    const { stop, tell, everyMs, writeTo } = this.#options;
    const file = writeTo === null ? null : await this.#create(writeTo);
    tell({ kind: 'Started', atMs: this.#now() });
    this.#lastMs = performance.now();
    try {
      while (!stop.aborted && !this.#isDone()) {
        if (!(await this.#asked(file))) break;
        this.#answered();
        await delay(everyMs, undefined, { signal: stop }).catch(() => {});
      }
      const lost = file === null || stop.aborted ? null : await this.#lost(writeTo!);
      tell({
        kind: 'Ended',
        atMs: this.#now(),
        replies: this.#replies,
        longestPauseMs: rounded(this.#longestPauseMs),
        ...(lost === null ? {} : { lines: { acknowledged: this.#replies, lost } }),
      });
    } finally {
      if (writeTo !== null) await this.#client.unlink(writeTo, { timeoutMs: REMOVED_MS_MAX });
    }
  }

  #isDone(): boolean {
    return this.#options.roundTrip && performance.now() > this.#backAtMs + CALM_MS;
  }

  /** Each line is on the disk when its write is answered. */
  #create(name: string): Promise<FileHandle> {
    const { O_CREAT, O_EXCL, O_SYNC, O_WRONLY } = constants;
    return this.#client.open(name, O_CREAT | O_EXCL | O_WRONLY | O_SYNC, 0o600);
  }

  /** Asks, and waits for the reply. @returns false: it was stopped meanwhile */
  async #asked(file: FileHandle | null): Promise<boolean> {
    const { stop: signal } = this.#options;
    try {
      if (file === null) await this.#client.nfs.getattr(this.#client.root, { signal });
      else {
        const line = Buffer.from(lineText(this.#replies, WRITER));
        await file.write(line, { position: this.#replies * LINE_SIZE, signal });
      }
      return true;
    } catch (error) {
      if (signal.aborted) return false;
      throw error;
    }
  }

  #answered(): void {
    const now = performance.now();
    const pauseMs = now - this.#lastMs;
    this.#lastMs = now;
    this.#replies += 1;
    this.#longestPauseMs = Math.max(this.#longestPauseMs, pauseMs);
    if (!this.#adopted) return;
    this.#adopted = false;
    this.#options.tell({ kind: 'Answered', atMs: this.#now(), pauseMs: rounded(pauseMs) });
  }

  async #lost(name: string): Promise<number> {
    const contents = await this.#client.readFile(name, 'latin1');
    return lostLines(contents, this.#replies, WRITER).length;
  }

  #now(): number {
    return rounded(this.#zeroMs + performance.now());
  }
}

const rounded = (ms: number): number => Math.round(ms * 10) / 10;
