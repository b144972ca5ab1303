/** Figures of a proxy's clients: how long their calls wait, connections lost and found. As text for Prometheus. */

// Counted for each call: some additions in memory that exists already.

/** Upper bounds of the classes of time, in seconds; the last class has none. */
const SECONDS = [
  0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120,
];
const BOUNDS_MS = SECONDS.map((seconds) => seconds * 1000);

/** Figures that a scrape reads beside the counts. */
export interface ProxyState {
  /** NFS clients that are connected. */
  readonly connectionCount: number;
  /** When the oldest unanswered call was sent, on performance.now(); null: none is unanswered. */
  readonly pendingSinceMs: number | null;
}

/** Times of the calls that one thread has carried. Its memory may be shared with others that read it. */
export class CallTimes {
  static readonly SIZE = BOUNDS_MS.length + 2;
  readonly #classes: Float64Array;

  /** memory: SIZE numbers, one for each class and at last the sum. */
  constructor(memory: Float64Array) {
    this.#classes = memory;
  }

  /** ms: from the arrival of a call at the proxy to its reply. */
  answered(ms: number): void {
    let at = 0;
    while (at < BOUNDS_MS.length && ms > BOUNDS_MS[at]!) at += 1;
    this.#classes[at]! += 1;
    this.#classes[CallTimes.SIZE - 1]! += ms;
  }
}

export class ProxyFigures {
  /** Counters of this thread and of the others. */
  readonly #memories: Float64Array[] = [new Float64Array(CallTimes.SIZE)];
  readonly #times = new CallTimes(this.#memories[0]!);
  #lost = 0;
  readonly #adopted = { primary: 0, secondary: 0 };

  /** ms: from the arrival of a call at the proxy to its reply. */
  answered(ms: number): void {
    this.#times.answered(ms);
  }

  /** memory: of the CallTimes of another thread. */
  include(memory: Float64Array): void {
    this.#memories.push(memory);
  }

  /** A connection to a server was lost. */
  lost(): void {
    this.#lost += 1;
  }

  /** A serving port was found. */
  adopted(port: 'primary' | 'secondary'): void {
    this.#adopted[port] += 1;
  }

  /** Prometheus' text format, version 0.0.4. `server`: as the URL names it. `now`: ms of performance.now(). */
  text(server: string, { connectionCount, pendingSinceMs }: ProxyState, now: number): string {
    const label = `server="${server.replace(/[\\"\n]/g, '_')}"`;
    let count = 0;
    const buckets = [...SECONDS, '+Inf'].map((bound, at) => {
      count += this.#sumOf(at);
      return `filerpair_client_call_seconds_bucket{${label},le="${bound}"} ${count}`;
    });
    const waitedSeconds = pendingSinceMs === null ? 0 : (now - pendingSinceMs) / 1000;
    return [
      '# HELP filerpair_client_call_seconds From the arrival of a call at the proxy to its reply, failovers included. Label: server.',
      '# TYPE filerpair_client_call_seconds histogram',
      ...buckets,
      `filerpair_client_call_seconds_sum{${label}} ${this.#sumOf(CallTimes.SIZE - 1) / 1000}`,
      `filerpair_client_call_seconds_count{${label}} ${count}`,
      '# HELP filerpair_client_waiting_seconds How long the oldest unanswered call has waited; 0: none does. Label: server.',
      '# TYPE filerpair_client_waiting_seconds gauge',
      `filerpair_client_waiting_seconds{${label}} ${waitedSeconds}`,
      '# HELP filerpair_client_connections NFS clients that are connected to the proxy. Label: server.',
      '# TYPE filerpair_client_connections gauge',
      `filerpair_client_connections{${label}} ${connectionCount}`,
      '# HELP filerpair_client_losses_total Connections to a server that were lost. Label: server.',
      '# TYPE filerpair_client_losses_total counter',
      `filerpair_client_losses_total{${label}} ${this.#lost}`,
      '# HELP filerpair_client_adoptions_total Serving ports found. Labels: server, port (primary, secondary: its partner serves).',
      '# TYPE filerpair_client_adoptions_total counter',
      ...Object.entries(this.#adopted).map(
        ([port, adoptions]) => `filerpair_client_adoptions_total{${label},port="${port}"} ${adoptions}`,
      ),
      '',
    ].join('\n');
  }

  #sumOf(at: number): number {
    return this.#memories.reduce((sum, memory) => sum + memory[at]!, 0);
  }
}
