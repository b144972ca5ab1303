/**
 * Calls that wait for a thread, fairly: clients come one after the other, and of a client its connections. So a client that has sent
 * a thousand calls is one among the others, not a thousand; calls of one connection stay in their order. Pure.
 */
export class TurnQueue<C, T> {
  /** By client, and of each client by connection, in the order of their turns. */
  readonly #clients: Map<string, Map<C, T[]>>;
  #count: number;

  constructor() {
    this.#clients = new Map();
    this.#count = 0;
  }

  get size(): number {
    return this.#count;
  }

  add(client: string, connection: C, item: T): void {
    let connections = this.#clients.get(client);
    if (connections === undefined) {
      connections = new Map();
      this.#clients.set(client, connections);
    }
    const waiting = connections.get(connection);
    if (waiting === undefined) connections.set(connection, [item]);
    else waiting.push(item);
    this.#count += 1;
  }

  /** null: nobody waits. */
  take(): T | null {
    const first = this.#clients.entries().next().value;
    if (first === undefined) return null;
    const [client, connections] = first;
    this.#clients.delete(client);
    const item = takeFrom(connections);
    if (connections.size > 0) this.#clients.set(client, connections);
    this.#count -= 1;
    return item;
  }

  clear(): void {
    this.#clients.clear();
    this.#count = 0;
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
