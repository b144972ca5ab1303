/**
 * A TCP relay between two servers that can be cut as a network is cut: nothing gets through any more, nothing is closed, nobody
 * is told.
 */

import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export interface Relay {
  /** Where to connect instead of `target`. */
  readonly port: number;
  /** true: from now on everything is swallowed; false: new connections work again. */
  cut(on: boolean): void;
  close(): void;
}

export async function startRelay(target: number): Promise<Relay> {
  let isCut = false;
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(target, '127.0.0.1');
    // What a connection lost during a cut stays lost: its stream has a hole, so it must never be used again.
    let broken = isCut;
    const join = (from: Socket, to: Socket): void => {
      sockets.add(from);
      from.setNoDelay(true);
      from.on('data', (bytes) => {
        broken ||= isCut;
        if (!broken) to.write(bytes);
      });
      from.on('error', () => {});
      from.on('close', () => {
        sockets.delete(from);
        broken ||= isCut;
        if (!broken) to.destroy();
      });
    };
    join(near, far);
    join(far, near);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    cut: (on) => {
      isCut = on;
    },
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
