/**
 * Answers of the DNS, as a client would hear them: asked in the background, so that no pair waits for a DNS server. Until an
 * answer is there it is unknown.
 */

import { Resolver } from 'node:dns/promises';
import { answerKey, type DnsLookup, type DnsRecordType } from '../model/observed.ts';

/** A question is not repeated earlier than this, however often the pair is looked at. ms */
const FRESH_MS = 5_000;
/** Codes of node:dns for "there is no such name" and "it has no such record"; all others leave it unknown. */
const noSuchName: ReadonlySet<string> = new Set(['ENOTFOUND', 'ENODATA']);

export type DnsAnswer = readonly string[] | 'unknown';

/** A question to the DNS; throws as node:dns does. */
export type Ask = (name: string, type: DnsRecordType) => Promise<readonly string[]>;

export function askingDns(): Ask {
  const resolver = new Resolver({ timeout: 2_000, tries: 2 });
  return (name, type) => {
    switch (type) {
      case 'A':
        return resolver.resolve4(name);
      case 'AAAA':
        return resolver.resolve6(name);
      case 'CNAME':
        return resolver.resolveCname(name);
    }
  };
}

interface Known {
  readonly answer: DnsAnswer;
  readonly at: number;
  readonly asking: boolean;
}

const NEVER: Known = { answer: 'unknown', at: Number.NEGATIVE_INFINITY, asking: false };

/** Answers for all pairs, by `namespace/name`. */
export class DnsAnswers {
  readonly #ask: Ask;
  readonly #clock: () => number;
  readonly #pairs = new Map<string, Map<string, Known>>();

  constructor(ask: Ask, clock: () => number = Date.now) {
    this.#ask = ask;
    this.#clock = clock;
  }

  /** Answers that are known now, by answerKey(). */
  of(pair: string): Record<string, DnsAnswer> {
    const known = [...(this.#pairs.get(pair) ?? [])];
    return Object.fromEntries(known.map(([key, { answer }]) => [key, answer]));
  }

  /**
   * All that this pair wants to know: asks what is old, and forgets what is not wanted any more. `changed` is called
   * when an answer is another one than before.
   */
  want(pair: string, lookups: readonly DnsLookup[], changed: () => void): void {
    const before = this.#pairs.get(pair);
    const now = new Map<string, Known>();
    for (const question of lookups) {
      const key = answerKey(question.name, question.type);
      const known = before?.get(key) ?? NEVER;
      const old = !known.asking && this.#clock() - known.at >= FRESH_MS;
      now.set(key, old ? { ...known, asking: true } : known);
      if (old) void this.#askAgain(pair, key, question, changed);
    }
    if (now.size === 0) this.#pairs.delete(pair);
    else this.#pairs.set(pair, now);
  }

  async #askAgain(pair: string, key: string, question: DnsLookup, changed: () => void): Promise<void> {
    const answer = await this.#answer(question);
    const all = this.#pairs.get(pair);
    const known = all?.get(key);
    if (all === undefined || known === undefined) return;
    all.set(key, { answer, at: this.#clock(), asking: false });
    if (JSON.stringify(answer) !== JSON.stringify(known.answer)) changed();
  }

  async #answer({ name, type }: DnsLookup): Promise<DnsAnswer> {
    try {
      return (await this.#ask(name, type)).toSorted();
    } catch (error) {
      return noSuchName.has((error as NodeJS.ErrnoException).code ?? '') ? [] : 'unknown';
    }
  }
}
