/** A listening socket that can stop accepting without refusing anybody. */
import { createServer, type ListenOptions, type Server, type Socket } from 'node:net';
import { Worker } from 'node:worker_threads';
import type { Parked, Parking, ParkRequest } from './parking-thread.ts';

// Node has no way to stop a listener from accepting, only to close it, and then requests are refused. Where there are raw system
// calls, the socket is kept open under another descriptor meanwhile: requests wait in its queue. Elsewhere a thread keeps a second
// socket at the same address (parking-thread.ts).

/** Descriptors of this process. */
export interface DescriptorCalls {
  /** Another descriptor of the same socket. */
  duplicate(fd: number): number;
  close(fd: number): void;
}

/** Connections that are in the queue when the listener is about to close are accepted first, for this time at most. Ms. */
const DRAIN_MS = 1000;

export interface ListenerHandlers {
  /** The socket is paused. */
  readonly accept: (socket: Socket) => void;
  /** After pause() or resume(), when it has been done. */
  readonly changed: (state: 'open' | 'paused') => void;
}

export class Listener {
  readonly #accept: (socket: Socket) => void;
  readonly #changed: (state: 'open' | 'paused') => void;
  readonly #host: string;
  readonly #backlog: number;
  /** Null while requests wait, and after close(). */
  #server: Server | null;
  #portNumber = 0;
  #starting: Promise<Worker | null> | null = null;
  readonly #signal = new Int32Array(new SharedArrayBuffer(4));
  #wanted: 'open' | 'paused' = 'open';
  #settling: Promise<void> | null = null;
  #closed = false;
  #acceptedCount = 0;
  readonly #calls: DescriptorCalls | null;
  /** The socket while nobody accepts; null: it is not kept so. */
  #kept: number | null = null;

  private constructor(
    host: string,
    backlog: number,
    calls: DescriptorCalls | null,
    { accept, changed }: ListenerHandlers,
  ) {
    this.#calls = calls;
    this.#host = host;
    this.#backlog = backlog;
    this.#accept = accept;
    this.#changed = changed;
    this.#server = null;
  }

  /**
   * Rejects with the system's error if the port cannot be had. Port 0: any free one. `backlog`: connections in the queue at most;
   * beyond them the client's kernel repeats requests.
   */
  static async listen(
    host: string,
    port: number,
    backlog: number,
    calls: DescriptorCalls | null,
    handlers: ListenerHandlers,
  ): Promise<Listener> {
    const listener = new Listener(host, backlog, calls, handlers);
    // Without SO_REUSEPORT first: another proxy at this address must be an error.
    const first = await listener.#open({ host, port });
    const address = first.address();
    if (address === null || typeof address === 'string') throw new Error('not a TCP address');
    listener.#portNumber = address.port;
    if (calls !== null) {
      listener.#server = first;
      return listener;
    }
    first.close();
    // Clients may come all at once, and then there would be no time.
    await listener.#thread();
    listener.#server = await listener.#open({ host, port: address.port, reusePort: true });
    return listener;
  }

  get port(): number {
    return this.#portNumber;
  }

  /** The thread that a pause needs. It takes time and file descriptors to start. Null: there is none to be had. */
  #thread(): Promise<Worker | null> {
    this.#starting ??= new Promise<Worker | null>((resolve) => {
      const workerData: Parking = { signal: this.#signal };
      const worker = new Worker(new URL('./parking-thread.ts', import.meta.url), { workerData });
      worker.once('message', () => {
        // From now on it is no reason for the process to go on.
        worker.unref();
        resolve(worker);
      });
      const failed = () => {
        this.#starting = null;
        resolve(null);
      };
      worker.on('error', failed);
      worker.on('exit', failed);
    });
    return this.#starting;
  }

  /** From soon on no connection is accepted; requests wait. May have to be said again if there was no thread to be had. */
  pause(): void {
    this.#wanted = 'paused';
    this.#settle();
  }

  resume(): void {
    this.#wanted = 'open';
    this.#settle();
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#settling;
    this.#release();
    const server = this.#server;
    this.#server = null;
    if (server !== null) await closing(server);
    if (this.#kept !== null) this.#calls?.close(this.#kept);
    await (await this.#starting)?.terminate();
  }

  /** One change at a time, until all is as it is wanted. */
  #settle(): void {
    this.#settling ??= this.#change().finally(() => {
      this.#settling = null;
    });
  }

  async #change(): Promise<void> {
    while (!this.#closed) {
      const paused = this.#server === null;
      if (paused === (this.#wanted === 'paused')) return;
      if (paused) await this.#reopen();
      else if (!(await this.#park())) return;
    }
  }

  async #reopen(): Promise<void> {
    const fd = this.#kept;
    this.#kept = null;
    this.#server = await this.#open(
      fd === null ? { host: this.#host, port: this.#portNumber, reusePort: true } : { fd },
    );
    this.#release();
    this.#changed('open');
  }

  /** False: it is not possible, and connections go on being accepted. */
  async #park(): Promise<boolean> {
    if (this.#calls !== null) return this.#keep(this.#calls);
    const worker = await this.#thread();
    const server = this.#server;
    if (server === null || worker === null) return false;
    const whileSignal = Atomics.load(this.#signal, 0);
    const request: ParkRequest = { host: this.#host, port: this.#portNumber, whileSignal };
    const parked = await new Promise<Parked>((resolve) => {
      const ended = () => resolve('the thread ended');
      worker.once('message', (answer: Parked) => {
        worker.removeListener('exit', ended);
        resolve(answer);
      });
      worker.once('exit', ended);
      worker.postMessage(request);
    });
    if (parked !== null) return false;
    await this.#drained();
    this.#server = null;
    // Its connections go on; only their end would end the close.
    server.close();
    this.#changed('paused');
    return true;
  }

  #keep(calls: DescriptorCalls): boolean {
    const server = this.#server as (Server & { readonly _handle: { readonly fd: number } }) | null;
    if (server === null) return false;
    this.#kept = calls.duplicate(server._handle.fd);
    this.#server = null;
    // Its connections go on; only their end would end the close.
    server.close();
    this.#changed('paused');
    return true;
  }

  /** A connection that is still in the queue of a closed socket would be reset. */
  async #drained(): Promise<void> {
    const endMs = performance.now() + DRAIN_MS;
    let before = -1;
    while (before !== this.#acceptedCount && performance.now() < endMs) {
      before = this.#acceptedCount;
      for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** Lets the parking thread close its socket. */
  #release(): void {
    Atomics.add(this.#signal, 0, 1);
    Atomics.notify(this.#signal, 0);
  }

  #open(where: ListenOptions | { readonly fd: number }): Promise<Server> {
    // The thread that gets the socket reads from it; this one must not.
    const server = createServer({ pauseOnConnect: true }, (socket) => {
      this.#acceptedCount += 1;
      this.#accept(socket);
    });
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen({ ...where, backlog: this.#backlog } as ListenOptions, () => {
        server.removeListener('error', reject);
        resolve(server);
      });
    });
  }
}

function closing(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}
