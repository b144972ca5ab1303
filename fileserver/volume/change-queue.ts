/**
 * Executes the operations that must not be executed twice, in groups that share their flushes:
 *
 *   group n      examine | record intents | execute | flush files | append answers, answer
 *   group n+1                                         examine | record intents | execute |  flush files | ...
 *   disk                 journal                      the flush, journal (intents n+1)   | the flush, journal (answers n)
 *
 * An operation is executed only when its intent is recorded, and answered only when its effects are durable. What
 * `recorded` means is the file system's (commit-order.ts): written out, where its own commit makes what is written
 * durable before the operation (one flush for a group), else flushed (two). Either way no crash leaves an operation
 * without its intent. The answer itself need not be durable when it is given: intent and effects are, and so
 *
 *   no intent              not executed; the request that is sent again is executed
 *   intent, no answer      recovery.ts looks at the file system whether it was executed; if so it is completed and
 *                          answered, else forgotten
 *   answer                 the request that is sent again gets it
 *
 * That look needs the state that the operation left. So nobody may change it before the answer is recorded: operations
 * whose intents are recorded behind the answers may, as no crash then leaves their intents without those answers; and a
 * WRITE waits (whenUnchanging).
 *
 * Within a group no two operations touch the same name or the same object, for then the state before the second
 * could not be told from the state before the first. An operation that would waits for the next group.
 *
 * While a group is flushed the next one is executed, where that takes about as long. Then two groups have no answers,
 * so for that rule they are one: an operation that touches what one of the group being flushed has touched waits. Never
 * are there more than two, and a group is flushed when the flush before it has ended: answers are given in the order of
 * execution, and what was executed because of something that is not durable is not answered before that is.
 *
 * Where the journal can't be written for lack of space, its reserve is lent (journal-reserve.ts). From then on what needs
 * space is refused, until the reserve is back. If there is no room all the same, nothing is executed: what waits is
 * refused. Answers that were given already, and are only in memory, are recorded as soon as that is possible.
 *
 * On a volume that must not keep dirty pages (DESIGN R9) answers are appended with the next record only, and given
 * when they are recorded; so there no group is executed while another one is flushed.
 */
import type { FaultReason, OperationStep } from '../data/messages.ts';
import { errnoName, outcomeOf } from './errno-outcomes.ts';
import type { FileTable } from './file-table.ts';
import { FlushSet } from './flush-set.ts';
import { GroupPacing, type Pacing } from './group-pacing.ts';
import type { JournalContents } from './journal.ts';
import { payloadAround } from './journal-payloads.ts';
import type { AnswerListener, ReplyCache } from './reply-cache.ts';
import { failureOfResult, type VolumeFailure } from './status.ts';
import type { Volume } from './volume.ts';

/** Operations of one group, and bytes of their intents: so that any group fits into a journal segment. */
const GROUP_COUNT_MAX = 256;
const GROUP_BYTES_MAX = 1024 * 1024;
/** So many are executed before the thread looks whether a flush that runs beside them has ended. */
const SLICE_COUNT = 4;
/** Answers of failures recorded with a group; older ones are in memory only. They change nothing: asked again, they fail again. */
const FAILURES_MAX = 512;

/** Without a next group, answers are flushed so long after they were given, in ms: nobody waits for it. */
const LINGER_MS = 20;
/** The same when the journal had no room: until the reserve may be back. ms */
const NO_ROOM_LINGER_MS = 1000;

/** One non-idempotent request, from its examination to its results. */
export interface Change {
  /** RFC 1813's name: CREATE, RENAME... */
  readonly operation: string;
  /** Of the request, for the duplicate request cache. */
  readonly key: string;
  /** Exports may have changed while it waited. false: it may not be executed any more, and `results` say why. */
  isStillAllowed(): boolean;
  /**
   * Names and objects it touches at this moment, as strings that are equal for the same name or object. Asked
   * again when the operation had to wait, since by then a name may stand for something else.
   */
  conflictKeys(): readonly string[];
  /**
   * Looks at the state before. false: it can't succeed, `results` say why, and nothing was changed. Directly after
   * conflictKeys(): what that has looked at is still so.
   */
  examine(): boolean;
  /** The journal's record of what is about to happen. After examine(). */
  intent(): Uint8Array;
  /** After examine(): it needs space on the disk that it does not give back. */
  readonly grows: boolean;
  /** Sets `results` to a failure. */
  refuse(failure: VolumeFailure): void;
  /** Does it; `results` are complete afterwards, whether it succeeded or not. */
  execute(flushes: FlushSet): void;
  /** After execute(): an object that it made and that recovery might have to complete. null: none. */
  readonly madeKey: string | null;
  /** In memory that journal-payloads.ts has made (resultsToKeep): they are kept, and appended as they lie. */
  results: Uint8Array;
}

export interface ChangeQueueHooks {
  /** R2: may this server change the volume at this moment? */
  readonly mayServe: () => boolean;
  /** The right is gone or the volume has failed: nothing that runs may be answered. */
  readonly onStopped: () => void;
  /** For the test that kills the process at a step. */
  readonly onStep: (operation: string, step: OperationStep) => void;
  /** What makes intents safe before they are executed: the volume's way (commit-order.ts), or a test's. */
  readonly intents: 'writeOut' | 'flush' | 'unwritten';
  /** Executes without a journal and without remembering answers: only to show that tests can fail. */
  readonly journalDisabled: boolean;
}

interface Member {
  readonly change: Change;
  readonly keys: readonly string[];
  readonly intent: Uint8Array;
}

/**
 * Of the group in front: nobody has formed one; its intents are on their way, or it is executed; it is executed and has
 * to wait for the flush of the group before (or for its own, where groups come one after the other).
 */
type Phase = 'idle' | 'recording' | 'executed' | 'stopped';

export class ChangeQueue implements JournalContents {
  readonly replyCache: ReplyCache;
  private readonly volume: Volume;
  private readonly hooks: ChangeQueueHooks;
  private readonly flushes: FlushSet;
  private phase: Phase;
  private waiting: Change[];
  /** Intents (to be) recorded, not yet executed, or waiting for the flush. */
  private group: Member[];
  /** `group` has its intents in the journal. */
  private announced: boolean;
  /** Executed, its effects on their way to the disk; null: no flush is under way. */
  private flushing: readonly Member[] | null;
  /** Executed and durable; answers not recorded yet. */
  private executed: Member[];
  /** Executed, durable and answered, but there was no room to append the answers: appended with the next record. */
  private unrecorded: Change[];
  /** Why, when there was none last. */
  private noRoom: VolumeFailure;
  /** Answers of failures that changed nothing: recorded along with the next group, nobody waits for it. */
  private failures: Change[];
  /** Conflict keys of everything in `group`, `flushing` and `executed` are in volume.changing; who waits for them is here. */
  private blocked: { readonly key: string; readonly ready: () => void }[];
  private idleListeners: (() => void)[];
  private scheduled: boolean;
  private linger: NodeJS.Timeout | null;
  private readonly pacing: Pacing;
  /** More are waited for. */
  private gathering: NodeJS.Timeout | null;

  constructor(
    volume: Volume,
    table: FileTable,
    replyCache: ReplyCache,
    hooks: ChangeQueueHooks,
    pacing: Pacing = new GroupPacing(),
  ) {
    this.replyCache = replyCache;
    this.volume = volume;
    this.hooks = hooks;
    this.flushes = new FlushSet(volume, table);
    this.phase = 'idle';
    this.waiting = [];
    this.group = [];
    this.announced = false;
    this.flushing = null;
    this.executed = [];
    this.unrecorded = [];
    this.noRoom = 'noSpace';
    this.failures = [];
    this.blocked = [];
    this.idleListeners = [];
    this.scheduled = false;
    this.linger = null;
    this.pacing = pacing;
    this.gathering = null;
  }

  /** Takes a request that ReplyCache.admit() said is to be executed. Its answer goes to the cache's listeners. */
  submit(change: Change): void {
    if (this.phase === 'stopped') return;
    this.waiting.push(change);
    this.schedule();
  }

  /** Not at once: what else has arrived with the same packets belongs into the same group. */
  private schedule(): void {
    if (this.phase !== 'idle' || this.scheduled) return;
    this.scheduled = true;
    setImmediate(() => {
      this.scheduled = false;
      if (this.phase === 'idle' && this.waiting.length > 0 && this.mayBegin()) this.beginGroup();
    });
  }

  /** What waits may begin a group now. If not, the end of a flush, of a moment, or what else comes begins it. */
  private mayBegin(): boolean {
    const { waiting, flushing, pacing } = this;
    if (flushing !== null) return !this.answersWait && pacing.mayOverlap(waiting.length, flushing.length);
    const ms = pacing.gatherMs(waiting.length, performance.now());
    if (ms === 0) {
      this.stopGathering();
      return true;
    }
    this.gathering ??= setTimeout(() => this.gathered(), ms);
    return false;
  }

  private gathered(): void {
    this.gathering = null;
    this.schedule();
  }

  private stopGathering(): void {
    if (this.gathering !== null) clearTimeout(this.gathering);
    this.gathering = null;
  }

  /**
   * Calls back when the object is no longer touched by an operation whose answer is not recorded; at once if none is. For
   * WRITE, which has to look for itself whether there is room (Volume.reserve): without, it is called back too.
   */
  whenUnchanging(key: string, ready: () => void): void {
    if (!this.volume.changing.has(key)) {
      ready();
      return;
    }
    this.blocked.push({ key, ready });
    this.recordLeft();
  }

  /** Calls back when everything submitted has been answered and recorded, or never will be. */
  whenIdle(ready: () => void): void {
    if (this.phase === 'stopped' || this.isIdle) {
      ready();
      return;
    }
    this.idleListeners.push(ready);
    this.recordLeft();
  }

  /** Nothing more is executed, recorded or answered. Who waits for the queue to become idle need not wait longer. */
  stop(): void {
    this.phase = 'stopped';
    this.waiting = [];
    this.blocked = [];
    this.stopLingering();
    this.stopGathering();
    const listeners = this.idleListeners;
    this.idleListeners = [];
    for (const listener of listeners) listener();
  }

  private get isIdle(): boolean {
    const nothingLeft = this.waiting.length === 0 && this.flushing === null && this.executed.length === 0;
    return this.phase === 'idle' && nothingLeft;
  }

  /** For their record. Then groups come one after the other. */
  private get answersWait(): boolean {
    return this.volume.spec.writeThrough === true;
  }

  private beginGroup(): void {
    this.formGroup();
    if (this.group.length > 0 || (this.executed.length > 0 && this.answersWait)) this.record();
    else this.becomeIdle();
  }

  /** Without waiting for a next group: somebody needs the answers of the last one recorded. */
  private recordLeft(): void {
    if (this.phase === 'idle' && !this.scheduled && this.executed.length > 0) this.record();
  }

  private becomeIdle(): void {
    this.phase = 'idle';
    // Its end comes back to this.
    if (this.flushing !== null) return;
    if (this.executed.length > 0) {
      // Nobody has to wait for it, unless he asked meanwhile.
      if (this.blocked.length > 0 || this.idleListeners.length > 0) this.record();
      else this.lingerFor(LINGER_MS);
      return;
    }
    this.tellIdle();
  }

  private tellIdle(): void {
    const listeners = this.idleListeners;
    this.idleListeners = [];
    for (const listener of listeners) listener();
  }

  private lingerFor(ms: number): void {
    this.linger ??= setTimeout(() => this.lingered(), ms);
  }

  private lingered(): void {
    this.linger = null;
    if (this.phase === 'idle') this.record();
  }

  private stopLingering(): void {
    if (this.linger !== null) clearTimeout(this.linger);
    this.linger = null;
  }

  /** Answers of the group before, if they are not in the journal yet, and intents of this one. */
  private record(): void {
    this.stopLingering();
    this.phase = 'recording';
    for (const { change } of this.group) this.hooks.onStep(change.operation, 'beforeIntent');
    if (!this.allowed()) return;
    const { executed } = this;
    this.executed = [];
    const recorded = (error: Error | null): void => this.recorded(error, executed);
    if (this.hooks.journalDisabled) {
      setImmediate(recorded, null);
      return;
    }
    const { unrecorded, failures } = this;
    const waiting = this.answersWait ? executed.map(({ change }) => change) : [];
    const appended = this.append([...unrecorded, ...failures, ...waiting], this.group);
    if (appended === 'failed') return;
    this.failures = [];
    if (appended === 'noRoom') {
      this.executed = executed;
      this.refuseGroup();
      return;
    }
    this.unrecorded = [];
    this.announced = true;
    const { journal } = this.volume;
    const { intents } = this.hooks;
    if (this.group.length === 0 || intents === 'flush') journal.flush(recorded);
    else if (intents === 'writeOut') journal.writeOut(recorded);
    else setImmediate(recorded, null);
  }

  /** failed: the volume has. noRoom: nothing was appended, not even with the space of the reserve. */
  private append(
    answered: readonly Change[],
    announced: readonly Member[],
  ): 'appended' | 'noRoom' | 'failed' {
    const { journal, reserve } = this.volume;
    const replies = answered.map(({ results }) => payloadAround(results));
    const intents = announced.map(({ intent }) => intent);
    let result = journal.append(replies, intents, this);
    if (result < 0 && reserve.lend(result)) result = journal.append(replies, intents, this);
    if (result >= 0) return 'appended';
    const outcome = outcomeOf('write of the journal', -result);
    if (outcome.kind !== 'fault') {
      this.noRoom = failureOfResult(result);
      return 'noRoom';
    }
    this.failed(errnoName(-result), outcome.reason);
    return 'failed';
  }

  /** Its intents can't be recorded, so it can't be executed. Nobody waits for room: others have to make it. */
  private refuseGroup(): void {
    const { group, blocked, noRoom } = this;
    this.group = [];
    for (const { keys } of group) for (const key of keys) this.volume.changing.remove(key);
    for (const { change } of group) {
      change.refuse(noRoom);
      this.answer(change);
    }
    this.blocked = [];
    for (const { ready } of blocked) ready();
    this.phase = 'idle';
    if (this.flushing !== null) return;
    this.tellIdle();
    if (this.waiting.length > 0) this.schedule();
    else if (this.executed.length > 0) this.lingerFor(NO_ROOM_LINGER_MS);
  }

  /** Takes from the queue, in order, what has no conflict with anything before it. */
  private formGroup(): void {
    const later: Change[] = [];
    const taken = new Set<string>();
    /** What those before it that have to wait touch, and the group that is being flushed. */
    const deferred = keysOf(this.flushing ?? []);
    let bytes = 0;
    for (const change of this.waiting) {
      if (!change.isStillAllowed()) {
        this.answerFailure(change);
        continue;
      }
      const keys = change.conflictKeys();
      const full = this.group.length >= GROUP_COUNT_MAX || bytes > GROUP_BYTES_MAX;
      if (full || keys.some((key) => taken.has(key) || deferred.has(key))) {
        for (const key of keys) deferred.add(key);
        later.push(change);
      } else if (change.examine() && !this.lacksRoom(change)) {
        for (const key of keys) taken.add(key);
        const intent = change.intent();
        this.group.push({ change, keys, intent });
        bytes += intent.length;
      } else {
        this.answerFailure(change);
      }
    }
    this.waiting = later;
    for (const { keys } of this.group) for (const key of keys) this.volume.changing.add(key);
  }

  /** It changed nothing. */
  private answerFailure(change: Change): void {
    if (this.failures.length >= FAILURES_MAX) this.failures.shift();
    this.failures.push(change);
    this.answer(change);
  }

  /** Refuses what needs space while the journal needs all there is. */
  private lacksRoom(change: Change): boolean {
    const { shortage } = this.volume.reserve;
    if (shortage === null || !change.grows) return false;
    change.refuse(shortage);
    return true;
  }

  /** Answers of `executed`, which was answered before, and intents of this group are in the journal for good. */
  private recorded(error: Error | null, executed: readonly Member[]): void {
    if (this.phase === 'stopped') return;
    if (error !== null) {
      this.failed(error.message);
      return;
    }
    if (this.answersWait) this.answerAll(executed);
    this.release(executed);
    if (this.group.length > 0) this.executeGroup();
    else this.goOn();
  }

  /** What the operations touched may be changed again, except by WRITEs to what others are about to touch. */
  private release(executed: readonly Member[]): void {
    if (executed.length === 0) return;
    const { changing } = this.volume;
    for (const { keys, change } of executed) {
      for (const key of keys) changing.remove(key);
      if (change.madeKey !== null) changing.remove(change.madeKey);
    }
    const { blocked } = this;
    this.blocked = [];
    for (const { key, ready } of blocked) this.whenUnchanging(key, ready);
  }

  private answerAll(executed: readonly Member[]): void {
    for (const { change } of executed) this.hooks.onStep(change.operation, 'afterReplyRecord');
    for (const { change } of executed) this.answer(change);
    this.pacing.noteAnswered(executed.length, this.waiting.length, performance.now());
  }

  private answer(change: Change): void {
    this.hooks.onStep(change.operation, 'beforeAnswer');
    const listeners: readonly AnswerListener[] = this.replyCache.complete(change.key, change.results);
    for (const listener of listeners) listener(change.results);
  }

  private executeGroup(): void {
    for (const { change } of this.group) this.hooks.onStep(change.operation, 'afterIntent');
    this.executeFrom(0);
  }

  /**
   * Beside a flush not all at once: when that ends, its operations are answered and the next ones come while the rest of these
   * are executed, and neither has to wait for them.
   */
  private executeFrom(first: number): void {
    const { group, flushing } = this;
    const end = flushing === null ? group.length : Math.min(first + SLICE_COUNT, group.length);
    const begunAt = performance.now();
    for (const { change } of group.slice(first, end)) {
      if (!this.allowed()) return;
      change.execute(this.flushes);
      if (change.madeKey !== null) this.volume.changing.add(change.madeKey);
      this.hooks.onStep(change.operation, 'afterExecution');
    }
    this.pacing.noteExecution((performance.now() - begunAt) / (end - first));
    if (end < group.length) {
      setImmediate(() => {
        if (this.phase !== 'stopped') this.executeFrom(end);
      });
      return;
    }
    this.phase = 'executed';
    if (this.flushing === null) this.flushGroup();
  }

  private flushGroup(): void {
    const members = this.group;
    this.group = [];
    this.announced = false;
    this.flushing = members;
    const begunAt = performance.now();
    this.flushes.flush((result, issued) => {
      this.pacing.noteFlush(performance.now() - begunAt);
      this.flushed(members, result, issued);
    });
    if (this.answersWait || this.phase !== 'executed') return;
    this.phase = 'idle';
    if (this.waiting.length > 0) this.schedule();
  }

  /** `issued`: the device was flushed. It was not if all operations of the group failed. */
  private flushed(members: readonly Member[], result: number, issued: boolean): void {
    if (this.phase === 'stopped') return;
    if (result < 0) {
      this.failed(`errno ${-result} while flushing directories`);
      return;
    }
    const { journal } = this.volume;
    if (!issued && !this.hooks.journalDisabled) {
      // Every group ends with a flush: else two segments could be filled, and both lost.
      journal.flush((error) => {
        if (error !== null) this.failed(error.message);
        else if (this.phase !== 'stopped') this.durable(members);
      });
      return;
    }
    if (this.hooks.intents !== 'flush') journal.flushed();
    this.durable(members);
  }

  /** The operations' effects are on the disk. */
  private durable(members: readonly Member[]): void {
    for (const { change } of members) this.hooks.onStep(change.operation, 'afterFlush');
    this.flushing = null;
    this.executed.push(...members);
    if (!this.answersWait) {
      if (!this.allowed()) return;
      const changes = members.map(({ change }) => change);
      const appended = this.hooks.journalDisabled
        ? 'appended'
        : this.append([...this.unrecorded, ...changes], []);
      if (appended === 'failed') return;
      this.unrecorded = appended === 'appended' ? [] : [...this.unrecorded, ...changes];
      this.answerAll(members);
    }
    // The group that was executed meanwhile.
    if (this.phase === 'executed' && this.group.length > 0) this.flushGroup();
    else if (this.phase !== 'recording') this.goOn();
  }

  /** Nothing is in front: begins the next group, if it may begin; without one there are things to do all the same. */
  private goOn(): void {
    if (this.phase === 'stopped') return;
    this.phase = 'idle';
    const begins = this.waiting.length > 0 ? this.mayBegin() : this.flushing === null;
    if (begins) this.beginGroup();
  }

  private allowed(): boolean {
    if (this.hooks.mayServe() && !this.volume.failed) return true;
    this.stop();
    this.hooks.onStopped();
    return false;
  }

  private failed(detail: string, reason: FaultReason = 'IoError'): void {
    this.stop();
    this.volume.fail(
      reason,
      `volume ${this.volume.spec.name}: the journal could not be made durable: ${detail}`,
    );
  }

  /** JournalContents: operations without an answer, whose intents are in the journal already. */
  *intents(): Iterable<Uint8Array> {
    for (const { intent } of this.flushing ?? []) yield intent;
    if (this.announced) for (const { intent } of this.group) yield intent;
  }

  /** JournalContents: answers given until now. Those given later are appended anyway. */
  *replies(): Iterable<Uint8Array> {
    const answers = [...this.replyCache.answers()];
    for (const { results } of answers) yield payloadAround(results);
  }
}

function keysOf(members: readonly Member[]): Set<string> {
  const keys = new Set<string>();
  for (const { keys: own, change } of members) {
    for (const key of own) keys.add(key);
    if (change.madeKey !== null) keys.add(change.madeKey);
  }
  return keys;
}
