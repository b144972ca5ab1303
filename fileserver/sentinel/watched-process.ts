/** One registered server process, from its registration to its end. */

import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { type Incarnation, serverOf } from '../../pair/incarnation.ts';
import type { Holding } from '../../pair/messages.ts';
import { peerPid } from '../system/peer-process.ts';
import { Pidfd } from '../system/pidfd.ts';
import { inBackground, nextTurn } from '../system/turns.ts';
import { readLinesOfServer, type ToSentinel, writeLine } from './lines.ts';

// Why the pidfd is surely of the process that registered, although pids are used again: the kernel recorded the pid N of the
// process P that connected, when it connected. We open a pidfd of N and only then send a random token, which comes back over the
// same connection. The process that answered held the connection's other end after the pidfd was opened; nobody but P has it
// (descriptors are close-on-exec and never passed on). So P was alive before and after the pidfd was opened, N was P's all the
// time in between, and the pidfd names P. Without the answer nothing is ever reported: a sentinel that watched the wrong process
// would declare a living server dead.

/** Ms to read what the process said last, after it has ended. The kernel has it all by then. */
const LAST_WORDS_MS = 20;

/** Live: the newest holdings that the process has said. */
export interface WatchedProcess {
  readonly pid: number;
  readonly incarnation: Incarnation;
  readonly holdings: readonly Holding[];
}

export interface RegistrationEvents {
  /** The process has proved itself: from now on it is watched. */
  readonly watching: (watched: WatchedProcess) => void;
  /** Every thread of it has exited. */
  readonly exited: (watched: WatchedProcess) => void;
  /** It was not, or cannot be watched; the reason went to it as well. */
  readonly refused: (reason: string) => void;
}

/** Serves one connection of the sentinel's socket. `server`: the name whose incarnations may register. */
export function serveRegistration(socket: Socket, server: string, events: RegistrationEvents): void {
  const registration = new Registration(socket, server, events);
  readLinesOfServer(socket, (message) => registration.receive(message));
  socket.on('error', () => {
    // 'close' follows.
  });
  socket.on('close', () => registration.connectionEnded());
}

class Registration implements WatchedProcess {
  readonly #socket: Socket;
  readonly #server: string;
  readonly #events: RegistrationEvents;
  readonly #closed = Promise.withResolvers<void>();
  readonly #token = randomBytes(16).toString('hex');
  #named: Incarnation | null = null;
  #pidfd: Pidfd | null = null;
  #proved = false;
  #said: readonly Holding[] = [];

  constructor(socket: Socket, server: string, events: RegistrationEvents) {
    this.#socket = socket;
    this.#server = server;
    this.#events = events;
  }

  get pid(): number {
    return this.#pidfd!.pid;
  }

  get incarnation(): Incarnation {
    return this.#named!;
  }

  get holdings(): readonly Holding[] {
    return this.#said;
  }

  receive(message: ToSentinel): void {
    const objection = this.#take(message);
    if (objection === null) return;
    writeLine(this.#socket, { kind: 'refused', reason: objection });
    this.#socket.end();
    this.#events.refused(objection);
  }

  /** The connection is no life line: a process may lose it and live. Only an unproved one is forgotten. */
  connectionEnded(): void {
    this.#closed.resolve();
    if (!this.#proved) this.#pidfd?.close();
  }

  /** Null, or why the process cannot be watched. */
  #take(message: ToSentinel): string | null {
    switch (message.kind) {
      case 'register':
        return this.#register(message.incarnation);
      case 'proof':
        return this.#prove(message.token, message.holdings);
      case 'holdings':
        if (!this.#proved) return 'it speaks before it has proved itself';
        this.#said = message.holdings;
        return null;
    }
  }

  #register(incarnation: Incarnation): string | null {
    if (this.#pidfd !== null) return 'registered already on this connection';
    if (serverOf(incarnation) !== this.#server) {
      return `${incarnation} is no incarnation of ${this.#server}: do both use the same configuration?`;
    }
    try {
      const pid = peerPid(this.#socket);
      if (pid === 0) {
        return 'the server lives in another PID namespace: share it (shareProcessNamespace: true in the pod)';
      }
      this.#pidfd = new Pidfd(pid);
    } catch (error) {
      return (error as Error).message;
    }
    this.#named = incarnation;
    writeLine(this.#socket, { kind: 'prove', token: this.#token });
    return null;
  }

  #prove(token: string, holdings: readonly Holding[]): string | null {
    if (this.#pidfd === null || this.#proved || token !== this.#token) {
      return 'it did not prove that it is the process that registered';
    }
    this.#proved = true;
    this.#said = holdings;
    writeLine(this.#socket, { kind: 'watching', pid: this.#pidfd.pid });
    this.#events.watching(this);
    inBackground(this.#awaitExit(this.#pidfd));
    return null;
  }

  async #awaitExit(pidfd: Pidfd): Promise<void> {
    // Closed before that: nothing is known of its end.
    if (!(await pidfd.exit())) return;
    pidfd.close();
    // Its last words may wait unread in the socket: an epoch that it took a moment before.
    // If this process itself was held up, timers come before what can be read, immediates after.
    const patience = new Promise<void>((resolve) => {
      setTimeout(() => nextTurn(resolve), LAST_WORDS_MS);
    });
    await Promise.race([this.#closed.promise, patience]);
    this.#events.exited(this);
  }
}
