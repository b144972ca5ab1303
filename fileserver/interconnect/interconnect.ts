/**
 * The server's end of the interconnect. Both servers dial and listen, so there are up to two connections with one incarnation of
 * the partner, and for moments connections with several incarnations. Upwards it looks simple: an incarnation is connected while
 * at least one connection with it stands; a message goes over the connection that was heard from last.
 */
import { type Incarnation, parseIncarnation, serverOf } from '../../pair/incarnation.ts';
import type { DiedMessage, InterconnectMessage, PairMessage } from '../../pair/messages.ts';
import type { InterconnectIdentity } from '../../protocol/interconnect.ts';
import type { Log } from '../logging/log.ts';
import { Acceptor } from './acceptor.ts';
import type { ConnectionEvents, ConnectionTiming, InterconnectConnection } from './connection.ts';
import type { CredentialSource } from './credentials.ts';
import { Dialer } from './dialer.ts';
import { stillTrusted } from './tls.ts';

export interface InterconnectOptions {
  readonly pair: string;
  readonly me: Incarnation;
  readonly partner: string;
  readonly credentials: CredentialSource;
  readonly listen: { readonly host: string; readonly port: number };
  readonly partnerAddress: { readonly host: string; readonly port: number };
  readonly timing: ConnectionTiming;
  readonly log: Log;
  readonly connected: (incarnation: Incarnation) => void;
  readonly disconnected: (incarnation: Incarnation) => void;
  readonly message: (from: Incarnation, message: PairMessage) => void;
  readonly died: (died: DiedMessage) => void;
}

export class Interconnect {
  readonly #options: InterconnectOptions;
  readonly #acceptor: Acceptor;
  readonly #dialer: Dialer;
  /** Connections with server processes, by incarnation. Sentinels are not in here: they only ever report. */
  readonly #connections = new Map<Incarnation, Set<InterconnectConnection>>();
  readonly #sentinels = new Set<InterconnectConnection>();

  constructor(options: InterconnectOptions) {
    this.#options = options;
    const identity: InterconnectIdentity = {
      pair: options.pair,
      server: serverOf(options.me),
      incarnation: options.me,
      role: 'server',
    };
    const events: ConnectionEvents = {
      message: (message, connection) => this.#receive(message, connection),
      closed: (reason, connection) => this.#lost(reason, connection),
    };
    const { credentials, partner, timing, log } = options;
    const established = (connection: InterconnectConnection): void => this.#established(connection);
    const common = { credentials, identity, partner, timing, events, established, log };
    this.#acceptor = new Acceptor({ ...common, ...options.listen });
    this.#dialer = new Dialer({ ...common, ...options.partnerAddress });
    credentials.subscribe(() => this.#endUntrusted());
  }

  /** Listens, and begins to dial. Resolves with the port listened on. */
  async start(): Promise<number> {
    const port = await this.#acceptor.listen();
    this.#dialer.start();
    return port;
  }

  /** Ends everything; what was sent before gets `ms` to leave. */
  async stop(ms: number): Promise<void> {
    this.#acceptor.stop();
    this.#dialer.stop();
    const all = [...this.#connections.values()].flatMap((set) => [...set]);
    await Promise.all([...all, ...this.#sentinels].map((connection) => connection.finish(ms)));
  }

  /** Lost without notice if that incarnation is not connected. */
  send(to: Incarnation, message: PairMessage): void {
    let best: InterconnectConnection | null = null;
    for (const connection of this.#connections.get(to) ?? []) {
      if (!connection.takesMessages) continue;
      if (best === null || connection.lastHeardAt > best.lastHeardAt) best = connection;
    }
    best?.send(message);
  }

  /** After a change of credentials. Who may still come in comes again by himself; the dialer replaces its own. */
  #endUntrusted(): void {
    const { current } = this.#options.credentials;
    const all = [...this.#connections.values(), this.#sentinels].flatMap((set) => [...set]);
    for (const connection of all) {
      if (connection !== this.#dialer.connection && !stillTrusted(connection.shown, current))
        connection.close('its certificate is not trusted any more');
    }
  }

  #established(connection: InterconnectConnection): void {
    const { log, partner } = this.#options;
    const { peer, remote } = connection;
    if (peer.role === 'sentinel') {
      this.#sentinels.add(connection);
      log.info(
        `The sentinel of ${partner} is connected from ${remote}: a crash of ${partner} will be reported.`,
      );
      return;
    }
    const incarnation = parseIncarnation(peer.incarnation);
    if (incarnation === null || serverOf(incarnation) !== peer.server) {
      connection.close(`its incarnation "${peer.incarnation}" cannot be understood`);
      return;
    }
    const set = this.#connections.get(incarnation) ?? new Set();
    this.#connections.set(incarnation, set.add(connection));
    if (set.size > 1) return;
    log.info(`Connected with ${incarnation} (${remote}).`);
    this.#options.connected(incarnation);
  }

  #lost(reason: string, connection: InterconnectConnection): void {
    const { log, partner } = this.#options;
    const { peer } = connection;
    if (peer.role === 'sentinel') {
      if (!this.#sentinels.delete(connection)) return;
      log.info(`The connection with the sentinel of ${partner} has ended: ${reason}.`);
      return;
    }
    const incarnation = parseIncarnation(peer.incarnation);
    const set = incarnation === null ? undefined : this.#connections.get(incarnation);
    if (incarnation === null || set === undefined || !set.delete(connection) || set.size > 0) return;
    this.#connections.delete(incarnation);
    log.info(`No connection with ${incarnation} is left: ${reason}. That alone proves nothing.`);
    this.#options.disconnected(incarnation);
  }

  #receive(message: InterconnectMessage, connection: InterconnectConnection): void {
    const { peer } = connection;
    if (peer.role === 'sentinel') {
      // A sentinel speaks for processes of its own server and says one thing only.
      if (message.kind !== 'died' || serverOf(message.incarnation) !== peer.server) return;
      this.#options.died(message);
      connection.send({ kind: 'deathNoted', incarnation: message.incarnation });
      return;
    }
    const from = parseIncarnation(peer.incarnation);
    if (from === null || message.kind === 'died' || message.kind === 'deathNoted') return;
    if (message.kind !== 'ping') this.#options.message(from, message);
  }
}
