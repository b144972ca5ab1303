/**
 * A link of a given rate between clients and a server, for tests: connections share it fairly, each direction by itself, and
 * queues are short. Real sockets on both sides.
 */
import { connect, createServer, type Server, type Socket } from 'node:net';

/** Bytes of one connection that wait on the link at most, in each direction. */
const QUEUE_SIZE = 64 * 1024;
const TICK_MS = 10;

/** One direction of one connection. */
class Flow {
  readonly #from: Socket;
  readonly #to: Socket;
  #budget = 0;

  constructor(from: Socket, to: Socket) {
    this.#from = from;
    this.#to = to;
    // Nothing is read but what read() takes.
    from.pause();
    from.on('readable', () => {});
  }

  get waits(): boolean {
    return this.#from.readableLength > 0;
  }

  /** Carries up to `share` bytes; returns how many. */
  carry(share: number): number {
    this.#budget = Math.min(this.#budget + share, QUEUE_SIZE);
    const size = Math.min(Math.floor(this.#budget), this.#from.readableLength);
    const chunk = size > 0 ? (this.#from.read(size) as Buffer | null) : null;
    if (chunk === null) return 0;
    this.#budget -= chunk.length;
    this.#to.write(chunk);
    return chunk.length;
  }
}

export class SlowLink {
  /** Bytes carried to the server. */
  up = 0;
  /** Bytes carried to the clients. */
  down = 0;
  connections = 0;
  readonly port: number;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #ups = new Set<Flow>();
  readonly #downs = new Set<Flow>();
  readonly #timer: NodeJS.Timeout;
  readonly #bytesPerSecond: number;
  #carriedAtMs = performance.now();

  private constructor(server: Server, targetPort: number, bytesPerSecond: number) {
    this.#server = server;
    this.port = (server.address() as { port: number }).port;
    this.#bytesPerSecond = bytesPerSecond;
    server.on('connection', (socket) => this.#accept(socket, targetPort));
    this.#timer = setInterval(() => this.#carry(), TICK_MS);
  }

  static async to(targetPort: number, bytesPerSecond: number): Promise<SlowLink> {
    const server = createServer({ highWaterMark: QUEUE_SIZE, noDelay: true });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new SlowLink(server, targetPort, bytesPerSecond);
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #accept(client: Socket, targetPort: number): void {
    this.connections += 1;
    const server = connect({ port: targetPort, host: '127.0.0.1', noDelay: true });
    const up = new Flow(client, server);
    const down = new Flow(server, client);
    this.#ups.add(up);
    this.#downs.add(down);
    const end = (): void => {
      this.#ups.delete(up);
      this.#downs.delete(down);
      for (const socket of [client, server]) {
        this.#sockets.delete(socket);
        socket.destroy();
      }
    };
    for (const socket of [client, server]) {
      this.#sockets.add(socket);
      socket.on('error', end);
      socket.on('close', end);
      socket.on('end', end);
    }
  }

  #carry(): void {
    const now = performance.now();
    const bytes = (this.#bytesPerSecond * (now - this.#carriedAtMs)) / 1000;
    this.#carriedAtMs = now;
    this.up += share(this.#ups, bytes);
    this.down += share(this.#downs, bytes);
  }
}

function share(flows: ReadonlySet<Flow>, bytes: number): number {
  const waiting = [...flows].filter((flow) => flow.waits);
  let carried = 0;
  for (const flow of waiting) carried += flow.carry(bytes / waiting.length);
  return carried;
}
