/**
 * Users' groups as a data thread knows them: asked of the group thread, remembered, asked again in the background when they have
 * become old. Only the first request of a user waits.
 */

import { BroadcastChannel } from 'node:worker_threads';
import { nextTurn, repeat } from '../system/turns.ts';
import type { GroupMessage, GroupQuestion } from './messages.ts';

//   unknown user     the groups of their credential count, as with every NFS server
//   no answer        the last that was known; for a user of whom nothing is known, their credential's

/** An answer is asked for again after this long. ms */
const FRESH_MS = 300_000;
/** After an error, or without an answer, sooner. ms */
const RETRY_MS = 10_000;
/** The first request of a user waits so long at most. ms */
const PATIENCE_MS = 5000;
const USERS_MAX = 16_384;
/** Users waited for at the same time: a client that makes up users must not fill the memory. */
const WAITING_MAX = 1024;

interface Entry {
  /** null: the credential's count. */
  groups: readonly number[] | null;
  settled: boolean;
  askAgainAt: number;
  waiting: (() => void)[];
}

export interface GroupDirectoryOptions {
  readonly channelName: string;
  /** For tests. */
  readonly patienceMs?: number;
  readonly freshMs?: number;
}

export class GroupDirectory {
  /** Another one: what callers have remembered of users may be out of date. */
  generation: number;
  readonly #channel: BroadcastChannel;
  readonly #entries: Map<number, Entry>;
  readonly #options: GroupDirectoryOptions;
  readonly #timer: NodeJS.Timeout;
  #unsettled: number;

  constructor(options: GroupDirectoryOptions) {
    const { channelName, freshMs = FRESH_MS } = options;
    this.#options = options;
    this.generation = 0;
    this.#entries = new Map();
    this.#unsettled = 0;
    this.#channel = new BroadcastChannel(channelName);
    this.#channel.onmessage = (event: unknown) => this.#receive((event as { data: GroupMessage }).data);
    this.#channel.unref();
    // Has callers ask again, and so find what has become old.
    this.#timer = repeat(() => {
      this.generation += 1;
    }, freshMs);
    this.#timer.unref();
  }

  /** undefined: not known yet; wait() says when. null: the credential's groups count. */
  find(uid: number): readonly number[] | null | undefined {
    let entry = this.#entries.get(uid);
    if (entry === undefined) {
      if (this.#unsettled >= WAITING_MAX) return null;
      entry = { groups: null, settled: false, askAgainAt: 0, waiting: [] };
      this.#add(uid, entry);
      this.#ask(uid, entry);
      setTimeout(() => this.#settle(entry!), this.#options.patienceMs ?? PATIENCE_MS).unref();
    } else if (performance.now() > entry.askAgainAt) this.#ask(uid, entry);
    return entry.settled ? entry.groups : undefined;
  }

  /** Calls back once find() has an answer: never later than the patience for a name service lasts. */
  wait(uid: number, ready: () => void): void {
    const entry = this.#entries.get(uid);
    if (entry === undefined || entry.settled) nextTurn(ready);
    else entry.waiting.push(ready);
  }

  close(): void {
    clearInterval(this.#timer);
    this.#channel.close();
  }

  #add(uid: number, entry: Entry): void {
    this.#unsettled += 1;
    this.#entries.set(uid, entry);
    if (this.#entries.size <= USERS_MAX) return;
    for (const [old, { settled }] of this.#entries) {
      if (!settled) continue;
      this.#entries.delete(old);
      return;
    }
  }

  #ask(uid: number, entry: Entry): void {
    entry.askAgainAt = performance.now() + RETRY_MS;
    this.#channel.postMessage({ kind: 'question', uid } satisfies GroupQuestion);
  }

  #receive(message: GroupMessage): void {
    if (message.kind !== 'answer') return;
    let entry = this.#entries.get(message.uid);
    if (entry === undefined) {
      // Another thread asked. The same user will come here next.
      entry = { groups: null, settled: false, askAgainAt: 0, waiting: [] };
      this.#add(message.uid, entry);
    }
    if (message.error !== null) {
      this.#settle(entry);
      return;
    }
    entry.askAgainAt = performance.now() + (this.#options.freshMs ?? FRESH_MS);
    const changed = entry.groups?.join() !== message.groups?.join();
    entry.groups = message.groups;
    if (entry.settled && changed) this.generation += 1;
    this.#settle(entry);
  }

  #settle(entry: Entry): void {
    if (entry.settled) return;
    entry.settled = true;
    this.#unsettled -= 1;
    const { waiting } = entry;
    entry.waiting = [];
    for (const ready of waiting) ready();
  }
}

/** Directory for a thread; null: users' groups are not looked up. */
export function groupsOf(channelName: string | undefined): GroupDirectory | null {
  return channelName === undefined ? null : new GroupDirectory({ channelName });
}
