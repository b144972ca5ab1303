/**
 * One authenticated connection of the interconnect: the handshake of protocol/interconnect.ts on a socket, then messages, and
 * pings where nothing else is said. It ends as soon as the other side has been silent for too long.
 */

import { randomBytes, type X509Certificate } from 'node:crypto';
import type { Socket } from 'node:net';
import { type InterconnectMessage, parseMessage } from '../../pair/messages.ts';
import {
  accept,
  continueHandshake,
  dial,
  FRAME_MAX,
  FrameReader,
  HANDSHAKE_FRAME_MAX,
  type Handshake,
  type HandshakeResult,
  type InterconnectIdentity,
  type Session,
} from '../../protocol/interconnect.ts';
import type { Log } from '../logging/log.ts';
import { nextTurn, repeat } from '../system/turns.ts';
import type { CredentialSource } from './credentials.ts';
import { interconnectCrypto } from './crypto.ts';
import type { SecureEnd } from './tls.ts';

//   TLS established --handshake--> established --silence, error, bad frame, close()--> closed
//
// The end of a connection is information and no proof: the partner may be alive behind a cut cable.

/** Ms for everything from the accepted connection to the last proof. Strangers, and partners whose process is stopped, do not get further. */
export const HANDSHAKE_MS = 1000;
/** Bytes that the kernel has not taken yet: heartbeats for minutes. The other side does not read; start anew. */
const UNSENT_MAX = 64 * 1024;

export interface ConnectionTiming {
  /** A ping after this many ms in which nothing else was sent. */
  readonly pingMs: number;
  /** The connection is given up after this many ms in which nothing was received. */
  readonly silenceMs: number;
}

/** Fast enough that a connection which was cut and healed again is replaced well within the lease. */
export function connectionTiming(pair: {
  readonly leaseMs: number;
  readonly heartbeatMs: number;
}): ConnectionTiming {
  return { pingMs: pair.heartbeatMs, silenceMs: Math.max(4 * pair.heartbeatMs, pair.leaseMs / 2) };
}

export interface ConnectionEvents {
  readonly message: (message: InterconnectMessage, connection: InterconnectConnection) => void;
  /** Once. `reason` is for the log. */
  readonly closed: (reason: string, connection: InterconnectConnection) => void;
}

/** Options of the listening and the dialling end. */
export interface EndOptions {
  readonly host: string;
  readonly port: number;
  readonly credentials: CredentialSource;
  readonly identity: InterconnectIdentity;
  /** Name of the server at the other end. Its sentinel may connect, too. */
  readonly partner: string;
  readonly timing: ConnectionTiming;
  readonly events: ConnectionEvents;
  readonly established: (connection: InterconnectConnection) => void;
  readonly log: Log;
}

export class InterconnectConnection {
  readonly peer: InterconnectIdentity;
  /** The partner's certificate. */
  readonly shown: X509Certificate;
  /** For the log: address and port of the other side. */
  readonly remote: string;
  readonly #socket: Socket;
  readonly #session: Session;
  readonly #timing: ConnectionTiming;
  readonly #events: ConnectionEvents;
  readonly #reader: FrameReader;
  readonly #watchdog: NodeJS.Timeout;
  #checkedAt: number;
  #heardAt: number;
  #saidAt: number;
  #open = true;
  #ending = false;

  /** Takes over the socket and all its listeners. */
  constructor(established: Established, timing: ConnectionTiming, events: ConnectionEvents) {
    const { socket } = established;
    this.peer = established.peer;
    this.shown = established.shown;
    this.#session = established.session;
    this.#reader = established.reader;
    this.remote = remoteOf(socket);
    this.#socket = socket;
    this.#timing = timing;
    this.#events = events;
    const now = performance.now();
    this.#checkedAt = now;
    this.#heardAt = now;
    this.#saidAt = now;
    this.#watchdog = repeat(() => this.#check(), timing.pingMs);
    socket.on('data', (bytes) => this.#receive(bytes));
    socket.on('error', (error) => this.close(error.message));
    socket.on('close', () => this.close(this.#ending ? 'closed by this side' : 'closed by the other side'));
  }

  /** Reads on, first what arrived together with the end of the handshake. To be called once, after construction. */
  start(): void {
    this.#drain();
    this.#socket.resume();
  }

  /** When something was heard last, ms on performance.now(). */
  get lastHeardAt(): number {
    return this.#heardAt;
  }

  /** False: it ends, and takes no messages any more. */
  get takesMessages(): boolean {
    return this.#open && !this.#ending;
  }

  /** Hands the message to the kernel, or loses it without notice if the connection has ended. */
  send(message: InterconnectMessage): void {
    if (!this.takesMessages) return;
    this.#saidAt = performance.now();
    this.#socket.write(this.#session.seal(message));
    if (this.#socket.writableLength > UNSENT_MAX) this.close('the other side does not read');
  }

  /** Ends the connection at once. */
  close(reason: string): void {
    if (!this.#open) return;
    this.#open = false;
    clearInterval(this.#watchdog);
    this.#socket.destroy();
    this.#events.closed(reason, this);
  }

  /**
   * Ends the connection after the other side has read all that was sent, or after `ms`. Closing the socket earlier would
   * not do: if something of the other side's arrives then, TCP resets the connection, and what it has not read is lost.
   */
  async finish(ms: number): Promise<void> {
    if (!this.#open) return;
    this.#ending = true;
    const ended = new Promise((resolve) => this.#socket.once('close', resolve));
    const timer = setTimeout(() => this.close('closed by this side'), ms);
    this.#socket.end();
    await ended;
    clearTimeout(timer);
  }

  #receive(bytes: Buffer): void {
    this.#heardAt = performance.now();
    this.#reader.push(bytes);
    this.#drain();
  }

  #drain(): void {
    while (this.#open) {
      const payload = this.#reader.next();
      if (payload === null) break;
      const opened = payload === 'tooLong' ? undefined : this.#session.open(payload);
      if (opened === undefined) {
        this.close('it sent a frame that was too long, out of order or changed on its way');
        break;
      }
      const message = parseMessage(opened);
      if (message !== null && message.kind !== 'ping') this.#events.message(message, this);
    }
  }

  #check(): void {
    const now = performance.now();
    // If this process itself did not run, what the other side said may wait unread: listen first.
    const stalled = now - this.#checkedAt > this.#timing.pingMs * 2;
    this.#checkedAt = now;
    if (!stalled && now - this.#heardAt > this.#timing.silenceMs) {
      this.close(`silent for ${Math.round(now - this.#heardAt)} ms`);
    } else if (now - this.#saidAt >= this.#timing.pingMs * 0.9) {
      this.send({ kind: 'ping' });
    }
  }
}

/** Result of a handshake. */
export interface Established {
  readonly socket: Socket;
  readonly shown: X509Certificate;
  readonly peer: InterconnectIdentity;
  readonly session: Session;
  /** May hold what came in after the handshake. */
  readonly reader: FrameReader;
}

/**
 * Performs the handshake inside a TLS session. On failure the socket is destroyed and the error says why; on
 * success nobody listens to the socket any more and it is paused, until an InterconnectConnection takes it.
 */
export function authenticate(
  { socket, secret, shown }: SecureEnd,
  side: 'dialer' | 'acceptor',
  identity: InterconnectIdentity,
  withinMs: number,
): Promise<Established> {
  return new Promise((resolve, reject) => {
    const reader = new FrameReader(HANDSHAKE_FRAME_MAX);
    let state: Handshake;
    let settled = false;
    // If this process itself was held up, the proof may wait unread: timers come before it, immediates after.
    const late = (): void => {
      if (!settled) fail(`no proof within ${Math.round(withinMs)} ms`);
    };
    const timer = setTimeout(() => nextTurn(late), withinMs);
    const release = (): void => {
      settled = true;
      clearTimeout(timer);
      socket.off('data', receive).off('error', onError).off('close', onClose);
    };
    const fail = (reason: string): void => {
      release();
      // An error may still come while it is being destroyed; it must not be thrown.
      socket.on('error', () => {});
      socket.destroy();
      reject(new Error(reason));
    };
    const onError = (error: Error): void => fail(error.message);
    const onClose = (): void => fail('it closed the connection during the handshake');
    const receive = (bytes: Buffer): void => {
      reader.push(bytes);
      for (let payload = reader.next(); payload !== null; payload = reader.next()) {
        if (advance(payload) !== 'more') break;
      }
    };
    const advance = (payload: Uint8Array | 'tooLong'): 'more' | 'over' => {
      const result: HandshakeResult =
        payload === 'tooLong'
          ? { kind: 'failed', reason: 'it sends no valid handshake' }
          : continueHandshake(state, payload);
      if (result.kind === 'failed') {
        fail(result.reason);
        return 'over';
      }
      if (result.send !== null) socket.write(result.send);
      if (result.kind === 'more') {
        state = result.state;
        return 'more';
      }
      release();
      socket.pause();
      reader.setPayloadMax(FRAME_MAX);
      resolve({ socket, shown, peer: result.peer, session: result.session, reader });
      return 'over';
    };
    socket.on('data', receive).on('error', onError).on('close', onClose);
    const nonce = randomBytes(32);
    if (side === 'acceptor') {
      state = accept(interconnectCrypto, secret, identity, nonce);
    } else {
      const started = dial(interconnectCrypto, secret, identity, nonce);
      state = started.state;
      socket.write(started.send);
    }
  });
}

export function remoteOf(socket: Socket): string {
  return `${socket.remoteAddress ?? 'unknown'}:${socket.remotePort ?? 0}`;
}
