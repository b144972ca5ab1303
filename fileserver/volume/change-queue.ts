/**
 * Executes the operations that must not be executed twice, in groups that share their flushes:
 *
 *   group n     examine | intents  | execute | flush files    | answers  | answered
 *   group n+1           .          .         . examine        | intents  | execute | ...
 *   disk                 journal^             directories^      journal^
 *
 * One flush of the journal carries the answers of one group and the intents of the next. An operation is executed
 * only when its intent is durable, its answer is recorded only when its effects are durable, and it is answered
 * only when that record is durable. So after a crash at any point:
 *
 *   no intent              not executed; the request that is sent again is executed
 *   intent, no answer      recovery.ts looks at the file system whether it was executed; if so it is completed and
 *                          answered, else forgotten
 *   answer                 the request that is sent again gets it
 *
 * Within a group no two operations touch the same name or the same object, for then the state before the second
 * could not be told from the state before the first. An operation that would waits for the next group.
 */
import { constants } from 'node:os';
import type { OperationStep } from '../data/messages.ts';
import type { FileTable } from './file-table.ts';
import { FlushSet } from './flush-set.ts';
import type { JournalContents } from './journal.ts';
import { encodeReplyRecord } from './journal-payloads.ts';
import type { AnswerListener, ReplyCache } from './reply-cache.ts';
import type { Volume } from './volume.ts';

/** Operations of one group, and bytes of their intents: so that any group fits into a journal segment. */
const GROUP_COUNT_MAX = 256;
const GROUP_BYTES_MAX = 1024 * 1024;
/** Answers of failures recorded with a group; older ones are in memory only. They change nothing: asked again, they fail again. */
const FAILURES_MAX = 512;

/** One non-idempotent request, from its examination to its results. */
export interface Change {
  /** RFC 1813's name: CREATE, RENAME... */
  readonly operation: string;
  /** Of the request, for the duplicate request cache. */
  readonly key: string;
  /**
   * Names and objects it touches at this moment, as strings that are equal for the same name or object. Asked
   * again when the operation had to wait, since by then a name may stand for something else.
   */
  conflictKeys(): readonly string[];
  /** Looks at the state before. false: it can't succeed, `results` say why, and nothing was changed. */
  examine(): boolean;
  /** The journal's record of what is about to happen. After examine(). */
  intent(): Uint8Array;
  /** Does it; `results` are complete afterwards, whether it succeeded or not. */
  execute(flushes: FlushSet): void;
  results: Uint8Array;
}

export interface ChangeQueueHooks {
  /** R2: may this server change the volume at this moment? */
  readonly mayServe: () => boolean;
  /** The right is gone or the volume has failed: nothing that runs may be answered. */
  readonly onStopped: () => void;
  /** For the test that kills the process at a step. */
  readonly onStep: (operation: string, step: OperationStep) => void;
  /** Executes without a journal and without remembering answers: only to show that tests can fail. */
  readonly journalDisabled: boolean;
}

interface Member {
  readonly change: Change;
  readonly keys: readonly string[];
  readonly intent: Uint8Array;
}

type Phase = 'idle' | 'recordingIntents' | 'flushing' | 'stopped';

export class ChangeQueue implements JournalContents {
  readonly replyCache: ReplyCache;
  private readonly volume: Volume;
  private readonly hooks: ChangeQueueHooks;
  private readonly flushes: FlushSet;
  private phase: Phase;
  private waiting: Change[];
  /** Intents (to be) recorded, not yet executed or just being flushed. */
  private group: Member[];
  /** Executed and durable; answers not recorded yet, or being recorded. */
  private executed: Member[];
  /** Answers of failures that changed nothing: recorded along with the next group, nobody waits for it. */
  private failures: Change[];
  /** Conflict keys of everything in `group` and `executed` are in volume.changing; who waits for them is here. */
  private blocked: (() => void)[];
  private idleListeners: (() => void)[];
  private scheduled: boolean;

  constructor(volume: Volume, table: FileTable, replyCache: ReplyCache, hooks: ChangeQueueHooks) {
    this.replyCache = replyCache;
    this.volume = volume;
    this.hooks = hooks;
    this.flushes = new FlushSet(volume, table);
    this.phase = 'idle';
    this.waiting = [];
    this.group = [];
    this.executed = [];
    this.failures = [];
    this.blocked = [];
    this.idleListeners = [];
    this.scheduled = false;
  }

  /** Takes a request that ReplyCache.admit() said is to be executed. Its answer goes to the cache's listeners. */
  submit(change: Change): void {
    if (this.phase === 'stopped') return;
    this.waiting.push(change);
    if (this.phase !== 'idle' || this.scheduled) return;
    // Not at once: what else has arrived with the same packets belongs into the same group.
    this.scheduled = true;
    setImmediate(() => {
      this.scheduled = false;
      if (this.phase === 'idle') this.beginGroup();
    });
  }

  /** Calls back when no operation that runs touches the object; at once if none does. For WRITE. */
  whenUnchanging(key: string, ready: () => void): void {
    if (!this.volume.changing.has(key)) ready();
    else this.blocked.push(() => this.whenUnchanging(key, ready));
  }

  /** Calls back when everything submitted has been answered, or never will be. */
  whenIdle(ready: () => void): void {
    if (this.phase === 'stopped' || (this.phase === 'idle' && this.waiting.length === 0)) ready();
    else this.idleListeners.push(ready);
  }

  /** Nothing more is executed, recorded or answered. Who waits for the queue to become idle need not wait longer. */
  stop(): void {
    this.phase = 'stopped';
    this.waiting = [];
    this.blocked = [];
    const listeners = this.idleListeners;
    this.idleListeners = [];
    for (const listener of listeners) listener();
  }

  private beginGroup(): void {
    this.formGroup();
    if (this.group.length === 0 && this.executed.length === 0) {
      this.becomeIdle();
      return;
    }
    this.phase = 'recordingIntents';
    if (this.hooks.journalDisabled) {
      setImmediate(() => this.recorded(null));
      return;
    }
    for (const { change } of this.group) this.hooks.onStep(change.operation, 'beforeIntent');
    if (!this.allowed()) return;
    const answered = [...this.failures, ...this.executed.map(({ change }) => change)];
    const replies = answered.map(({ key, results }) => encodeReplyRecord(key, results));
    this.failures = [];
    const intents = this.group.map(({ intent }) => intent);
    const result = this.volume.journal.append(replies, intents, this);
    if (result < 0) {
      this.failed(result === -constants.errno.ENOSPC ? 'JournalFull' : 'IoError', `errno ${-result}`);
      return;
    }
    this.volume.journal.flush((error) => this.recorded(error));
  }

  private becomeIdle(): void {
    this.phase = 'idle';
    const listeners = this.idleListeners;
    this.idleListeners = [];
    for (const listener of listeners) listener();
  }

  /** Takes from the queue, in order, what has no conflict with anything before it. */
  private formGroup(): void {
    const later: Change[] = [];
    const deferred = new Set<string>();
    let bytes = 0;
    for (const change of this.waiting) {
      const keys = change.conflictKeys();
      const full = this.group.length >= GROUP_COUNT_MAX || bytes > GROUP_BYTES_MAX;
      if (full || keys.some((key) => this.volume.changing.has(key) || deferred.has(key))) {
        for (const key of keys) deferred.add(key);
        later.push(change);
      } else if (change.examine()) {
        for (const key of keys) this.volume.changing.add(key);
        const intent = change.intent();
        this.group.push({ change, keys, intent });
        bytes += intent.length;
      } else {
        if (this.failures.length >= FAILURES_MAX) this.failures.shift();
        this.failures.push(change);
        this.answer(change);
      }
    }
    this.waiting = later;
  }

  /** The flush of the journal is over: the group before is answered, this one executed. */
  private recorded(error: Error | null): void {
    if (this.phase === 'stopped') return;
    if (error !== null) {
      this.failed('IoError', error.message);
      return;
    }
    this.answerExecuted();
    this.executeGroup();
  }

  private answerExecuted(): void {
    const { executed } = this;
    this.executed = [];
    for (const { change } of executed) this.hooks.onStep(change.operation, 'afterReplyRecord');
    for (const { keys } of executed) for (const key of keys) this.volume.changing.delete(key);
    for (const { change } of executed) this.answer(change);
    if (executed.length === 0) return;
    const { blocked } = this;
    this.blocked = [];
    for (const retry of blocked) retry();
  }

  private answer(change: Change): void {
    this.hooks.onStep(change.operation, 'beforeAnswer');
    const listeners: readonly AnswerListener[] = this.replyCache.complete(change.key, change.results);
    for (const listener of listeners) listener(change.results);
  }

  private executeGroup(): void {
    for (const { change } of this.group) this.hooks.onStep(change.operation, 'afterIntent');
    for (const { change } of this.group) {
      if (!this.allowed()) return;
      change.execute(this.flushes);
      this.hooks.onStep(change.operation, 'afterExecution');
    }
    this.phase = 'flushing';
    this.flushes.flush((result) => this.flushed(result));
  }

  private flushed(result: number): void {
    if (this.phase === 'stopped') return;
    if (result < 0) {
      this.failed('IoError', `errno ${-result} while flushing directories`);
      return;
    }
    for (const { change } of this.group) this.hooks.onStep(change.operation, 'afterFlush');
    this.executed = this.group;
    this.group = [];
    this.beginGroup();
  }

  private allowed(): boolean {
    if (this.hooks.mayServe() && !this.volume.failed) return true;
    this.stop();
    this.hooks.onStopped();
    return false;
  }

  private failed(reason: 'IoError' | 'JournalFull', detail: string): void {
    this.stop();
    this.volume.fail(
      reason,
      `volume ${this.volume.spec.name}: the journal could not be made durable: ${detail}`,
    );
  }

  /**
   * JournalContents: what a new segment begins with. Intents need no copying: those of the group before have their
   * answers in the batch that begins the segment, those of the next group are in it themselves.
   */
  *replies(): Iterable<Uint8Array> {
    for (const { key, results } of this.replyCache.answers()) yield encodeReplyRecord(key, results);
  }
}
