/**
 * Clients of one server behind one link with a bandwidth, in both directions: the client's real decisions (client/attempts.ts,
 * client/resend-window.ts) with a driver like client/failover-connection.ts around them. Nothing fails; the link and the server's
 * disk are only slower than the clients' patience. What is asked is what the link carries for it.
 */

import { ATTEMPTS_DEFAULTS } from '../client/attempts-state.ts';
import {
  admits,
  afterAnswer,
  afterFruitless,
  OPEN_WINDOW,
  type ResendWindow,
} from '../client/resend-window.ts';
import { AttemptsDriver } from './attempts-driver.ts';
import { EventQueue } from './event-queue.ts';

// The link carries one segment at a time, of one connection after the other (fair queueing). What a client sends goes to its
// kernel's buffer as far as there is room. What is in there, or at the server, is lost with the connection, and what the link has
// carried of it was carried for nothing.

const KIB = 1024;
const SEGMENT = 16 * KIB;
const SMALL = 200;
const RTT_MS = 1;
/** As client/failover-connection.ts has them. */
const SENT_INTERVAL_MS = 100;
const STUCK_MS = 60_000;

/** Faults of a client, for showing that the test sees them. */
export type LinkFault =
  /** All that is unanswered goes out at once, whatever came of it the last time. */
  | 'noResendWindow'
  /** Bytes that could be sent, and a part of an answer, are no response. */
  | 'bytesAreNoLife'
  /** Patience is what it was, however often a connection was replaced in vain. */
  | 'patienceKept';

export interface LinkOptions {
  readonly clients: number;
  /** Calls of each client, and how many it has under way at most. */
  readonly calls: number;
  readonly underWayMax: number;
  /** Bytes of a call and of its answer: one of them is large. */
  readonly callSize: number;
  readonly answerSize: number;
  readonly bytesPerSecond: number;
  /** Bytes that a client's kernel takes before it has sent them. */
  readonly socketBuffer: number;
  /** Time of the server's disk for each call, one after the other. */
  readonly diskMs: number;
  readonly fault?: LinkFault | null;
}

export interface LinkOutcome {
  /** Calls that were answered. */
  readonly answered: number;
  /** Bytes that the link has carried, both ways, and those that had to be. */
  readonly carried: number;
  readonly data: number;
  /** Until the last answer. */
  readonly ms: number;
  /** Calls that the server has executed, again or for the first time. */
  readonly executed: number;
}

interface Message {
  size: number;
  /** When all of it has come. */
  readonly arrived: () => void;
  /** When a part of it has. */
  readonly part?: () => void;
}

/** One direction of a connection. */
interface Flow {
  readonly messages: Message[];
  open: boolean;
}

/** One direction of the link. */
class Link {
  carried = 0;
  readonly #queue: EventQueue;
  readonly #bytesPerMs: number;
  readonly #waiting: Flow[] = [];
  #busy = false;

  constructor(queue: EventQueue, bytesPerSecond: number) {
    this.#queue = queue;
    this.#bytesPerMs = bytesPerSecond / 1000;
  }

  send(flow: Flow, message: Message): void {
    flow.messages.push(message);
    if (flow.messages.length === 1) this.#waiting.push(flow);
    this.#next();
  }

  #next(): void {
    const flow = this.#waiting.shift();
    if (this.#busy || flow === undefined) {
      if (flow !== undefined) this.#waiting.unshift(flow);
      return;
    }
    const message = flow.messages[0];
    if (!flow.open || message === undefined) {
      this.#next();
      return;
    }
    this.#busy = true;
    const size = Math.min(SEGMENT, message.size);
    this.#queue.after(size / this.#bytesPerMs, () => {
      this.#busy = false;
      this.carried += size;
      message.size -= size;
      const whole = message.size === 0;
      if (whole) flow.messages.shift();
      if (flow.messages.length > 0) this.#waiting.push(flow);
      this.#queue.after(RTT_MS / 2, () => {
        if (flow.open) (whole ? message.arrived : message.part)?.();
      });
      this.#next();
    });
  }
}

class Network {
  readonly queue = new EventQueue();
  readonly up: Link;
  readonly down: Link;
  readonly options: LinkOptions;
  executed = 0;
  /** The first is being executed. */
  readonly #calls: { readonly flow: Flow; readonly done: () => void }[] = [];

  constructor(options: LinkOptions) {
    this.options = options;
    this.up = new Link(this.queue, options.bytesPerSecond);
    this.down = new Link(this.queue, options.bytesPerSecond);
  }

  /** One after the other. What a client has given up is not begun (fileserver/callers/connection-order.ts). */
  execute(flow: Flow, done: () => void): void {
    this.#calls.push({ flow, done });
    if (this.#calls.length === 1) this.#executeNext();
  }

  #executeNext(): void {
    while (this.#calls[0]?.flow.open === false) this.#calls.shift();
    const [call] = this.#calls;
    if (call === undefined) return;
    this.queue.after(this.options.diskMs, () => {
      this.executed++;
      this.#calls.shift();
      call.done();
      this.#executeNext();
    });
  }
}

interface Connection {
  readonly up: Flow;
  readonly down: Flow;
}

interface Call {
  sentAt: number | null;
}

class Client {
  answered = 0;
  readonly #network: Network;
  readonly #driver: AttemptsDriver;
  readonly #connections = new Map<number, Connection>();
  readonly #pending = new Map<number, Call>();
  #made = 0;
  #window: ResendWindow = OPEN_WINDOW;
  #inFlight = 0;
  #stuckMs = STUCK_MS;
  #unsentBefore = 0;

  constructor(network: Network, seed: number) {
    this.#network = network;
    const { patienceMs, samePortPatienceMs } = ATTEMPTS_DEFAULTS;
    const kept = { patienceMsMax: patienceMs, samePortPatienceMsMax: samePortPatienceMs };
    const plan = { ...ATTEMPTS_DEFAULTS, ...(this.#has('patienceKept') ? kept : {}), seed };
    this.#driver = new AttemptsDriver(network.queue, plan, {
      connect: (id, role) => network.queue.after(RTT_MS, () => this.#connected(id, role)),
      ask: (id) => this.#ask(id, () => this.#driver.input({ kind: 'Answered', id, proven: true })),
      askAdopted: (id) => {
        this.#unsentBefore = this.#unsent;
        this.#ask(id, () => this.#driver.heard(false));
      },
      abandon: (id) => this.#abandon(id),
      adopt: (_, fruitless) => this.#adopt(fruitless),
    });
    this.#driver.input({ kind: 'Start' });
    this.#makeCalls();
    this.#watch();
  }

  get finished(): boolean {
    return this.answered === this.#network.options.calls;
  }

  #has(fault: LinkFault): boolean {
    return this.#network.options.fault === fault;
  }

  get #now(): number {
    return this.#network.queue.now;
  }

  #connected(id: number, role: string): void {
    if (!this.#driver.isAttempt(id)) return;
    if (role === 'secondary') {
      this.#driver.input({ kind: 'Lost', id });
      return;
    }
    const flow = (): Flow => ({ messages: [], open: true });
    this.#connections.set(id, { up: flow(), down: flow() });
    this.#driver.input({ kind: 'Connected', id });
  }

  #abandon(id: number): void {
    const connection = this.#connections.get(id);
    this.#connections.delete(id);
    if (connection !== undefined) connection.up.open = connection.down.open = false;
    if (id === this.#driver.adopted) this.#detach();
  }

  #detach(): void {
    this.#driver.adopted = null;
    this.#unsend();
  }

  #unsend(): void {
    this.#inFlight = 0;
    for (const call of this.#pending.values()) call.sentAt = null;
  }

  #adopt(fruitless: boolean): void {
    if (fruitless) this.#window = afterFruitless(this.#window, this.#inFlight, this.#now);
    if (this.#has('noResendWindow')) this.#window = OPEN_WINDOW;
    this.#unsend();
    this.#sendWaiting();
  }

  #ask(id: number, answered: () => void): void {
    const connection = this.#connections.get(id);
    if (connection === undefined) return;
    const { up, down } = this.#network;
    const arrived = (): void => {
      if (connection.down.open) down.send(connection.down, { size: SMALL, arrived: answered });
    };
    up.send(connection.up, { size: SMALL, arrived });
  }

  #makeCalls(): void {
    const { calls, underWayMax } = this.#network.options;
    while (this.#made < calls && this.#pending.size < underWayMax) {
      this.#made++;
      this.#pending.set(this.#made, { sentAt: null });
    }
    if (this.#driver.adopted === null) this.#driver.input({ kind: 'Wanted' });
    else this.#sendWaiting();
  }

  #sendWaiting(): void {
    const { callSize, answerSize } = this.#network.options;
    const connection =
      this.#driver.adopted === null ? undefined : this.#connections.get(this.#driver.adopted);
    if (connection === undefined) return;
    for (const [number, call] of this.#pending) {
      if (call.sentAt !== null) continue;
      if (!admits(this.#window, this.#inFlight, callSize)) return;
      call.sentAt = this.#now;
      this.#inFlight += callSize;
      const arrived = (): void =>
        this.#network.execute(connection.down, () => {
          if (!connection.down.open) return;
          this.#network.down.send(connection.down, {
            size: answerSize,
            arrived: () => this.#replied(number),
            part: () => this.#arriving(),
          });
        });
      this.#network.up.send(connection.up, { size: callSize, arrived });
    }
  }

  #replied(number: number): void {
    if (!this.#pending.delete(number)) return;
    const { callSize } = this.#network.options;
    this.#inFlight -= callSize;
    this.answered++;
    if (this.#pending.size === 0) this.#stuckMs = STUCK_MS;
    this.#window = afterAnswer(this.#window, callSize, this.#now);
    this.#driver.heard(true);
    this.#makeCalls();
  }

  #arriving(): void {
    if (!this.#has('bytesAreNoLife')) this.#driver.heard(false);
  }

  /** Bytes that do not fit into the kernel's buffer. */
  get #unsent(): number {
    const connection =
      this.#driver.adopted === null ? undefined : this.#connections.get(this.#driver.adopted);
    const size = connection?.up.messages.reduce((sum, message) => sum + message.size, 0) ?? 0;
    return Math.max(0, size - this.#network.options.socketBuffer);
  }

  #watch(): void {
    if (this.finished) return;
    const suspect = this.#driver.state.mode === 'suspect';
    this.#network.queue.after(suspect ? SENT_INTERVAL_MS : this.#driver.state.patienceMs, () => {
      if (this.#driver.adopted !== null && this.#pending.size > 0) this.#checkSilence();
      this.#watch();
    });
  }

  #checkSilence(): void {
    if (this.#driver.state.mode === 'suspect') {
      const before = this.#unsentBefore;
      this.#unsentBefore = this.#unsent;
      if (before > 0 && this.#unsentBefore !== before && !this.#has('bytesAreNoLife'))
        this.#driver.input({ kind: 'Sent' });
      return;
    }
    const [oldest] = this.#pending.values();
    const sentAt = oldest!.sentAt ?? this.#now;
    if (this.#now - sentAt >= this.#stuckMs) {
      this.#stuckMs *= 2;
      this.#window = afterFruitless(this.#window, this.#inFlight, this.#now);
      const id = this.#driver.adopted!;
      this.#abandon(id);
      this.#driver.input({ kind: 'Lost', id });
    } else if (this.#driver.isSilentSince(sentAt)) {
      this.#driver.input({ kind: 'Silent' });
    }
  }
}

/** Until all is answered, or for so many times as long as the link or the disk needs for it. */
export function sharedLink(options: LinkOptions, timesMax = 10): LinkOutcome {
  const network = new Network(options);
  const clients = Array.from({ length: options.clients }, (_, seed) => new Client(network, seed));
  const calls = options.clients * options.calls;
  const data = calls * (options.callSize + options.answerSize);
  const { queue } = network;
  const limit = timesMax * leastMs(options);
  while (queue.now < limit && clients.some((client) => !client.finished)) queue.runUntil(queue.now + 50);
  return {
    answered: clients.reduce((sum, client) => sum + client.answered, 0),
    carried: network.up.carried + network.down.carried,
    data,
    ms: queue.now,
    executed: network.executed,
  };
}

/** Time that link and disk need for all calls. */
export function leastMs({
  clients,
  calls,
  callSize,
  answerSize,
  bytesPerSecond,
  diskMs,
}: LinkOptions): number {
  const all = clients * calls;
  return Math.max((1000 * all * Math.max(callSize, answerSize)) / bytesPerSecond, all * diskMs);
}
