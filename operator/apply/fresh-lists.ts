// Lists past the caches, shared by all who ask for one at the same time. When a node dies many pairs want to know where all
// pods and all attachments are, each before it mounts its own disks; a list of its own for each would be most of what the API
// server has to do then.
//
// Nobody gets a list that had begun when he asked: who asks while one is under way waits for the next, with all others that do.

export class FreshLists {
  readonly #running = new Map<string, Promise<unknown>>();
  readonly #next = new Map<string, Promise<unknown>>();

  /**
   * @param what names the list: the same name, the same list.
   * @param list asks for it, and comes to an end at some time. Rejections reach all who share it.
   */
  ask<T>(what: string, list: () => Promise<T>): Promise<T> {
    const shared = this.#next.get(what);
    if (shared !== undefined) return shared as Promise<T>;
    const running = this.#running.get(what);
    if (running === undefined) return this.#begin(what, list);
    const begin = (): Promise<T> => this.#begin(what, list);
    const next = running.then(begin, begin);
    this.#next.set(what, next);
    return next;
  }

  #begin<T>(what: string, list: () => Promise<T>): Promise<T> {
    this.#next.delete(what);
    const running = list();
    this.#running.set(what, running);
    const ended = (): void => {
      if (this.#running.get(what) === running) this.#running.delete(what);
    };
    running.then(ended, ended);
    return running;
  }
}
