/** Replies that a disk set's coordinator waits for: the same one of each of several threads. */
import type { FromDataThreads } from './thread-messages.ts';

export type Reply = Extract<
  FromDataThreads,
  {
    kind:
      | 'verified'
      | 'serving'
      | 'attached'
      | 'exported'
      | 'rooted'
      | 'directoriesKnown'
      | 'flushed'
      | 'frozen'
      | 'drained'
      | 'closed';
  }
>;

interface Gathering {
  readonly kind: Reply['kind'];
  /** Number of the change of exports that is answered; null: it is none. */
  readonly change: number | null;
  readonly from: Set<number>;
  readonly replies: Reply[];
  readonly done: PromiseWithResolvers<Reply[]>;
}

export class ReplyGathering {
  #gatherings: Gathering[] = [];

  /** From thread `from`. */
  received(from: number, message: Reply): void {
    for (const gathering of this.#gatherings) {
      if (
        gathering.kind !== message.kind ||
        gathering.change !== ('change' in message ? message.change : null)
      )
        continue;
      if (!gathering.from.delete(from)) continue;
      gathering.replies.push(message);
      if (gathering.from.size > 0) continue;
      this.#gatherings = this.#gatherings.filter((one) => one !== gathering);
      gathering.done.resolve(gathering.replies);
      return;
    }
  }

  /** Resolves when each of the threads has said it. Rejected when the disk set is closed or fails before. */
  gather(kind: Reply['kind'], threads: readonly number[], change: number | null = null): Promise<Reply[]> {
    const done = Promise.withResolvers<Reply[]>();
    if (threads.length === 0) done.resolve([]);
    else this.#gatherings.push({ kind, change, from: new Set(threads), replies: [], done });
    return done.promise;
  }

  /** Waiting for threads is in vain, but for `closed`. */
  abandon(reason: Error): void {
    const kept: Gathering[] = [];
    for (const gathering of this.#gatherings) {
      if (gathering.kind === 'closed') kept.push(gathering);
      else {
        // More than one may wait at once, and only the first rejection is looked at.
        gathering.done.promise.catch(() => {});
        gathering.done.reject(reason);
      }
    }
    this.#gatherings = kept;
  }

  /** Threads need not send replies of this kind any more. */
  forget(kind: Reply['kind']): void {
    this.#gatherings = this.#gatherings.filter((gathering) => gathering.kind !== kind);
  }

  /** Replies of a gathering that is under way; null: none is. */
  awaited(kind: Reply['kind']): Promise<Reply[]> | null {
    return this.#gatherings.find((gathering) => gathering.kind === kind)?.done.promise ?? null;
  }
}
