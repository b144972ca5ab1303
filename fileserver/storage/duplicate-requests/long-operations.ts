/**
 * Operations that take long, between the record of their intents and the group that completes them. They are executed in parts, one
 * in a turn of the event loop, one operation after the other.
 */
import type { Member } from './group-member.ts';
import type { MemberExecution } from './member-execution.ts';

export interface LongOperationsHooks {
  /** May anything be executed at this moment? If not, the operation log is stopped. */
  readonly allowed: () => boolean;
  readonly nextTurn: (work: () => void) => void;
  /** All parts of one are done. */
  readonly onDone: () => void;
}

export class LongOperations {
  readonly #execution: MemberExecution;
  readonly #hooks: LongOperationsHooks;
  /** Being executed. */
  #inParts: Member[] = [];
  /** All parts are done: to be completed with the next group. */
  #done: Member[] = [];

  constructor(execution: MemberExecution, hooks: LongOperationsHooks) {
    this.#execution = execution;
    this.#hooks = hooks;
  }

  get isUnderWay(): boolean {
    return this.#inParts.length > 0 || this.#done.length > 0;
  }

  get isAnyDone(): boolean {
    return this.#done.length > 0;
  }

  *members(): Iterable<Member> {
    yield* this.#inParts;
    yield* this.#done;
  }

  /** Takes those that take long, whose intents are recorded, out of a group. What is left of it. */
  begin(group: Member[]): Member[] {
    const isLong = ({ plan, partsDone }: Member): boolean => plan.isLong && !partsDone;
    if (!group.some(isLong)) return group;
    if (this.#inParts.length === 0) this.#hooks.nextTurn(() => this.#executePart());
    this.#inParts.push(...group.filter(isLong));
    return group.filter((member) => !isLong(member));
  }

  /** Those whose parts are done, for a group. */
  takeDone(): Member[] {
    const done = this.#done;
    this.#done = [];
    return done;
  }

  /** The group of takeDone() is not recorded. */
  takeBack(members: readonly Member[]): void {
    this.#done.push(...members);
  }

  stop(): void {
    this.#inParts = [];
  }

  #executePart(): void {
    const [member] = this.#inParts;
    if (member === undefined || !this.#hooks.allowed()) return;
    const goesOn = this.#didPart(member);
    // It may have found that the volume has failed.
    if (this.#inParts.shift() === undefined) return;
    member.partsDone = !goesOn;
    if (goesOn) this.#inParts.push(member);
    else this.#done.push(member);
    if (this.#inParts.length > 0) this.#hooks.nextTurn(() => this.#executePart());
    if (!goesOn) this.#hooks.onDone();
  }

  #didPart(member: Member): boolean {
    try {
      return member.plan.applyPart();
    } catch (error) {
      this.#execution.settleThrown(member, error);
      return false;
    }
  }
}
