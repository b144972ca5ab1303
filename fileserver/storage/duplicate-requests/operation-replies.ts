/** Gives the replies of operations to the duplicate request cache and to those who wait for them. */
import type { VolumeFailure } from '../failures/status.ts';
import { statusOfResults } from '../journal/journal-payloads.ts';
import type { DuplicateRequestCache } from './duplicate-request-cache.ts';
import { doneWith, nameOf } from './group-member.ts';
import type { Done, JournaledOperation } from './journaled-operation.ts';
import type { OperationLogHooks } from './operation-log-hooks.ts';
import type { ReplyListener } from './reply-listener.ts';

const NOTHING = new Uint8Array(0);

export class OperationReplies {
  readonly #requests: DuplicateRequestCache;
  readonly #hooks: Pick<OperationLogHooks, 'onStep' | 'onBug'>;

  constructor(requests: DuplicateRequestCache, hooks: Pick<OperationLogHooks, 'onStep' | 'onBug'>) {
    this.#requests = requests;
    this.#hooks = hooks;
  }

  /** To all who wait for it. */
  give({ operation, key, results }: Done): void {
    this.#hooks.onStep(operation, 'beforeAnswer');
    const given = results.length > 0;
    const listeners: readonly ReplyListener[] = given
      ? this.#requests.complete(key, results)
      : this.#requests.abandon(key);
    const status = given ? statusOfResults(results) : 0;
    for (const listener of listeners) this.#tell(listener, given ? results : null, status);
  }

  #tell(listener: ReplyListener, results: Uint8Array | null, status: number): void {
    try {
      listener(results, status, 0);
    } catch (error) {
      this.#hooks.onBug('what waited for an answer', error);
    }
  }

  /** Answers with a failure that is not the operation's own. */
  refuse(operation: JournaledOperation, failure: VolumeFailure): void {
    let results: Uint8Array;
    try {
      results = operation.refuse(failure);
    } catch (error) {
      this.giveUp(operation, error);
      return;
    }
    this.give(doneWith(operation, results));
  }

  /** It has thrown before its intent was recorded: nothing was executed. */
  giveUp(operation: JournaledOperation, error: unknown): void {
    this.#hooks.onBug(`${nameOf(operation)}, before it was executed`, error);
    this.give(doneWith(operation, NOTHING));
  }
}
