/** Where connections wait while no server is found: they are accepted and read, never answered, and reset when a server is found. */
import { createServer, type Server, type Socket } from 'node:net';
import { canonicalAddress } from './netlink/address.ts';
import { originalDestination } from './netlink/original-destination.ts';

// A refused connection costs the kernel's client three seconds, and after one that is accepted and ended at once it
// connects again without a pause. So all of them stay open until they are of use. The listening socket belongs to the parent process
// (supervisor.ts): while a director is replaced, requests wait in its queue.

interface HeldConnection {
  readonly virtual: string;
  readonly client: string;
}

const clientKey = (address: string, port: number): string => `${canonicalAddress(address)} ${port}`;

export class Holder {
  readonly #servers: Server[];
  readonly #held = new Map<Socket, HeldConnection>();
  readonly #onHeld: (virtual: string) => void;

  /** `descriptors`: listening sockets, one for each version of IP. */
  constructor(descriptors: readonly number[], onHeld: (virtual: string) => void) {
    this.#onHeld = onHeld;
    this.#servers = descriptors.map((fd) =>
      createServer({ allowHalfOpen: true }, (socket) => this.#accept(socket)).listen({ fd }),
    );
  }

  /** Connections to this address that wait. */
  count(virtual: string): number {
    let count = 0;
    for (const held of this.#held.values()) if (held.virtual === virtual) count += 1;
    return count;
  }

  holds(address: string, port: number): boolean {
    const key = clientKey(address, port);
    for (const held of this.#held.values()) if (held.client === key) return true;
    return false;
  }

  /** Resets all connections to this address; their clients connect again at once. Returns how many. */
  release(virtual: string): number {
    let count = 0;
    for (const [socket, held] of this.#held) {
      if (held.virtual !== virtual) continue;
      this.#held.delete(socket);
      socket.resetAndDestroy();
      count += 1;
    }
    return count;
  }

  close(): void {
    for (const server of this.#servers) server.close();
    for (const socket of this.#held.keys()) socket.resetAndDestroy();
    this.#held.clear();
  }

  #accept(socket: Socket): void {
    const virtual = originalDestination(socket);
    const { remoteAddress, remotePort } = socket;
    // Ended already, or of somebody whom the rules have not sent here.
    if (virtual === null || remoteAddress === undefined || remotePort === undefined) {
      socket.resetAndDestroy();
      return;
    }
    socket.on('error', () => {});
    socket.on('close', () => this.#held.delete(socket));
    // The client is gone; it waits for nothing any more.
    socket.on('end', () => socket.destroy());
    socket.resume();
    this.#held.set(socket, { virtual, client: clientKey(remoteAddress, remotePort) });
    this.#onHeld(virtual);
  }
}
