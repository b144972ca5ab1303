/**
 * One assessment is made for each reconcile: what is known of the pair, and the answers given about it so far. So each question
 * is answered once, however many conditions, actions and other questions need the answer.
 */

import type { View } from '../model/view.ts';

/** Subject of questions: any kind of ours, with the answers so far. */
export interface Assessed {
  /** By the function that answers, then by what it was asked about. */
  readonly answers: Map<unknown, Map<unknown, unknown>>;
}

/** The assessment of a FilerPair. */
export type Assessment = View & Assessed;

export const assess = <Known extends object>(known: Known): Known & Assessed => ({
  ...known,
  answers: new Map(),
});

/**
 * A question about what is assessed, or about one part of it, such as a server.
 *
 * @param answer computes the answer. It is called once for each assessment and part, at the first use; not for null and undefined again
 *   either.
 */
export const question =
  <Known extends Assessed, Part extends readonly [part?: object], Answer>(
    answer: (known: Known, ...part: Part) => Answer,
  ): ((known: Known, ...part: Part) => Answer) =>
  (known, ...part) => {
    const given = known.answers.get(answer) ?? new Map<unknown, unknown>();
    known.answers.set(answer, given);
    if (!given.has(part[0])) given.set(part[0], answer(known, ...part));
    return given.get(part[0]) as Answer;
  };
