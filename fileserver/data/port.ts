/** A listening socket and its connections: open exactly while the disk set behind it is served. */
import { createServer, type Server, type Socket } from 'node:net';
import { Connection, type ConnectionHooks } from './connection.ts';
import type { Programs } from './dispatcher.ts';
import type { OutputSlabs } from './output-slabs.ts';

/** Far more than clients have; a bound all the same. */
const CONNECTIONS_MAX = 4096;
const BACKLOG = 1024;
/** A client whose machine has vanished is noticed after some minutes. ms */
const KEEP_ALIVE_AFTER_MS = 60_000;

export class PortInUseError extends Error {
  override readonly name = 'PortInUseError';
}

export class Port {
  private readonly server: Server;
  private readonly connections: Set<Connection>;
  private readonly programs: Programs;
  private readonly slabs: OutputSlabs;
  private readonly hooks: ConnectionHooks;
  private open: boolean;

  constructor(programs: Programs, slabs: OutputSlabs, hooks: Omit<ConnectionHooks, 'onClosed'>) {
    this.programs = programs;
    this.slabs = slabs;
    this.connections = new Set();
    this.hooks = { ...hooks, onClosed: (connection) => this.connections.delete(connection) };
    this.open = true;
    this.server = createServer({ keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_AFTER_MS }, (socket) =>
      this.accept(socket),
    );
    this.server.maxConnections = CONNECTIONS_MAX;
  }

  /** Resolves with the port number. Throws PortInUseError. */
  listen(host: string, port: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.server.once('error', (error: NodeJS.ErrnoException) => {
        const used = error.code === 'EADDRINUSE';
        reject(used ? new PortInUseError(`port ${port} on ${host} is in use by another process`) : error);
      });
      this.server.listen({ host, port, backlog: BACKLOG }, () => {
        const address = this.server.address();
        resolve(typeof address === 'object' && address !== null ? address.port : port);
      });
    });
  }

  get connectionCount(): number {
    return this.connections.size;
  }

  get unanswered(): number {
    let count = 0;
    for (const connection of this.connections) count += connection.unanswered;
    return count;
  }

  /** Exports have changed: who may what is asked anew. */
  forgetCallers(): void {
    for (const { caller } of this.connections) caller.forget();
  }

  /** Takes no more connections and calls. Calls under way will be answered. */
  quiesce(): void {
    this.stopListening();
    for (const connection of this.connections) connection.quiesce();
  }

  /** Orderly end of all connections, after their last answers. */
  end(): void {
    for (const connection of this.connections) connection.end();
  }

  /** At once: resets, so that clients know without waiting. */
  destroy(): void {
    this.stopListening();
    for (const connection of this.connections) connection.destroy();
    this.connections.clear();
  }

  private stopListening(): void {
    if (!this.open) return;
    this.open = false;
    this.server.close();
  }

  private accept(socket: Socket): void {
    if (!this.open) {
      socket.resetAndDestroy();
      return;
    }
    this.connections.add(new Connection(socket, this.programs, this.slabs, this.hooks));
  }
}
