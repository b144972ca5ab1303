/**
 * The listening side of the interconnect. A stranger gets this server's certificate, or a random number where keys
 * count, and after 1 s at most a closed connection; the partner and its sentinel get in.
 */

import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { InterconnectIdentity } from '../../protocol/interconnect.ts';
import { type Log, OncePerMinute } from '../log.ts';
import { inBackground } from '../system/turns.ts';
import {
  authenticate,
  type ConnectionEvents,
  type ConnectionTiming,
  HANDSHAKE_MS,
  InterconnectConnection,
  remoteOf,
} from './connection.ts';
import type { CredentialSource } from './credentials.ts';
import { recognizeDialer } from './recognize.ts';

/** Connections that have proved nothing yet. More are closed at once: each lives 1 s at most. */
const STRANGERS_MAX = 32;

export interface AcceptorOptions {
  readonly host: string;
  readonly port: number;
  readonly credentials: CredentialSource;
  readonly identity: InterconnectIdentity;
  /** Name of the server that may connect, itself or its sentinel. */
  readonly partner: string;
  readonly timing: ConnectionTiming;
  readonly events: ConnectionEvents;
  readonly established: (connection: InterconnectConnection) => void;
  readonly log: Log;
}

export class Acceptor {
  private readonly options: AcceptorOptions;
  private readonly server: Server;
  private readonly seldom = new OncePerMinute(() => performance.now());
  private readonly strangers = new Set<Socket>();

  constructor(options: AcceptorOptions) {
    this.options = options;
    this.server = createServer((socket) => inBackground(this.receive(socket)));
  }

  /** Listens; resolves with the port. Rejects if the address cannot be had. */
  async listen(): Promise<number> {
    const { host, port } = this.options;
    this.server.listen({ host, port });
    await once(this.server, 'listening');
    return (this.server.address() as AddressInfo).port;
  }

  /** Accepts nobody any more. Connections that stand are left to the caller. */
  stop(): void {
    this.server.close();
    for (const socket of this.strangers) socket.destroy();
  }

  private async receive(socket: Socket): Promise<void> {
    const { credentials, identity, partner, timing, events, established } = this.options;
    const remote = remoteOf(socket);
    if (this.strangers.size >= STRANGERS_MAX) {
      socket.on('error', () => {});
      socket.destroy();
      return this.refused(socket.remoteAddress, remote, `more than ${STRANGERS_MAX} unproved connections`);
    }
    this.strangers.add(socket);
    try {
      const giveUpAt = performance.now() + HANDSHAKE_MS;
      socket.setNoDelay(true);
      socket.setKeepAlive(true, 1000);
      const recognized = await recognizeDialer(socket, credentials.current, HANDSHAKE_MS);
      const leftMs = giveUpAt - performance.now();
      const proved = await authenticate(recognized, 'acceptor', identity, leftMs);
      if (proved.peer.server !== partner) {
        proved.socket.destroy();
        throw new Error(`it is ${proved.peer.server}, and the partner is ${partner}`);
      }
      const connection = new InterconnectConnection(proved, timing, events);
      established(connection);
      connection.start();
    } catch (error) {
      this.refused(socket.remoteAddress, remote, (error as Error).message);
    } finally {
      this.strangers.delete(socket);
    }
  }

  private refused(address: string | undefined, remote: string, reason: string): void {
    this.seldom.tell(`${address} ${reason}`, (leftOut) => {
      const more = leftOut > 0 ? ` (${leftOut} more since then)` : '';
      this.options.log.warn(`Closed an interconnect connection from ${remote}: ${reason}${more}.`);
    });
  }
}
