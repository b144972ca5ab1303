/**
 * The listening socket of a disk set: open exactly while the disk set is this server's. Accepted sockets are handed on as
 * plain descriptors, which belong to the process and not to the thread that accepted them.
 */
import { createServer, type Server, type Socket } from 'node:net';
import type { Admission } from '../connection-limits/connections-by-address.ts';
import { close, duplicate } from '../system/file-calls.ts';

const BACKLOG = 1024;

export class PortInUseError extends Error {
  override readonly name = 'PortInUseError';
}

/** Between two words about refused connections. ms */
const REFUSED_LOG_MS = 60_000;

export interface AcceptorHooks {
  /** Counts one more connection of this address. null: it may have none, and is reset. */
  readonly admit: (host: string) => Admission | null;
  /** A connection that admit() has counted does not come. */
  readonly onLost: (admission: Admission) => void;
  /** It had to reset one of this address; at most once a minute. */
  readonly onRefused: (host: string) => void;
  /** The descriptor belongs to the receiver. */
  readonly onAccepted: (fd: number, host: string, port: number, admission: Admission) => void;
}

export class Acceptor {
  readonly #server: Server;
  readonly #hooks: AcceptorHooks;
  #open: boolean;
  /** When it was last told that one was. performance.now() */
  #refusedAt: number;

  constructor(hooks: AcceptorHooks) {
    this.#hooks = hooks;
    this.#open = true;
    this.#refusedAt = Number.NEGATIVE_INFINITY;
    this.#server = createServer({ pauseOnConnect: true }, (socket) => this.#accept(socket));
  }

  /** Resolves with the port number. Throws PortInUseError. */
  listen(host: string, port: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', (error: NodeJS.ErrnoException) => {
        const used = error.code === 'EADDRINUSE';
        reject(used ? new PortInUseError(`port ${port} on ${host} is in use by another process`) : error);
      });
      this.#server.listen({ host, port, backlog: BACKLOG }, () => {
        const address = this.#server.address();
        resolve(typeof address === 'object' && address !== null ? address.port : port);
      });
    });
  }

  /** The kernel refuses connections from now on. */
  stop(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#server.close();
  }

  #refused(host: string): void {
    const now = performance.now();
    if (now - this.#refusedAt < REFUSED_LOG_MS) return;
    this.#refusedAt = now;
    this.#hooks.onRefused(host);
  }

  #accept(socket: Socket): void {
    socket.on('error', () => {});
    if (!this.#open) {
      socket.resetAndDestroy();
      return;
    }
    const { remoteAddress, remotePort } = socket;
    // It has gone already.
    if (remoteAddress === undefined) {
      socket.destroy();
      return;
    }
    const admission = this.#hooks.admit(remoteAddress);
    if (admission === null) {
      socket.resetAndDestroy();
      this.#refused(remoteAddress);
      return;
    }
    const fd = duplicate(descriptorOf(socket));
    // Closes one of two descriptors: nothing is said to the client.
    socket.destroy();
    if (fd >= 0) {
      this.#hooks.onAccepted(fd, remoteAddress, remotePort ?? 0, admission);
      return;
    }
    this.#hooks.onLost(admission);
    this.#refused(remoteAddress);
  }
}

/**
 * Listens for a moment where nobody can come: what Node loads for the first socket of its life is there then when the first
 * disk set is opened.
 */
export async function warmUpListening(): Promise<void> {
  const acceptor = new Acceptor({
    admit: () => null,
    onLost: () => {},
    onRefused: () => {},
    onAccepted: close,
  });
  await acceptor.listen('127.0.0.1', 0).catch(() => {});
  acceptor.stop();
}

/** Node has no public way to take a socket's descriptor; this field has been there since its first years. */
function descriptorOf(socket: Socket): number {
  const { _handle: handle } = socket as unknown as { _handle: { fd: number } | null };
  return handle?.fd ?? -1;
}
