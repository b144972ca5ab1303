/**
 * Forms a group of operations: takes those, in order, that touch nothing that an operation before them touches or relies on, and
 * rely on nothing that one touches.
 */
import type { VolumeFailure } from '../failures/status.ts';
import { PAYLOAD_SIZE_MAX } from '../journal/journal-records.ts';
import { keysOf, type Member } from './group-member.ts';
import type { JournaledOperation } from './journaled-operation.ts';

/** Operations of one group, and bytes of their intents: so that any group fits into a journal segment. */
const GROUP_COUNT_MAX = 256;
const GROUP_BYTES_MAX = 1024 * 1024;

export class GroupForming {
  readonly group: Member[];
  /** Have to wait for the next group. */
  readonly later: JournaledOperation[];
  /** Keys that the operations before, the group's own, and those that have to wait touch. */
  readonly #touched: Set<string>;
  /** Keys that the same operations rely on. */
  readonly #reliedOn: Set<string>;
  /** Bytes of the intents. */
  #size: number;

  /** before: operations without a recorded reply. group: those of them with which the group begins. */
  constructor(before: readonly Member[], group: Member[]) {
    this.group = group;
    this.later = [];
    this.#touched = keysOf(before);
    this.#reliedOn = new Set(before.flatMap(({ reliesOn }) => reliesOn));
    this.#size = 0;
  }

  /**
   * Into the group, if it can be executed with that, or to those that wait: then null. Otherwise it changes nothing, and this is its
   * reply. What throws here has put nothing down. shortage: why what needs space is refused; null: it is not.
   */
  place(operation: JournaledOperation, shortage: VolumeFailure | null): Uint8Array | null {
    if (this.group.length >= GROUP_COUNT_MAX || this.#size > GROUP_BYTES_MAX) {
      // As all that come behind it.
      this.later.push(operation);
      return null;
    }
    const { lockKeys, reliesOn, plan, results } = operation.check();
    const touched = this.#touched;
    const reliedOn = this.#reliedOn;
    const conflicts = isAnyIn(lockKeys, touched) || isAnyIn(lockKeys, reliedOn) || isAnyIn(reliesOn, touched);
    if (!conflicts) {
      if (plan === null) return results;
      // The journal needs all there is.
      if (shortage !== null && plan.needsSpace) return operation.refuse(shortage);
      const intent = plan.intent();
      if (intent.length > PAYLOAD_SIZE_MAX) {
        throw new RangeError(`its intent has ${intent.length} bytes, a record at most ${PAYLOAD_SIZE_MAX}`);
      }
      this.#size += intent.length;
      this.group.push({ operation, plan, keys: lockKeys, reliesOn, intent, done: null, partsDone: false });
    } else this.later.push(operation);
    for (const key of lockKeys) touched.add(key);
    for (const key of reliesOn) reliedOn.add(key);
    return null;
  }
}

function isAnyIn(keys: readonly string[], set: ReadonlySet<string>): boolean {
  for (const key of keys) if (set.has(key)) return true;
  return false;
}
