/**
 * The first step of a connection of the interconnect: by certificate or by shared key, whatever both sides can do. A
 * dialer tries certificates first. An acceptor sees from the first byte which of the two comes, on one port: so servers
 * of the version before certificates and of this one work together while a pair is upgraded server by server.
 */

import type { Socket } from 'node:net';
import { nextTurn } from '../system/turns.ts';
import type { Credentials } from './credentials.ts';
import { acceptTls, dialTls, type RecognizedBy, TLS_HANDSHAKE_BYTE } from './tls.ts';

/** A connection on which identities can be proved (connection.ts), with what proves them. */
export interface Recognized {
  readonly socket: Socket;
  readonly secret: Uint8Array;
  readonly recognizedBy: RecognizedBy;
}

export type Way = 'certificate' | 'key';

/** In the order in which a dialer tries them; empty: it has nothing to prove itself with. */
export function waysOf({ tls, sharedKey }: Credentials): Way[] {
  return [...(tls === null ? [] : ['certificate' as const]), ...(sharedKey === null ? [] : ['key' as const])];
}

/** As the dialer, on a connected socket. Destroys it on failure. `withinMs` bounds the whole step. */
export async function recognizeAcceptor(
  socket: Socket,
  way: Way,
  { tls, sharedKey }: Credentials,
  withinMs: number,
): Promise<Recognized> {
  if (way === 'key') return { socket, secret: sharedKey!, recognizedBy: { kind: 'key' } };
  return inTime(socket, withinMs, () => dialTls(socket, tls!));
}

/** As the acceptor, on a socket of which nothing has been read. Destroys it on failure. */
export async function recognizeDialer(
  socket: Socket,
  { tls, sharedKey, problem }: Credentials,
  withinMs: number,
): Promise<Recognized> {
  return inTime(socket, withinMs, async () => {
    const first = await firstBytes(socket);
    socket.unshift(first);
    if (first[0] === TLS_HANDSHAKE_BYTE) {
      if (tls !== null) return acceptTls(socket, tls);
      throw refusal(
        socket,
        problem ?? 'it wants to show a certificate, and this server has only a shared key',
      );
    }
    if (sharedKey !== null) return { socket, secret: sharedKey, recognizedBy: { kind: 'key' } };
    throw refusal(socket, problem ?? 'it does not speak TLS, and only certificates count here');
  });
}

function firstBytes(socket: Socket): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const done = (): void => {
      socket.off('readable', readable).off('error', failed).off('close', closed);
    };
    const readable = (): void => {
      const bytes = socket.read() as Buffer | null;
      if (bytes === null) return;
      done();
      resolve(bytes);
    };
    const failed = (error: Error): void => {
      done();
      socket.on('error', () => {});
      reject(error);
    };
    const closed = (): void => failed(new Error('it closed the connection without a word'));
    socket.on('readable', readable).on('error', failed).on('close', closed);
  });
}

async function inTime<T>(socket: Socket, ms: number, work: () => Promise<T>): Promise<T> {
  let late = false;
  const giveUp = (): void => {
    late = true;
    socket.destroy();
  };
  // If this process itself was held up, the answer may wait unread: timers come before it, immediates after.
  const timer = setTimeout(() => nextTurn(giveUp), ms);
  try {
    return await work();
  } catch (error) {
    throw late ? new Error(`no proof within ${Math.round(ms)} ms`) : error;
  } finally {
    clearTimeout(timer);
  }
}

function refusal(socket: Socket, reason: string): Error {
  socket.on('error', () => {});
  socket.destroy();
  return new Error(reason);
}
