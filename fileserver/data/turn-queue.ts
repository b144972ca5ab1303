/**
 * Calls that wait for a thread, fairly: clients come one after the other, and of a client its connections. So a client that has sent
 * a thousand calls is one among the others, not a thousand; calls of one connection stay in their order. Pure.
 */
interface Line<C, T> {
  /** Of each connection, in the order of their turns. */
  readonly connections: Map<C, T[]>;
}

export class TurnQueue<C, T> {
  /** By client, in the order of their turns. */
  private readonly clients: Map<string, Line<C, T>>;
  private count: number;

  constructor() {
    this.clients = new Map();
    this.count = 0;
  }

  get size(): number {
    return this.count;
  }

  add(client: string, connection: C, item: T): void {
    let line = this.clients.get(client);
    if (line === undefined) {
      line = { connections: new Map() };
      this.clients.set(client, line);
    }
    const waiting = line.connections.get(connection);
    if (waiting === undefined) line.connections.set(connection, [item]);
    else waiting.push(item);
    this.count += 1;
  }

  /** null: nobody waits. */
  take(): T | null {
    for (const [client, line] of this.clients) {
      this.clients.delete(client);
      const item = takeFrom(line.connections);
      if (line.connections.size > 0) this.clients.set(client, line);
      this.count -= 1;
      return item;
    }
    return null;
  }

  clear(): void {
    this.clients.clear();
    this.count = 0;
  }
}

/** There is one. */
function takeFrom<C, T>(connections: Map<C, T[]>): T {
  const [connection, waiting] = connections.entries().next().value!;
  connections.delete(connection);
  const item = waiting.shift()!;
  if (waiting.length > 0) connections.set(connection, waiting);
  return item;
}
