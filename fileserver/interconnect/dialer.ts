/**
 * Keeps one outgoing connection to the partner up: connects, proves who it is, and restarts 20-200 ms after every
 * end. With new credentials a new connection is made before the old one is ended, so that the exchange of a certificate
 * costs no heartbeat. What it says about failures is said once a minute for each cause.
 */

import { connect, type LookupFunction, type Socket } from 'node:net';
import { OncePerMinute } from '../logging/log.ts';
import { inBackground, nextTurn } from '../system/turns.ts';
import { rememberingLookup } from './address.ts';
import {
  authenticate,
  type EndOptions,
  type Established,
  HANDSHAKE_MS,
  InterconnectConnection,
} from './connection.ts';
import type { Credentials } from './credentials.ts';
import { dialTls, NotThePartner, stillTrusted } from './tls.ts';

/**
 * Ms until a connection request counts as lost. A request to an address behind which nobody is (a Service without
 * endpoints) is often swallowed, and TCP itself would ask again only after 1 s.
 */
const CONNECT_MS = 300;
const RETRY_MS_MIN = 20;
const RETRY_MS_MAX = 200;
/** After a refusal on purpose (wrong certificate, wrong pair) haste is useless. */
const RETRY_MS_REFUSED = 1000;
/** A connection that still stands with older credentials: the partner's may be exchanged a minute later. */
const RENEW_MS = 5000;
/** The old connection may carry messages that have just been sent. */
const OLD_ENDS_MS = 1000;

export class Dialer {
  readonly #options: EndOptions;
  readonly #lookup: LookupFunction = rememberingLookup();
  readonly #seldom = new OncePerMinute(() => performance.now());
  #current: InterconnectConnection | null = null;
  /** Credentials with which the current connection was made. */
  #usedCredentials: Credentials | null = null;
  #dialing: Socket | null = null;
  #timer: NodeJS.Timeout | null = null;
  #retryMs = RETRY_MS_MIN;
  #stopped = false;

  constructor(options: EndOptions) {
    this.#options = options;
    options.credentials.subscribe(() => this.#again(RETRY_MS_MIN));
  }

  /** The connection that stands; null while there is none. */
  get connection(): InterconnectConnection | null {
    return this.#current;
  }

  start(): void {
    inBackground(this.#dial());
  }

  /** No more attempts. The connection that stands is left to the caller. */
  stop(): void {
    this.#stopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#dialing?.destroy();
  }

  async #dial(): Promise<void> {
    const { credentials, partner } = this.#options;
    const wanted = credentials.current;
    // One attempt at a time; the one that runs will see that there are newer credentials.
    if (this.#dialing !== null || this.#usedCredentials === wanted) return;
    try {
      const proved = await this.#prove(wanted);
      this.#dialing = null;
      if (this.#stopped) {
        proved.socket.destroy();
        return;
      }
      if (proved.peer.server !== partner || proved.peer.role !== 'server') {
        proved.socket.destroy();
        throw new Refusal(`${proved.peer.server} (${proved.peer.role}) answers there instead of ${partner}`);
      }
      this.#use(proved, wanted);
    } catch (error) {
      this.#dialing = null;
      this.#failed(error as Error);
    }
  }

  async #prove({ tls, problem }: Credentials): Promise<Established> {
    const { host, port, identity } = this.#options;
    let failure: unknown = new Refusal(problem ?? 'there are no credentials');
    for (const [index, one] of tls.entries()) {
      const socket = await this.#connect(host, port);
      const giveUpAt = performance.now() + HANDSHAKE_MS;
      try {
        const secured = await dialTls(socket, one, HANDSHAKE_MS);
        return await authenticate(secured, 'dialer', identity, giveUpAt - performance.now());
      } catch (error) {
        // The partner's distrust of the fallback is no news.
        if (index === 0) failure = error;
      }
    }
    throw failure;
  }

  #use(proved: Established, credentials: Credentials): void {
    const { events, timing, established } = this.#options;
    this.#retryMs = RETRY_MS_MIN;
    const previous = this.#current;
    const connection: InterconnectConnection = new InterconnectConnection(proved, timing, {
      message: events.message,
      closed: (reason, closed) => {
        const standing = this.#current === connection;
        if (standing) this.#forget();
        events.closed(reason, closed);
        if (standing) this.#again(RETRY_MS_MIN);
      },
    });
    this.#current = connection;
    this.#usedCredentials = credentials;
    established(connection);
    connection.start();
    inBackground(previous?.finish(OLD_ENDS_MS));
    // They may have changed while this one was being proved.
    if (credentials !== this.#options.credentials.current) this.#again(RETRY_MS_MIN);
  }

  #forget(): void {
    this.#current = null;
    this.#usedCredentials = null;
  }

  #connect(host: string, port: number): Promise<Socket> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host, port, lookup: this.#lookup, noDelay: true, autoSelectFamily: false });
      socket.setKeepAlive(true, 1000);
      this.#dialing = socket;
      let settled = false;
      const fail = (error: Error): void => {
        if (settled) return;
        settled = true;
        clearTimeout(timer);
        socket.removeAllListeners().on('error', () => {});
        socket.destroy();
        reject(error);
      };
      // If this process itself was held up, the answer may wait unread: timers come before it, immediates after.
      const late = (): void => fail(new Error(`no answer within ${CONNECT_MS} ms`));
      const timer = setTimeout(() => nextTurn(late), CONNECT_MS);
      socket.once('error', fail);
      socket.once('close', () => fail(new Error('given up')));
      socket.once('connect', () => {
        settled = true;
        clearTimeout(timer);
        socket.removeAllListeners();
        resolve(socket);
      });
    });
  }

  #failed(error: Error): void {
    if (this.#stopped) return;
    const { host, port, partner, log } = this.#options;
    this.#seldom.tell(error.message, (leftOut) => {
      const more = leftOut > 0 ? ` (${leftOut} more attempts ended so)` : '';
      log.info(`Cannot reach ${partner} at ${host}:${port}: ${error.message}${more}. Trying again.`);
    });
    if (this.#current !== null) {
      this.#again(RENEW_MS);
      if (!stillTrusted(this.#current.shown, this.#options.credentials.current))
        this.#current.close('its certificate is not trusted any more');
      return;
    }
    const refused = error instanceof Refusal || error instanceof NotThePartner;
    this.#again(refused ? RETRY_MS_REFUSED : this.#retryMs);
    this.#retryMs = Math.min(RETRY_MS_MAX, this.#retryMs * 2);
  }

  #again(ms: number): void {
    if (this.#stopped) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    // Both servers dial at the same pace: a little chance keeps them from meeting forever.
    this.#timer = setTimeout(() => inBackground(this.#dial()), ms * (0.75 + Math.random() / 2));
  }
}

/** Somebody answered who is not the partner. */
class Refusal extends Error {}
