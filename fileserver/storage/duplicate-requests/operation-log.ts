/** Executes the operations that must not be executed twice, in groups that share their flushes. */

import { performance } from 'node:perf_hooks';
import { nextTurn } from '../../system/turns.ts';
import type { FaultReason } from '../failures/fault-reason.ts';
import type { FileTable } from '../files/file-table.ts';
import { FlushSet } from '../flush/flush-set.ts';
import type { JournalContents } from '../journal/journal.ts';
import { payloadAround } from '../journal/journal-payloads.ts';
import type { Volume } from '../volume/volume.ts';
import { ChangeWaiters } from './change-waiters.ts';
import type { DuplicateRequestCache } from './duplicate-request-cache.ts';
import { GroupForming } from './group-forming.ts';
import { doneOf, doneWith, keysOf, type Member } from './group-member.ts';
import { GroupPacing, type Pacing } from './group-pacing.ts';
import { GroupRecords } from './group-records.ts';
import type { JournaledOperation } from './journaled-operation.ts';
import { LongOperations } from './long-operations.ts';
import { MemberExecution } from './member-execution.ts';
import type { OperationLogHooks } from './operation-log-hooks.ts';
import { OperationReplies } from './operation-replies.ts';
import type { OperationStep } from './operation-step.ts';

//   group n      check | record intents | execute | flush files | append answers, answer
//   group n+1                                         check | record intents | execute |  flush files | ...
//   disk                 journal                      the flush, journal (intents n+1)   | the flush, journal (answers n)
//
// An operation is executed only when its intent is recorded, and answered only when its effects are durable. What
// `recorded` means is the file system's (commit-order.ts): written out, where its own commit makes what is written
// durable before the operation (one flush for a group), else flushed (two). Either way no crash leaves an operation
// without its intent. The answer itself need not be durable when it is given: intent and effects are, and so
//
//   no intent              not executed; the request that is sent again is executed
//   intent, no answer      recovery.ts looks at the file system whether it was executed; if so it is completed and
//                          answered, else forgotten
//   answer                 the request that is sent again gets it
//
// That look needs the state that the operation left. So nobody may change it before the answer is recorded: operations
// whose intents are recorded behind the answers may, as no crash then leaves their intents without those answers; and a
// WRITE waits (whenUnchanging).
//
// Within a group no two operations touch the same name or the same object, for then the state before the second
// could not be told from the state before the first. Nor does one of them touch what another relies on: the directory of its
// name, which recovery has to find and its user has to be allowed to search. Any number may rely on the same directory. An
// operation that would break this waits for the next group.
//
// While a group is flushed the next one is executed, where that takes about as long. Then two groups have no answers, so for that
// rule they are one. An operation that touches what one of the group being flushed has touched or relies on waits, and so does
// one that relies on what has been touched. Never are there more than two, and a group is flushed when the flush before it has
// ended. Answers are given in the order of execution, and what was executed because of something that is not durable is not
// answered before that is.
//
// An operation that takes long (a truncation that frees much) leaves its group when the intents are recorded. It is executed in
// parts, one in a turn of the event loop, and everything else goes on between them:
//
//   group n      ... | record intents | execute the others | flush | answer
//   the long one                      | part | part | ... | part |
//   group m                                        ... | record intents | execute what is left | flush | answer
//
// When the last part is done it joins the next group. Its intent is recorded once more with that one: so each group has intents,
// and between two records there are no more flushes than in any other load (Journal.flushed). A group that all members have left is
// flushed like others. Until the answer is recorded, what the operation touches is closed to other operations and to WRITEs, and
// each new segment of the journal gets its intent.
//
// Before each part the right to serve is looked up, as before each operation. From the first part on the operation is half executed.
// So it is completed as after a crash: from its own intent, with the rights that it was recorded with. A crash between two parts is
// the same case: the first part has changed the object's ctime, and no other operation could touch the object.
//
// Where the journal can't be written for lack of space, its reserve is lent (journal-reserve.ts). From then on what needs
// space is refused, until the reserve is back. If there is no room all the same, nothing is executed: what waits is
// refused. Answers that were given already, and are only in memory, are recorded as soon as that is possible.
//
// An exception costs one call. Before its intent is recorded nothing was executed: its caller is told SYSTEM_ERR, and the request
// is unknown again. While it is executed it may be half executed: it is settled at once, as after a crash, from its own intent;
// found executed, it is completed and answered. Otherwise (not begun, or not to be settled) its caller is told SYSTEM_ERR, which
// says nothing of what was done. It goes through the rest of its group all the same: what it touched stays closed to others
// until a record without results ends its intent. So no owner to come takes a later operation's effects for those of this one,
// and the request that is sent again stands behind that record with an intent of its own. What throws elsewhere concerns the
// journal or several operations: the volume has failed.
//
// On a volume that must not keep dirty pages (docs/design.md R9) answers are appended with the next record only, and given when
// they are recorded. So there no group is executed while another one is flushed.

/** So many are executed before the thread looks whether a flush that runs beside them has ended. */
const SLICE_COUNT = 4;
/** Without a next group, answers are flushed so long after they were given, in ms: nobody waits for it. */
const LINGER_MS = 20;
/** The same when the journal had no room: until the reserve may be back. ms */
const NO_ROOM_LINGER_MS = 1000;

/**
 * Phase of the group in front. `idle`: none is formed. `recording`: its intents are on their way, or it is being executed. `executed`: it
 * waits for the flush of the group before, or for its own where groups come one after the other.
 */
type Phase = 'idle' | 'recording' | 'executed' | 'stopped';

export class OperationLog implements JournalContents {
  readonly requests: DuplicateRequestCache;
  readonly #volume: Volume;
  readonly #hooks: OperationLogHooks;
  readonly #flushes: FlushSet;
  readonly #replies: OperationReplies;
  readonly #execution: MemberExecution;
  phase: Phase = 'idle';
  #waiting: JournaledOperation[] = [];
  /** Intents (to be) recorded, not yet executed, or waiting for the flush. */
  #group: Member[] = [];
  /** `group`, of which those that take long may have left, has its intents in the journal. */
  #announced = false;
  readonly #long: LongOperations;
  /** Executed, its effects on their way to the disk; null: no flush is under way. */
  #flushing: readonly Member[] | null = null;
  /** Executed and durable; answers not recorded yet. */
  #executed: Member[] = [];
  readonly #records: GroupRecords;
  /** For the conflict keys of everything in `group`, `long`, `flushing` and `executed`, which are in volume.changing. */
  readonly #waiters: ChangeWaiters;
  #scheduled = false;
  #linger: NodeJS.Timeout | undefined;
  readonly #pacing: Pacing;
  /** More are waited for. */
  #gathering: NodeJS.Timeout | undefined;
  /** Nothing is tried again: see freeze(). */
  #frozen = false;

  constructor(
    volume: Volume,
    table: FileTable,
    requests: DuplicateRequestCache,
    hooks: OperationLogHooks,
    pacing: Pacing = new GroupPacing(),
  ) {
    this.requests = requests;
    this.#volume = volume;
    this.#hooks = hooks;
    this.#flushes = new FlushSet(volume, table);
    this.#pacing = pacing;
    const allowed = (): boolean => this.#allowed();
    this.#waiters = new ChangeWaiters(volume.changing, hooks.onBug);
    this.#replies = new OperationReplies(requests, hooks);
    this.#records = new GroupRecords(volume, this, {
      allowed,
      onFailed: (detail, reason) => this.#failed(detail, reason),
    });
    this.#execution = new MemberExecution(hooks, this.#flushes);
    this.#long = new LongOperations(this.#execution, {
      allowed,
      nextTurn: (work) => this.#nextTurn(work),
      onDone: () => this.#schedule(),
    });
  }

  /** Takes a request that DuplicateRequestCache.admit() said is to be executed. Its reply goes to the cache's listeners. */
  submit(operation: JournaledOperation): void {
    this.#waiting.push(operation);
    this.#schedule();
  }

  /** Not at once: what else has arrived with the same packets belongs into the same group. */
  #schedule(): void {
    if (this.phase !== 'idle' || this.#scheduled) return;
    this.#scheduled = true;
    this.#nextTurn(() => {
      this.#scheduled = false;
      const isAny = this.#waiting.length > 0 || this.#long.isAnyDone;
      if (this.phase === 'idle' && isAny && this.#mayBegin()) this.#beginGroup();
    });
  }

  #nextTurn(work: () => void): void {
    nextTurn(() => this.#guarded(work));
  }

  #later(work: () => void, ms: number): NodeJS.Timeout {
    return setTimeout(() => this.#guarded(work), ms);
  }

  /** Everything that begins outside of a call. What one operation throws does not come to this. */
  #guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.stop();
      const { name } = this.#volume.spec;
      this.#hooks.onBug('the queue of changes', error);
      this.#volume.fail(
        'InternalError',
        `volume ${name}: an exception in this server has stopped its changes: ${(error as Error).message}`,
      );
    }
  }

  /** Waiting operations may begin a group now. If not, the end of a flush, of a moment, or what else comes begins it. */
  #mayBegin(): boolean {
    const waiting = this.#waiting;
    const flushing = this.#flushing;
    const pacing = this.#pacing;
    if (flushing !== null) return !this.#answersWait && pacing.mayOverlap(waiting.length, flushing.length);
    const ms = pacing.gatherMs(waiting.length, performance.now());
    if (ms === 0) {
      this.#stopGathering();
      return true;
    }
    this.#gathering ??= this.#later(() => this.#gathered(), ms);
    return false;
  }

  #gathered(): void {
    this.#gathering = undefined;
    this.#schedule();
  }

  #stopGathering(): void {
    clearTimeout(this.#gathering);
    this.#gathering = undefined;
  }

  /**
   * Calls back when the object is no longer touched by an operation whose answer is not recorded; at once if none is. For
   * WRITE, which has to look for itself whether there is room (Volume.reserve): without, it is called back too.
   */
  whenUnchanging(key: string, ready: () => void): void {
    if (this.#waiters.waitFor(key, ready)) this.#guarded(() => this.#recordLeft());
  }

  /** Calls back when everything submitted has been answered and recorded, or never will be. */
  whenIdle(ready: () => void): void {
    if (this.phase === 'stopped' || this.#isIdle) {
      ready();
      return;
    }
    this.#waiters.waitForIdle(ready);
    this.#guarded(() => this.#recordLeft());
  }

  /** Nothing more is executed, recorded or answered. Who waits for the queue to become idle need not wait longer. */
  stop(): void {
    this.phase = 'stopped';
    this.#long.stop();
    this.#stopLingering();
    this.#stopGathering();
    this.#waiters.tellIdle();
  }

  /** Nothing is under way. Answers for which there was no room may wait to be recorded. */
  get isAtRest(): boolean {
    return (
      this.phase === 'idle' && this.#waiting.length === 0 && this.#flushing === null && !this.#long.isUnderWay
    );
  }

  /** From now on, until thaw(), the queue writes only for what was submitted before or is. */
  freeze(): void {
    this.#frozen = true;
    this.#stopLingering();
  }

  /** Ends freeze(): what was executed meanwhile is recorded within LINGER_MS. */
  thaw(): void {
    this.#frozen = false;
    const isLeft = this.#executed.length > 0 || this.#long.isAnyDone;
    if (this.phase === 'idle' && isLeft) this.#lingerFor(LINGER_MS);
  }

  get #isIdle(): boolean {
    return this.isAtRest && this.#executed.length === 0;
  }

  /** For their record. Then groups come one after the other. */
  get #answersWait(): boolean {
    return this.#volume.spec.writeThrough === true;
  }

  #beginGroup(): void {
    this.#formGroup();
    if (this.#group.length > 0 || (this.#executed.length > 0 && this.#answersWait)) this.#record();
    else this.#becomeIdle();
  }

  /** Without waiting for a next group: somebody needs the answers of the last one recorded. */
  #recordLeft(): void {
    if (this.phase === 'idle' && !this.#scheduled && this.#executed.length > 0) this.#record();
  }

  #becomeIdle(): void {
    // Its end comes back to this.
    if (this.#flushing !== null) return;
    if (this.#executed.length > 0) {
      // No client has to wait for it, unless it asked meanwhile.
      if (this.#waiters.isAny) this.#record();
      else this.#lingerFor(LINGER_MS);
      return;
    }
    if (!this.#long.isUnderWay) this.#waiters.tellIdle();
  }

  #lingerFor(ms: number): void {
    if (this.#frozen) return;
    this.#linger ??= this.#later(() => this.#record(), ms);
  }

  #stopLingering(): void {
    clearTimeout(this.#linger);
    this.#linger = undefined;
  }

  /** Answers of the group before, if they are not in the journal yet, and intents of this one. */
  #record(): void {
    this.#stopLingering();
    this.phase = 'recording';
    this.#passed(this.#group, 'beforeIntent');
    if (!this.#allowed() || !this.#isOurs()) return;
    const executed = this.#executed;
    this.#executed = [];
    const recorded = (error: Error | null): void => this.#guarded(() => this.#recorded(error, executed));
    if (this.#hooks.journalDisabled) {
      this.#announced = true;
      this.#nextTurn(() => this.#recorded(null, executed));
      return;
    }
    const waiting = this.#answersWait ? executed.map(doneOf) : [];
    const appended = this.#records.appendGroup(waiting, this.#group);
    if (appended === 'failed') return;
    if (appended === 'noRoom') {
      this.#executed = executed;
      this.#refuseGroup();
      return;
    }
    this.#announced = this.#group.length > 0;
    const { journal } = this.#volume;
    const { intents } = this.#hooks;
    if (this.#group.length === 0 || intents === 'flush') journal.flush(recorded);
    else if (intents === 'writeOut') journal.writeOut(recorded);
    else this.#nextTurn(() => this.#recorded(null, executed));
  }

  /** Its intents can't be recorded, so it can't be executed. Nobody waits for room: others have to make it. */
  #refuseGroup(): void {
    const { noRoom } = this.#records;
    const group = this.#group.filter(({ partsDone }) => !partsDone);
    this.#long.takeBack(this.#group.filter(({ partsDone }) => partsDone));
    this.#group = [];
    for (const { keys } of group) for (const key of keys) this.#volume.changing.remove(key);
    for (const { operation } of group) this.#replies.refuse(operation, noRoom);
    this.#waiters.release(keysOf([...this.#long.members()]));
    this.phase = 'idle';
    if (this.#flushing !== null) return;
    if (this.#waiting.length > 0) {
      this.#schedule();
      return;
    }
    if (!this.#long.isUnderWay) this.#waiters.tellIdle();
    if (this.#executed.length > 0 || this.#long.isAnyDone) this.#lingerFor(NO_ROOM_LINGER_MS);
  }

  /** Takes from the queue, in order, what has no conflict with anything before it. */
  #formGroup(): void {
    const before = [...(this.#flushing ?? []), ...this.#long.members()];
    this.#group = this.#long.takeDone();
    const forming = new GroupForming(before, this.#group);
    for (const operation of this.#waiting) {
      try {
        const results = forming.place(operation, this.#volume.reserve.shortage);
        if (results !== null) this.#answerUnchanged(operation, results);
      } catch (error) {
        this.#replies.giveUp(operation, error);
      }
    }
    this.#waiting = forming.later;
    for (const member of this.#group) {
      if (!member.partsDone) for (const key of member.keys) this.#volume.changing.add(key);
    }
  }

  /** It changes nothing. */
  #answerUnchanged(operation: JournaledOperation, results: Uint8Array): void {
    if (results.length === 0) throw new Error('it has neither succeeded nor failed');
    const done = doneWith(operation, results);
    this.#records.keepFailure(done);
    this.#replies.give(done);
  }

  /** Answers of `executed`, which was answered before, and intents of this group are in the journal for good. */
  #recorded(error: Error | null, executed: readonly Member[]): void {
    if (this.phase === 'stopped') return;
    if (error !== null) {
      this.#failed(error.message);
      return;
    }
    if (this.#answersWait) {
      if (!this.#isOurs()) return;
      this.#answerAll(executed);
    }
    this.#release(executed);
    if (this.#group.length > 0) this.#executeGroup();
    else this.#goOn();
  }

  /** Objects of these operations may be changed again, except by WRITEs to those that others are about to touch. */
  #release(executed: readonly Member[]): void {
    if (executed.length === 0) return;
    const { changing } = this.#volume;
    for (const { keys, done } of executed) {
      for (const key of keys) changing.remove(key);
      if (done !== null && done.createdKey !== null) changing.remove(done.createdKey);
    }
    this.#waiters.release();
  }

  #answerAll(executed: readonly Member[]): void {
    this.#passed(executed, 'afterReplyRecord');
    for (const member of executed) this.#replies.give(doneOf(member));
    this.#pacing.noteAnswered(executed.length, this.#waiting.length, performance.now());
  }

  #executeGroup(): void {
    this.#passed(this.#group, 'afterIntent');
    this.#group = this.#long.begin(this.#group);
    this.#executeFrom(0);
  }

  /**
   * Beside a flush not all at once: when that ends, its operations are answered and the next ones come while the rest of these
   * are executed, and neither has to wait for them.
   */
  #executeFrom(first: number): void {
    const group = this.#group;
    const flushing = this.#flushing;
    const end = flushing === null ? group.length : Math.min(first + SLICE_COUNT, group.length);
    const begunAt = performance.now();
    for (const member of group.slice(first, end)) {
      if (!this.#allowed()) return;
      const { createdKey } = this.#execution.execute(member);
      if (createdKey !== null) this.#volume.changing.add(createdKey);
      this.#hooks.onStep(member.operation.operation, 'afterExecution');
    }
    if (end > first) this.#pacing.noteExecution((performance.now() - begunAt) / (end - first));
    if (end < group.length) {
      this.#nextTurn(() => {
        if (this.phase !== 'stopped') this.#executeFrom(end);
      });
      return;
    }
    this.phase = 'executed';
    if (this.#flushing === null) this.#flushGroup();
  }

  #flushGroup(): void {
    const members = this.#group;
    this.#group = [];
    this.#announced = false;
    this.#flushing = members;
    const begunAt = performance.now();
    this.#flushes.flush((result, issued) =>
      this.#guarded(() => {
        this.#pacing.noteFlush(performance.now() - begunAt);
        this.#flushed(members, result, issued);
      }),
    );
    if (this.#answersWait || this.phase !== 'executed') return;
    this.phase = 'idle';
    if (this.#waiting.length > 0) this.#schedule();
  }

  /** `issued`: the device was flushed. It was not if all operations of the group failed. */
  #flushed(members: readonly Member[], result: number, issued: boolean): void {
    if (this.phase === 'stopped') return;
    if (result < 0) {
      this.#failed(`errno ${-result} while flushing directories`);
      return;
    }
    if (!this.#isOurs()) return;
    const { journal } = this.#volume;
    if (!issued && !this.#hooks.journalDisabled) {
      // Every group ends with a flush: else two segments could be filled, and both lost.
      journal.flush((error) =>
        this.#guarded(() => {
          if (error !== null) this.#failed(error.message);
          else if (this.phase !== 'stopped') this.#durable(members);
        }),
      );
      return;
    }
    if (this.#hooks.intents !== 'flush') journal.flushed();
    this.#durable(members);
  }

  /** The operations' effects are on the disk. */
  #durable(members: readonly Member[]): void {
    this.#passed(members, 'afterFlush');
    this.#flushing = null;
    this.#executed.push(...members);
    if (!this.#answersWait) {
      if (!this.#allowed()) return;
      if (!this.#hooks.journalDisabled && this.#records.appendReplies(members.map(doneOf)) === 'failed')
        return;
      this.#answerAll(members);
    }
    // The group that was executed meanwhile.
    if (this.phase === 'executed' && this.#announced) this.#flushGroup();
    else if (this.phase !== 'recording') this.#goOn();
  }

  /** Nothing is in front: begins the next group, if it may begin; without one there are things to do all the same. */
  #goOn(): void {
    if (this.phase === 'stopped') return;
    this.phase = 'idle';
    const begins = this.#waiting.length > 0 ? this.#mayBegin() : this.#flushing === null;
    if (begins) this.#beginGroup();
  }

  /** By index: an iterator would make an object for each member, at each step. */
  #passed(members: readonly Member[], step: OperationStep): void {
    for (let i = 0; i < members.length; i++) this.#hooks.onStep(members[i]!.operation.operation, step);
  }

  #allowed(): boolean {
    if (this.#hooks.mayServe() && !this.#volume.failed) return true;
    this.stop();
    this.#hooks.onStopped();
    return false;
  }

  /** Before the first change of a group, and behind its flush, before anything is answered: see Volume.isOurs(). */
  #isOurs(): boolean {
    if (this.#volume.isOurs()) return true;
    this.stop();
    return false;
  }

  #failed(detail: string, reason: FaultReason = 'IoError'): void {
    this.stop();
    this.#volume.fail(
      reason,
      `volume ${this.#volume.spec.name}: the journal could not be made durable: ${detail}`,
    );
  }

  /** JournalContents: operations without an answer, whose intents are in the journal already. */
  *intents(): Iterable<Uint8Array> {
    for (const { intent } of this.#flushing ?? []) yield intent;
    for (const { intent } of this.#long.members()) yield intent;
    for (const { intent, partsDone } of this.#group) if (this.#announced || partsDone) yield intent;
  }

  /** JournalContents: answers given until now. Those given later are appended anyway. */
  *replies(): Iterable<Uint8Array> {
    const answers = [...this.requests.replies()];
    for (const { key, results } of answers) yield payloadAround(key, results);
  }
}
