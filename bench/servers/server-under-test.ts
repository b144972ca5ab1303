/** What the comparison needs of a server: where it listens, which process to watch, how to stop it. */

import { connect } from 'node:net';
import { setTimeout as elapsed } from 'node:timers/promises';

export interface ServerUnderTest {
  /** Key in the figures. */
  name: 'filerpair' | 'ganesha' | 'other revision';
  /** For people: name and version. */
  title: string;
  host: string;
  port: number;
  mountPort: number;
  exportPath: string;
  pid: number;
  /** Ends the processes that were started for it, and waits until they have gone. */
  stop(): Promise<void>;
}

/** What a client has to know of it. */
export function addressOf({ host, port, mountPort, exportPath }: ServerUnderTest) {
  return { host, port, mountPort, exportPath };
}

const POLL_MS = 20;

/** Waits until something accepts connections there. Error: it does not within the time, or `gone` says why. */
export async function waitForPort(
  host: string,
  port: number,
  timeoutMs: number,
  gone: () => string | null,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await accepts(host, port))) {
    const reason = gone();
    if (reason !== null) throw new Error(reason);
    if (performance.now() > deadline)
      throw new Error(`nothing listens on port ${port} after ${timeoutMs} ms`);
    await elapsed(POLL_MS);
  }
}

function accepts(host: string, port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect({ host, port });
  socket.on('connect', () => {
    socket.destroy();
    resolve(true);
  });
  socket.on('error', () => resolve(false));
  return promise;
}
