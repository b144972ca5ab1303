/** The sentinel: outlives the server and says to the partner that it has died, so that a crash costs milliseconds. */
import { once } from 'node:events';
import { chmodSync, unlinkSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { type Incarnation, incarnationOf } from '../../pair/incarnation.ts';
import type { DiedMessage } from '../../pair/messages.ts';
import type { ConnectionTiming, InterconnectConnection } from '../interconnect/connection.ts';
import type { CredentialSource } from '../interconnect/credentials.ts';
import { Dialer } from '../interconnect/dialer.ts';
import type { Log } from '../logging/log.ts';
import { serveRegistration, type WatchedProcess } from './watched-process.ts';

//   server registers --> watched --pidfd readable--> died message --> partner answers deathNoted --> forgotten
//                                                       ^    | no connection, or no answer before it ended
//                                                       +----+ sent again over the next connection
//
// It never speaks for a process that may still be alive: the one thing that makes it speak is the kernel's word that
// every thread of that very process has exited. That the server's socket closed, that its pid is free, that it does
// not answer: all that means nothing here. A message that comes late or twice does no harm (R5): it names incarnation
// and epoch.

/** Deaths that the partner has not confirmed. A server that dies more often has older ones forgotten. */
const UNCONFIRMED_MAX = 16;

export interface SentinelOptions {
  readonly pair: string;
  readonly server: string;
  readonly partner: string;
  readonly partnerAddress: { readonly host: string; readonly port: number };
  readonly credentials: CredentialSource;
  /** Path of the Unix socket to listen on. */
  readonly path: string;
  readonly timing: ConnectionTiming;
  readonly log: Log;
}

export class Sentinel {
  readonly #options: SentinelOptions;
  readonly #listener: Server;
  readonly #dialer: Dialer;
  /** Live processes by incarnation. */
  readonly #watched = new Map<Incarnation, WatchedProcess>();
  readonly #unconfirmed = new Map<Incarnation, DiedMessage>();
  /** Those who wait for a death or a confirmation. */
  readonly #waiting: (() => void)[] = [];

  constructor(options: SentinelOptions) {
    this.#options = options;
    const { pair, server, partner, partnerAddress, credentials, timing, log } = options;
    this.#listener = createServer((socket) =>
      serveRegistration(socket, server, {
        watching: (watched) => this.#watching(watched),
        exited: (watched) => this.#exited(watched),
        refused: (reason) => log.warn(`A process of ${server} is not watched: ${reason}`),
      }),
    );
    this.#dialer = new Dialer({
      ...partnerAddress,
      credentials,
      partner,
      timing,
      log,
      identity: {
        pair,
        server,
        incarnation: incarnationOf(server, 'sentinel', String(process.pid)),
        role: 'sentinel',
      },
      established: (connection) => this.#reachedPartner(connection),
      events: {
        message: (message) => {
          if (message.kind === 'deathNoted') this.#confirmed(message.incarnation);
        },
        closed: (reason) => {
          // After a change of credentials the next one is there before the old one ends.
          if (this.#dialer.connection !== null) return;
          log.info(`The connection with ${partner} has ended: ${reason}. Dialling again.`);
        },
      },
    });
  }

  async start(): Promise<void> {
    const { path, server, log } = this.#options;
    removeStaleSocket(path);
    this.#listener.listen(path);
    await once(this.#listener, 'listening');
    // A process that can register another one can have its server declared dead.
    chmodSync(path, 0o600);
    this.#dialer.start();
    log.info(`Sentinel of ${server} listens on ${path}.`);
  }

  /**
   * Resolves when no watched process lives any more and the partner knows of every death, or has not been reached
   * for `patienceMs` after the last one.
   */
  async finished(patienceMs: number): Promise<void> {
    while (this.#watched.size > 0) await this.#nextChange();
    const late = delay(patienceMs, 'late' as const, { ref: false });
    while (this.#unconfirmed.size > 0) {
      if ((await Promise.race([this.#nextChange(), late])) === 'late') return;
    }
  }

  get watchedCount(): number {
    return this.#watched.size;
  }

  stop(): void {
    this.#listener.close();
    this.#dialer.stop();
    this.#dialer.connection?.close('the sentinel stops');
  }

  #watching(watched: WatchedProcess): void {
    this.#watched.set(watched.incarnation, watched);
    this.#options.log.info(`Watching process ${watched.pid}, ${watched.incarnation}.`);
  }

  #exited(watched: WatchedProcess): void {
    const { incarnation, pid, holdings } = watched;
    // A server that lost its connection and registered again is watched twice: the later one knows more.
    if (this.#watched.get(incarnation) !== watched) return;
    this.#watched.delete(incarnation);
    const { server, partner, log } = this.#options;
    const evidence = `the sentinel of ${server} saw process ${pid} exit`;
    const died: DiedMessage = { kind: 'died', incarnation, holdings, evidence };
    this.#unconfirmed.set(incarnation, died);
    this.#dialer.connection?.send(died);
    const held = holdings.map(({ home, epoch }) => `${home} at epoch ${epoch}`).join(' and ') || 'nothing';
    const how =
      this.#dialer.connection === null ? `will be told as soon as it can be reached` : 'has been told';
    log.warn(`Process ${pid}, ${incarnation}, has exited; it held ${held}. ${partner} ${how}.`);
    const [oldest] = this.#unconfirmed.keys();
    if (this.#unconfirmed.size > UNCONFIRMED_MAX) this.#unconfirmed.delete(oldest!);
    this.#changed();
  }

  #reachedPartner(connection: InterconnectConnection): void {
    this.#options.log.info(`Connected with ${connection.peer.incarnation}.`);
    for (const died of this.#unconfirmed.values()) connection.send(died);
  }

  #confirmed(incarnation: Incarnation): void {
    this.#unconfirmed.delete(incarnation);
    this.#changed();
  }

  #nextChange(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #changed(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

/** Removes the socket of a sentinel that was killed. Two at once would be a mistake: the later one wins, the earlier goes deaf. */
function removeStaleSocket(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}
