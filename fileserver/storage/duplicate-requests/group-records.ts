/**
 * Appends the records of groups to the journal of a volume: intents, and replies of operations that are durable. Without room the
 * space of the reserve is lent (journal-reserve.ts). If there is none all the same, replies that were given are appended with the
 * next record.
 */
import { REFUSED } from '../../system/write-gate.ts';
import { errnoName, outcomeOf } from '../failures/errno-outcomes.ts';
import type { FaultReason } from '../failures/fault-reason.ts';
import { failureOfResult, type VolumeFailure } from '../failures/status.ts';
import type { JournalContents } from '../journal/journal.ts';
import { payloadAround } from '../journal/journal-payloads.ts';
import type { Volume } from '../volume/volume.ts';
import type { Member } from './group-member.ts';
import type { Done } from './journaled-operation.ts';

/** Answers of failures recorded with a group; older ones are in memory only. They change nothing: asked again, they fail again. */
const FAILURES_MAX = 512;

/** failed: the volume has. noRoom: nothing was appended, not even with the space of the reserve. */
export type Appended = 'appended' | 'noRoom' | 'failed';

export interface GroupRecordsHooks {
  /** May anything be changed at this moment? If not, the operation log is stopped. */
  readonly allowed: () => boolean;
  readonly onFailed: (detail: string, reason: FaultReason) => void;
}

export class GroupRecords {
  readonly #volume: Volume;
  readonly #contents: JournalContents;
  readonly #hooks: GroupRecordsHooks;
  /** Given, but there was no room to append them: appended with the next record. */
  #unrecorded: Done[] = [];
  /** Operations that changed nothing: they are recorded along with the next group, and no answer waits for it. */
  #failures: Done[] = [];
  /** Why there was no room last. */
  noRoom: VolumeFailure = 'noSpace';

  constructor(volume: Volume, contents: JournalContents, hooks: GroupRecordsHooks) {
    this.#volume = volume;
    this.#contents = contents;
    this.#hooks = hooks;
  }

  keepFailure(done: Done): void {
    if (this.#failures.length >= FAILURES_MAX) this.#failures.shift();
    this.#failures.push(done);
  }

  /** Intents of a group, and replies that wait for their record. */
  appendGroup(replies: readonly Done[], group: readonly Member[]): Appended {
    const appended = this.#append([...this.#unrecorded, ...this.#failures, ...replies], group);
    if (appended === 'failed') return appended;
    this.#failures = [];
    if (appended === 'appended') this.#unrecorded = [];
    return appended;
  }

  /** Replies that are given whether there is room or not. */
  appendReplies(replies: readonly Done[]): Appended {
    const all = [...this.#unrecorded, ...replies];
    const appended = this.#append(all, []);
    this.#unrecorded = appended === 'appended' ? [] : all;
    return appended;
  }

  #append(answered: readonly Done[], announced: readonly Member[]): Appended {
    const { journal, reserve } = this.#volume;
    const replies = answered.map(({ key, results }) => payloadAround(key, results));
    const intents = announced.map(({ intent }) => intent);
    let result = journal.append(replies, intents, this.#contents);
    if (result < 0 && reserve.lend(this.#volume.gate, result))
      result = journal.append(replies, intents, this.#contents);
    if (result >= 0) return 'appended';
    if (result === REFUSED && !this.#hooks.allowed()) return 'failed';
    const outcome = outcomeOf('write of the journal', -result);
    if (outcome.kind !== 'fault') {
      this.noRoom = failureOfResult(result);
      return 'noRoom';
    }
    this.#hooks.onFailed(errnoName(-result), outcome.reason);
    return 'failed';
  }
}
