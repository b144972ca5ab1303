// The registry of conditions of a FilerPair: each row is a condition of the status, in this order, and the question that it answers.
// The status, the events, and the test of the tables in docs/operator.md follow from it.

import type { ConditionResult } from '../model/condition-result.ts';
import type { Assessment } from './assessment.ts';
import { clientAddresses } from './client-addresses.ts';
import { degraded } from './degraded.ts';
import { namesPublished } from './names-published.ts';
import { progressing } from './progressing.ts';
import { ready } from './ready.ts';
import { takeoverPossible } from './takeover-possible.ts';

export interface ConditionKind {
  readonly type: string;
  /** Its status while the pair is well; another one is a warning. */
  readonly good: 'True' | 'False';
  /** Changes that are recorded as events: all; none; or all but changes to these reasons, which are part of every transition. */
  readonly events: 'all' | 'none' | { readonly passing: readonly string[] };
  /** Reasons that are news in a new pair too: what the spec says. */
  readonly newsFromStart?: readonly string[];
  /** Absent where it has nothing to say: null. Every pair has the others, also one whose spec cannot be understood. */
  readonly optional?: true;
  readonly result: (pair: Assessment) => ConditionResult | null;
}

export const conditions: readonly ConditionKind[] = [
  {
    type: 'Ready',
    good: 'True',
    events: { passing: ['HandingOver', 'Opening', 'DisksMoving'] },
    result: ready,
  },
  { type: 'TakeoverPossible', good: 'True', events: 'all', result: takeoverPossible },
  { type: 'Degraded', good: 'False', events: 'all', result: degraded },
  { type: 'Progressing', good: 'False', events: 'none', result: progressing },
  { type: 'NamesPublished', good: 'True', events: 'all', optional: true, result: namesPublished },
  {
    type: 'ClientAddressesKept',
    good: 'True',
    events: 'all',
    newsFromStart: ['Rewritten'],
    optional: true,
    result: clientAddresses,
  },
];
