/**
 * The server's connection with its sentinel: registers this process and tells which epochs it holds, again after the
 * sentinel has been restarted. Without a sentinel the server runs all the same; its crash is then noticed by silence.
 */
import { connect, type Socket } from 'node:net';
import type { Incarnation } from '../../pair/incarnation.ts';
import type { Holding } from '../../pair/messages.ts';
import type { Log } from '../logging/log.ts';
import { readLinesOfSentinel, type ToServer, writeLine } from './lines.ts';

const RETRY_MS = 250;

export interface SentinelLinkOptions {
  /** Path of the sentinel's socket. */
  readonly path: string;
  readonly me: Incarnation;
  readonly log: Log;
}

export class SentinelLink {
  readonly #options: SentinelLinkOptions;
  #socket: Socket | null = null;
  #registered = false;
  #complained = false;
  #holdings: readonly Holding[] = [];
  #timer: NodeJS.Timeout | null = null;

  constructor(options: SentinelLinkOptions) {
    this.#options = options;
  }

  /** True while the sentinel has confirmed that it watches this process. */
  get watching(): boolean {
    return this.#registered;
  }

  start(): void {
    const { path, me } = this.#options;
    const socket = connect(path);
    this.#socket = socket;
    socket.on('connect', () => writeLine(socket, { kind: 'register', incarnation: me }));
    readLinesOfSentinel(socket, (message) => this.#receive(socket, message));
    socket.on('error', () => {
      // 'close' follows and says it.
    });
    socket.on('close', () => this.#lost());
  }

  /**
   * Written to the socket in this very call: should the process be killed right afterwards, the kernel still delivers
   * it, and the sentinel reads to the end of the stream before it speaks.
   */
  setHoldings(holdings: readonly Holding[]): void {
    this.#holdings = holdings;
    if (this.#registered) writeLine(this.#socket!, { kind: 'holdings', holdings: [...holdings] });
  }

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#socket?.removeAllListeners('close').destroy();
  }

  #receive(socket: Socket, message: ToServer): void {
    const { log, path } = this.#options;
    switch (message.kind) {
      case 'prove':
        writeLine(socket, { kind: 'proof', token: message.token, holdings: [...this.#holdings] });
        this.#registered = true;
        return;
      case 'watching':
        this.#complained = false;
        log.info(`The sentinel watches this process (its pid there: ${message.pid}).`);
        return;
      case 'refused':
        this.#registered = false;
        this.#complained = true;
        log.warn(`The sentinel at ${path} does not watch this process: ${message.reason}`);
    }
  }

  #lost(): void {
    const { log, path } = this.#options;
    if (!this.#complained) {
      log.warn(
        `No sentinel at ${path}: a crash of this process will be noticed only by its silence. Trying again.`,
      );
      this.#complained = true;
    }
    this.#registered = false;
    this.#timer = setTimeout(() => this.start(), RETRY_MS);
  }
}
