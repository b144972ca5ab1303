/** An operation in a group, from its check to its reply. */
import type { Done, JournaledOperation, Plan } from './journaled-operation.ts';

export interface Member {
  readonly operation: JournaledOperation;
  readonly plan: Plan;
  readonly keys: readonly string[];
  readonly reliesOn: readonly string[];
  readonly intent: Uint8Array;
  /** Its outcome; null: it is not executed. */
  done: Done | null;
  /** It takes long, and is half executed: its intent is in the journal since before it joined this group. */
  partsDone: boolean;
}

export function keysOf(members: readonly Member[]): Set<string> {
  const keys = new Set<string>();
  for (const { keys: own, done } of members) {
    for (const key of own) keys.add(key);
    if (done !== null && done.createdKey !== null) keys.add(done.createdKey);
  }
  return keys;
}

export function doneWith({ operation, key }: JournaledOperation, results: Uint8Array): Done {
  return { operation, key, results, createdKey: null };
}

/** Result of a member that was executed. */
export function doneOf({ operation, done }: Member): Done {
  if (done === null) throw new Error(`${nameOf(operation)} was not executed`);
  return done;
}

export function nameOf({ operation, key }: JournaledOperation): string {
  return `${operation} ${Buffer.from(key, 'latin1').toString('hex')}`;
}
