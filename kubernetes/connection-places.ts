/**
 * A fixed number of places for connections that anybody may open, shared by address. A newcomer always gets a place: when none is
 * free, a connection of the address that has the most loses its place. So an address that fills the places takes them from
 * itself.
 */
import type { Socket } from 'node:net';
import { networkOf } from './client-network.ts';

// A peer that comes from elsewhere and speaks at once is served, whatever others hold open. An IPv6 host has a whole /64 to choose
// addresses from (RFC 4291 §2.5.4), so that counts as one address.

export class ConnectionPlaces {
  readonly #max: number;
  readonly #byAddress = new Map<string, Set<Socket>>();
  #taken = 0;

  /** `max`: connections at a time, of all addresses. */
  constructor(max: number) {
    this.#max = max;
  }

  get count(): number {
    return this.#taken;
  }

  /**
   * Gives the socket a place, which it has until it is closed or leaves. Returns the socket that lost its place for it, which the
   * caller has to destroy; null: there was a free one.
   */
  enter(socket: Socket): Socket | null {
    const evicted = this.#taken < this.#max ? null : this.#leastWorthy();
    if (evicted !== null) this.leave(evicted);
    const address = networkOf(socket.remoteAddress ?? 'unknown');
    const all = this.#byAddress.get(address) ?? new Set();
    this.#byAddress.set(address, all.add(socket));
    this.#taken++;
    socket.once('close', () => this.leave(socket));
    return evicted;
  }

  /** Its place is free again; the socket may go on. */
  leave(socket: Socket): void {
    for (const [address, all] of this.#byAddress) {
      if (!all.delete(socket)) continue;
      this.#taken--;
      if (all.size === 0) this.#byAddress.delete(address);
      return;
    }
  }

  /** Among the addresses with the most places: the connection that has said nothing yet, else the oldest. */
  #leastWorthy(): Socket | null {
    let worst: Socket | null = null;
    let most = 0;
    for (const all of this.#byAddress.values()) {
      if (all.size < most) continue;
      const silent = [...all].find((socket) => socket.bytesRead === 0);
      if (all.size === most && (silent === undefined || worst?.bytesRead === 0)) continue;
      worst = silent ?? [...all][0]!;
      most = all.size;
    }
    return worst;
  }
}
