/**
 * The listening side of the interconnect. A stranger gets this server's certificate, and after 1 s at most a closed connection;
 * the partner and its sentinel get in.
 */

import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { ConnectionPlaces } from '../../kubernetes/connection-places.ts';
import { OncePerMinute } from '../logging/log.ts';
import { inBackground } from '../system/turns.ts';
import {
  authenticate,
  type EndOptions,
  HANDSHAKE_MS,
  InterconnectConnection,
  remoteOf,
} from './connection.ts';
import { acceptTls } from './tls.ts';

// Strangers share their places by address (connection-places.ts), so however many of them knock, they shut out each other and
// not the partner. What comes before the proof is what proves: TLS with both certificates. Nothing that was not
// proved is parsed, kept, or told to the agent.

/** Connections that have proved nothing yet; each lives 1 s at most. For one more, another one ends. */
const STRANGERS_MAX = 32;

export class Acceptor {
  readonly #options: EndOptions;
  readonly #server: Server;
  readonly #seldom = new OncePerMinute(() => performance.now());
  readonly #places = new ConnectionPlaces(STRANGERS_MAX);
  readonly #strangers = new Set<Socket>();
  readonly #displaced = new WeakSet<Socket>();

  constructor(options: EndOptions) {
    this.#options = options;
    this.#server = createServer((socket) => inBackground(this.#receive(socket)));
  }

  /** Listens; resolves with the port. Rejects if the address cannot be had. */
  async listen(): Promise<number> {
    const { host, port } = this.#options;
    this.#server.listen({ host, port });
    await once(this.#server, 'listening');
    return (this.#server.address() as AddressInfo).port;
  }

  /** Accepts nobody any more. Connections that stand are left to the caller. */
  stop(): void {
    this.#server.close();
    for (const socket of this.#strangers) socket.destroy();
  }

  async #receive(socket: Socket): Promise<void> {
    const { credentials, identity, partner, timing, events, established } = this.#options;
    const remote = remoteOf(socket);
    const displaced = this.#places.enter(socket);
    if (displaced !== null) {
      this.#displaced.add(displaced);
      displaced.destroy();
    }
    this.#strangers.add(socket);
    try {
      const giveUpAt = performance.now() + HANDSHAKE_MS;
      socket.setNoDelay(true);
      socket.setKeepAlive(true, 1000);
      const secured = await acceptTls(socket, credentials.current, HANDSHAKE_MS);
      const proved = await authenticate(secured, 'acceptor', identity, giveUpAt - performance.now());
      if (proved.peer.server !== partner) {
        proved.socket.destroy();
        throw new Error(`it is ${proved.peer.server}, and the partner is ${partner}`);
      }
      const connection = new InterconnectConnection(proved, timing, events);
      established(connection);
      connection.start();
    } catch (error) {
      const reason = this.#displaced.has(socket)
        ? `there are more than ${STRANGERS_MAX} unproved connections, most of them from this address`
        : (error as Error).message;
      this.#refused(socket.remoteAddress, remote, reason);
    } finally {
      this.#strangers.delete(socket);
      this.#places.leave(socket);
    }
  }

  #refused(address: string | undefined, remote: string, reason: string): void {
    this.#seldom.tell(`${address} ${reason}`, (leftOut) => {
      const more = leftOut > 0 ? ` (${leftOut} more since then)` : '';
      this.#options.log.warn(`Closed an interconnect connection from ${remote}: ${reason}${more}.`);
    });
  }
}
