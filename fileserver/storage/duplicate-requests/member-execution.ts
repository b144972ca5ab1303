/**
 * Executes the operations of a group. What throws costs one operation: it is settled at once, as after a crash, from its own intent.
 */
import type { FlushSet } from '../flush/flush-set.ts';
import { noResults } from '../journal/journal-payloads.ts';
import { type Member, nameOf } from './group-member.ts';
import type { Done } from './journaled-operation.ts';
import type { OperationLogHooks } from './operation-log-hooks.ts';

export class MemberExecution {
  readonly #hooks: Pick<OperationLogHooks, 'settle' | 'onBug'>;
  readonly #flushes: FlushSet;

  constructor(hooks: Pick<OperationLogHooks, 'settle' | 'onBug'>, flushes: FlushSet) {
    this.#hooks = hooks;
    this.#flushes = flushes;
  }

  /** In one go, or what is left of one whose parts are done. */
  execute(member: Member): Done {
    const { operation, plan } = member;
    // A part of it has thrown, or it is half executed.
    if (member.done !== null) return member.done;
    const completed = plan.isLong ? this.#settle(member) : null;
    if (completed !== null) return completed;
    try {
      const results = plan.apply(this.#flushes);
      const { createdKey } = plan;
      member.done = { operation: operation.operation, key: operation.key, results, createdKey };
      return member.done;
    } catch (error) {
      return this.settleThrown(member, error);
    }
  }

  /** It has thrown: completed, if it is found executed; else it has no reply. */
  settleThrown(member: Member, error: unknown): Done {
    const { operation, plan } = member;
    this.#hooks.onBug(`${nameOf(operation)}, while it was executed`, error);
    const completed = this.#settle(member);
    if (completed !== null) return completed;
    this.#flushes.addAll();
    const { key } = operation;
    member.done = {
      operation: operation.operation,
      key,
      results: noResults(key),
      createdKey: plan.createdKey,
    };
    return member.done;
  }

  /** null: it was not begun, or can't be settled. */
  #settle(member: Member): Done | null {
    const { operation, plan } = member;
    const settled = this.#hooks.settle(member.intent, this.#flushes);
    if (settled.outcome === 'putAside') {
      this.#hooks.onBug(
        `${nameOf(operation)} is put aside and may be half executed`,
        new Error(settled.reason),
      );
    }
    if (settled.outcome !== 'completed') return null;
    const createdKey = settled.createdKey ?? plan.createdKey;
    member.done = {
      operation: operation.operation,
      key: operation.key,
      results: settled.results,
      createdKey,
    };
    return member.done;
  }
}
