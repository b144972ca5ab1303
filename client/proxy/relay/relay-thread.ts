/**
 * A thread that relays: it receives, keeps and sends the calls of its clients with raw system calls, and waits for nothing but
 * its own poller. The proxy's first thread accepts clients and finds the servers.
 */
import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { DiskSetIdentity } from '../../disk-set-identity.ts';
import type { Timed } from '../../event-loop-clock.ts';
import { ReservedPorts } from '../../reserved-ports.ts';
import type { ServingPlace } from '../../serving-port/serving-port.ts';
import { CallMemory } from '../call-memory.ts';
import { compactHeap } from '../compact-heap.ts';
import { CallTimes } from '../proxy-figures.ts';
import { CallSlabs } from './call-slabs.ts';
import type { FromRelayThread, RelaySetup, ToRelayThread } from './messages.ts';
import { Pipes } from './pipes.ts';
import { Poller } from './poller.ts';
import { RelayedClient, type RelaySurroundings } from './relayed-client.ts';
import { replyMemory } from './reply-stream.ts';
import { clearWakeUp, EPOLLIN } from './system-calls.ts';

/** Memory that nobody has used for so long is given back to the kernel. Ms. */
const TRIM_MS = 1000;

class RelayThread {
  readonly #port: MessagePort;
  readonly #stop: Int32Array;
  readonly #poller: Poller;
  readonly #surroundings: RelaySurroundings;
  readonly #ports: ReservedPorts;
  readonly #clients = new Map<number, RelayedClient>();
  readonly #trim: Timed;
  #place: ServingPlace | null = null;
  #upstreams = 0;
  /** Uses of the slabs when the trimming was put off last. */
  #usesBefore = 0;
  #isCompact = false;

  constructor(port: MessagePort, setup: RelaySetup) {
    this.#port = port;
    this.#stop = setup.stop;
    const ahead = performance.timeOrigin - setup.timeOrigin;
    this.#poller = new Poller(() => performance.now() + ahead);
    const post = (message: FromRelayThread): void => port.postMessage(message);
    this.#surroundings = {
      poller: this.#poller,
      slabs: new CallSlabs(() => {
        for (const client of this.#clients.values()) client.moveCalls();
      }),
      pipes: new Pipes(setup.pipesMax),
      scratch: replyMemory(),
      memory: new CallMemory(setup.memory.ofOne, setup.memory.ofAll),
      identity: new DiskSetIdentity(),
      clientIdentity: setup.clientIdentity,
      attempts: setup.attempts,
      figures: setup.figures,
      callTimes: new CallTimes(setup.callTimes),
      mayConnect: () => this.#clients.size + this.#upstreams < setup.socketsMax,
      counted: (change) => {
        this.#upstreams += change;
      },
      post,
    };
    this.#ports = new ReservedPorts((reason) => post({ kind: 'NoReservedPorts', reason }));
    this.#trim = { dueAtMs: Number.POSITIVE_INFINITY, onDue: () => this.#trimMemory() };
    this.#poller.add(setup.wakeUp, EPOLLIN, {
      onReady: () => {
        clearWakeUp(setup.wakeUp);
        this.#handleMessages();
      },
    });
  }

  run(): void {
    const { slabs } = this.#surroundings;
    while (Atomics.load(this.#stop, 0) === 0) {
      this.#poller.turn();
      if (this.#trim.dueAtMs === Number.POSITIVE_INFINITY && slabs.isTrimmable) this.#trimLater();
    }
    for (const client of [...this.#clients.values()]) client.end('the proxy ends');
  }

  #handleMessages(): void {
    for (;;) {
      const received = receiveMessageOnPort(this.#port) as { message: ToRelayThread } | undefined;
      if (received === undefined) return;
      this.#handle(received.message);
    }
  }

  #handle(message: ToRelayThread): void {
    switch (message.kind) {
      case 'Client': {
        const { id, fd, slot, reserved } = message;
        const ports = reserved ? this.#ports : null;
        const client = new RelayedClient(id, fd, slot, ports, this.#surroundings, (_, reason) => {
          this.#clients.delete(id);
          this.#surroundings.post({ kind: 'Ended', id, reason });
        });
        this.#clients.set(id, client);
        client.move(this.#place);
        break;
      }
      case 'End':
        this.#clients.get(message.id)?.end('');
        break;
      case 'Place':
        this.#surroundings.identity.know(message.known);
        this.#place = message.place;
        for (const client of [...this.#clients.values()]) client.move(message.place);
        break;
    }
  }

  #trimLater(): void {
    this.#usesBefore = this.#surroundings.slabs.uses;
    this.#poller.callAt(this.#trim, this.#poller.now + TRIM_MS);
  }

  #trimMemory(): void {
    const { slabs } = this.#surroundings;
    if (!slabs.isTrimmable || slabs.uses !== this.#usesBefore) return;
    slabs.trim();
    if (!this.#isCompact) compactHeap();
    this.#isCompact = true;
  }
}

new RelayThread(parentPort!, workerData as RelaySetup).run();
