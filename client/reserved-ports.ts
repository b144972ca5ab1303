/**
 * Local ports below 1024, from which servers take calls where an export asks for that (`ports: Reserved`): only root opens them.
 */

/** As the Linux kernel's NFS client has them (sunrpc.min_resvport, max_resvport). */
const FIRST = 665;
const LAST = 1023;
/** Ports tried for one connection: others may have them, or a connection of before that has just ended. */
const TRIES_MAX = 64;

export class ReservedPorts {
  readonly #onRefused: (reason: string) => void;
  #refused = false;
  #last = LAST;

  /** onRefused: once, when this process may not open such ports; it goes on with others. */
  constructor(onRefused: (reason: string) => void) {
    this.#onRefused = onRefused;
  }

  /** tries: for the present connection so far. 0: any port, as none of these is to be had. */
  next(tries: number): number {
    if (this.#refused || tries >= TRIES_MAX) return 0;
    this.#last = this.#last <= FIRST ? LAST : this.#last - 1;
    return this.#last;
  }

  /** A connection from such a port was not opened. true: with another port it may be. code: of the system error. */
  failed(code: string | undefined): boolean {
    if (code === 'EADDRINUSE' || code === 'EADDRNOTAVAIL') return true;
    if (code !== 'EACCES' && code !== 'EPERM') return false;
    if (!this.#refused) {
      this.#refused = true;
      this.#onRefused(code);
    }
    return true;
  }
}
