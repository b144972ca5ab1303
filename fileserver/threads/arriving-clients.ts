/** Connections to the port of a disk set: admits them, and hands them to connection threads once the disk set is served. */
import type {
  Admission,
  ConnectionsByAddress,
  Refusal,
} from '../connection-limits/connections-by-address.ts';
import { Acceptor } from '../rpc/acceptor.ts';
import { close } from '../system/file-calls.ts';
import type { CoordinatedExports } from './coordinated-exports.ts';
import type { DataThreads } from './data-threads.ts';

/** A connection. */
interface Arrival {
  readonly fd: number;
  readonly host: string;
  readonly port: number;
  readonly number: number;
  readonly admission: Admission;
}

export class ArrivingClients {
  readonly #session: number;
  readonly #threads: DataThreads;
  readonly #exports: CoordinatedExports;
  readonly #warn: (message: string) => void;
  #acceptor: Acceptor | null;
  /** Clients that have come while the disk set was opening, in order; null: it is open. */
  #waiting: Arrival[] | null;
  /** Connections so far. */
  #accepted: number;

  constructor(
    session: number,
    threads: DataThreads,
    exports: CoordinatedExports,
    warn: (message: string) => void,
  ) {
    this.#session = session;
    this.#threads = threads;
    this.#exports = exports;
    this.#warn = warn;
    this.#acceptor = null;
    this.#waiting = [];
    this.#accepted = 0;
  }

  /**
   * Clients that look for their server connect during the replay and are answered the moment it ends, instead of with their
   * next attempt after it. The volumes are verified by then; nothing is answered before they are marked with the new epoch.
   */
  listen(host: string, port: number): Promise<number> {
    const { connections } = this.#threads;
    const acceptor = new Acceptor({
      admit: (host) => connections.admit(host, this.#exports.areFor(host)),
      onLost: (admission) => connections.leave(admission),
      onRefused: (host) => {
        const why = connections.why(host, this.#exports.areFor(host)) ?? 'full';
        this.#warn(whyRefused(host, why, connections));
      },
      onAccepted: (fd, client, clientPort, admission) => {
        const arrival = { fd, host: client, port: clientPort, number: ++this.#accepted, admission };
        if (this.#waiting === null) this.#adopt(arrival);
        else this.#waiting.push(arrival);
      },
    });
    this.#acceptor = acceptor;
    return acceptor.listen(host, port);
  }

  /** The disk set is served: those that wait, and those that come. */
  handOn(): void {
    const waiting = this.#waiting ?? [];
    this.#waiting = null;
    for (const arrival of waiting) this.#adopt(arrival);
  }

  /** Accepts no more. */
  stop(): void {
    this.#acceptor?.stop();
  }

  /** The same, and those that wait are closed. */
  refuse(): void {
    this.stop();
    for (const { fd, admission } of this.#waiting?.splice(0) ?? []) {
      close(fd);
      this.#threads.connections.leave(admission);
    }
  }

  #adopt(arrival: Arrival): void {
    const thread = this.#threads.leastLoaded();
    this.#threads.toConnectionThread(thread, { kind: 'adopt', session: this.#session, ...arrival });
  }
}

function whyRefused(host: string, why: Refusal, { total, max }: ConnectionsByAddress): string {
  switch (why) {
    case 'full':
      return `connections of clients are refused: there are ${total}, and the limit of open files (RLIMIT_NOFILE) allows ${max}; raise it, or look who opens so many`;
    case 'address':
      return `connections from ${host} are refused: it has too many of them (there are ${total} of ${max}); look what opens so many there`;
    case 'stranger':
      return `connections from ${host} are refused: it is in no export. Add it to the clients of an export, or look who connects there`;
  }
}
