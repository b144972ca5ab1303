/** Keeps connection requests waiting while the proxy takes none: listens at the proxy's address, and does nothing else. */
import { createServer } from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';

// Node has no way to stop a listener from accepting, only to end it, and then requests are refused, for which the Linux
// kernel's NFS client waits for seconds or minutes. So this thread opens a socket of its own at the same address
// (SO_REUSEPORT), the proxy closes its own, and as long as this thread sleeps nobody accepts: requests wait in the
// socket's queue. When it closes the socket they are reset, and such a client connects again at once.

export interface Parking {
  /** One word, which counts how often the thread was told to let go. */
  readonly signal: Int32Array;
}

export interface ParkRequest {
  /** An address, not a name. */
  readonly host: string;
  readonly port: number;
  /** Requests wait while the signal has this value. */
  readonly whileSignal: number;
}

/** Message of the thread: null when it is ready, at first, and when requests wait, later; or why they cannot. */
export type Parked = string | null;

const { signal } = workerData as Parking;
const port = parentPort!;

port.on('message', ({ host, port: number, whileSignal }: ParkRequest) => {
  const server = createServer();
  const say = (parked: Parked) => port.postMessage(parked);
  server.on('error', (error) => {
    server.close();
    say(error.message);
  });
  server.listen({ host, port: number, reusePort: true }, () => {
    say(null);
    // Before the event loop looks at the socket for the first time.
    Atomics.wait(signal, 0, whileSignal);
    server.close();
  });
});
port.postMessage(null satisfies Parked);
