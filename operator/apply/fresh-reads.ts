/**
 * Reads past the caches, shared by all callers that ask for the same one at the same time. When a node dies, many pairs want to
 * know where all pods and attachments are, and what the Node says, each before it mounts its own disks. One read for each of
 * them would be most of the API server's work at that moment.
 */

// No caller gets the result of a read that had begun before it asked: it waits for the next one, together with all others that ask
// meanwhile.

export class FreshReads {
  readonly #running = new Map<string, Promise<unknown>>();
  readonly #next = new Map<string, Promise<unknown>>();

  /**
   * @param what names the read: the same name, the same read.
   * @param read does it, and ends at some time. A rejection reaches all callers that share it.
   */
  ask<T>(what: string, read: () => Promise<T>): Promise<T> {
    const shared = this.#next.get(what);
    if (shared !== undefined) return shared as Promise<T>;
    const running = this.#running.get(what);
    if (running === undefined) return this.#begin(what, read);
    const begin = (): Promise<T> => this.#begin(what, read);
    const next = running.then(begin, begin);
    this.#next.set(what, next);
    return next;
  }

  #begin<T>(what: string, read: () => Promise<T>): Promise<T> {
    this.#next.delete(what);
    const running = read();
    this.#running.set(what, running);
    const ended = (): void => {
      if (this.#running.get(what) === running) this.#running.delete(what);
    };
    running.then(ended, ended);
    return running;
  }
}
