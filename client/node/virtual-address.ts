/** One virtual address: executes what its director decides, on the table, the sockets and the holder of its namespace. */
import { isIPv6 } from 'node:net';
import type { ConnectionEvent } from '../connection-event.ts';
import type { Resolver } from '../resolver.ts';
import type { NfsUrl } from '../url.ts';
import {
  type DirectorEffect,
  type DirectorInput,
  type DirectorState,
  INITIAL_DIRECTOR,
  isSame,
  socketAction,
  stepDirector,
} from './director.ts';
import { Finder } from './finder.ts';
import type { Holder } from './holder.ts';
import type { Conntrack, Entry, Flow } from './netlink/conntrack.ts';
import type { ClientSocket, SocketTable } from './netlink/socket-table.ts';
import {
  type AddressAndPort,
  HOLDER_ZONE,
  MARK_MASK_SERVER,
  markOf,
  type Route,
  VIRTUAL_PORT,
} from './ruleset.ts';

export type AddressEvent =
  | { readonly kind: 'Search'; readonly event: ConnectionEvent }
  /** New connections go to the target, or to the holder. */
  | {
      readonly kind: 'Routed';
      readonly target: AddressAndPort | null;
      readonly hold: boolean;
      readonly tookMs: number;
    }
  | { readonly kind: 'Sockets'; readonly broken: number; readonly redirected: number }
  | { readonly kind: 'Released'; readonly connections: number }
  /** Sockets that were cut off from their server by somebody else's change, and end now. */
  | { readonly kind: 'Healed'; readonly sockets: number };

/** Tables that all addresses of a network namespace share. */
export interface NamespaceTables {
  readonly socketTable: SocketTable;
  readonly conntrack: Conntrack;
  readonly holder: Holder;
  /** Outside the namespace, answers to this connection find their way back. */
  isForwarded(entry: Entry): boolean;
  /** Writes where the connections to this address go. */
  writeRoute(route: Route): void;
}

export interface VirtualAddressOptions {
  readonly virtual: string;
  /** Number of the address in its namespace, from which its mark is made. */
  readonly index: number;
  readonly url: NfsUrl;
  readonly resolver: Resolver;
  readonly onEvent: (event: AddressEvent) => void;
}

export class VirtualAddress {
  readonly virtual: string;
  readonly #tables: NamespaceTables;
  readonly #mark: number;
  readonly #onEvent: (event: AddressEvent) => void;
  readonly #finder: Finder;
  #state: DirectorState = INITIAL_DIRECTOR;
  #route: Route;

  /** `resumed`: the server to which the rules that are there send connections. */
  constructor(tables: NamespaceTables, options: VirtualAddressOptions, resumed: AddressAndPort | null) {
    this.virtual = options.virtual;
    this.#tables = tables;
    this.#mark = markOf(options.index);
    this.#onEvent = options.onEvent;
    if (resumed !== null) this.#input({ kind: 'Resumed', target: resumed });
    // Before anybody is found connections wait, but those of before go where they went.
    const { virtual } = options;
    this.#route = { virtual, mark: this.#mark, target: resumed, hold: resumed === null, forgive: false };
    this.#finder = new Finder(options.url, options.resolver, {
      onInput: (input) => this.#input(input),
      onEvent: (event) => this.#onEvent({ kind: 'Search', event }),
    });
  }

  get state(): DirectorState {
    return this.#state;
  }

  /** The route that the table has to hold for this address. */
  get route(): Route {
    return this.#route;
  }

  /** One sentence on why nobody is found. */
  describeFailure(): string {
    return this.#finder.describeFailure();
  }

  /** A connection to this address came to the holder. */
  held(): void {
    this.#input({ kind: 'Held', atMs: performance.now() });
  }

  /**
   * Ends those of its sockets whose connection is no longer translated, because the kernel's tables were emptied: answers cannot reach
   * them, and their client would wait for a minute. `all`: there were no rules for a while. An answer that came meanwhile is lost,
   * and this machine has reset the server's end, so every connection ends.
   */
  heal(sockets: readonly ClientSocket[], all: boolean): void {
    if (this.#route.hold || this.#state.heldAtMs !== null) return;
    const { conntrack, socketTable } = this.#tables;
    let count = 0;
    for (const socket of sockets) {
      const flow = this.#flow(socket);
      const entry = conntrack.entry(flow);
      // Its first segment came when there were no rules: the entry keeps the connection from being translated.
      const isLeftOut = entry !== null && entry.reply.source === this.virtual;
      if (isLeftOut) conntrack.delete(flow);
      const isForwarded = entry === null || isLeftOut || this.#tables.isForwarded(entry);
      if (socket.state !== 'ESTABLISHED') continue;
      // One that waits at the holder has its entry in another zone, also while it is not accepted there yet.
      const isWell =
        entry === null ? conntrack.entry(flow, HOLDER_ZONE) !== null : !isLeftOut && isForwarded && !all;
      if (!isWell && socketTable.destroy(socket) === 0) count += 1;
    }
    if (count > 0) this.#onEvent({ kind: 'Healed', sockets: count });
  }

  close(): void {
    this.#finder.close();
  }

  #input(input: DirectorInput): void {
    const { state, effects } = stepDirector(this.#state, input);
    this.#state = state;
    for (const effect of effects) this.#execute(effect);
  }

  #execute(effect: DirectorEffect): void {
    switch (effect.kind) {
      case 'Route': {
        const { target, hold, forgive } = effect;
        const begunMs = performance.now();
        this.#route = { ...this.#route, target, hold, forgive };
        this.#tables.writeRoute(this.#route);
        this.#route = { ...this.#route, forgive: false };
        this.#onEvent({ kind: 'Routed', target, hold, tookMs: performance.now() - begunMs });
        break;
      }
      case 'ForgetServer':
        this.#tables.conntrack.deleteMarked(isIPv6(this.virtual), this.#mark, MARK_MASK_SERVER);
        break;
      case 'MoveSockets':
        this.#moveSockets(effect.moved);
        break;
      case 'Release': {
        const connections = this.#tables.holder.release(this.virtual);
        if (connections > 0) this.#onEvent({ kind: 'Released', connections });
        break;
      }
      case 'Ask':
        // The first answer may come while the finder is being made.
        this.#finder?.ask();
        break;
    }
  }

  #moveSockets(moved: boolean): void {
    const { conntrack, holder, socketTable } = this.#tables;
    let broken = 0;
    let redirected = 0;
    for (const socket of socketTable.list(isIPv6(this.virtual), VIRTUAL_PORT)) {
      if (socket.destination !== this.virtual) continue;
      const flow = this.#flow(socket);
      const isHeld = holder.holds(socket.source, socket.sourcePort);
      switch (socketAction(socket.state, isHeld, moved)) {
        case 'leave':
          break;
        case 'deleteEntry':
          conntrack.delete(flow);
          redirected += 1;
          break;
        case 'destroy': {
          // The connection's entry is read first: the entry of the next connection from this port may be there at once.
          const entry = conntrack.entry(flow);
          socketTable.destroy(socket);
          if (entry !== null && !this.#leadsToTarget(entry)) conntrack.deleteEntry(entry);
          broken += 1;
          break;
        }
      }
    }
    if (broken + redirected > 0) this.#onEvent({ kind: 'Sockets', broken, redirected });
  }

  /** The next connection would lead there, too, and the reset of the destroyed one ends this entry by itself. */
  #leadsToTarget({ reply }: Entry): boolean {
    const { target } = this.#route;
    return target !== null && isSame(target, { address: reply.source, port: reply.sourcePort });
  }

  #flow({ source, sourcePort }: ClientSocket): Flow {
    return { source, sourcePort, destination: this.virtual, destinationPort: VIRTUAL_PORT };
  }
}
