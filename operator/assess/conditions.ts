/**
 * The registry of conditions of a FilerPair: each row is a condition of the status, in this order, and the question that it
 * answers. The status, the events, and the test of the tables in docs/operator.md follow from it.
 */

import type { ConditionResult } from '../model/condition-result.ts';
import { accepted } from './accepted.ts';
import type { Assessment } from './assessment.ts';
import { atHome } from './at-home.ts';
import { clientAddresses } from './client-addresses.ts';
import { degraded } from './degraded.ts';
import { underMaintenance } from './maintenance.ts';
import { namesPublished } from './names-published.ts';
import { progressing } from './progressing.ts';
import { ready } from './ready.ts';
import { reconciling, stalled } from './reconciling.ts';
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
  { type: 'AtHome', good: 'True', events: 'none', result: atHome },
  { type: 'Degraded', good: 'False', events: 'all', result: degraded },
  { type: 'Progressing', good: 'False', events: 'none', result: progressing },
  {
    type: 'Maintenance',
    good: 'False',
    events: 'all',
    newsFromStart: ['Draining', 'MovesPaused'],
    result: underMaintenance,
  },
  {
    type: 'Accepted',
    good: 'True',
    events: 'all',
    newsFromStart: ['ForbiddenByClass', 'ClassNotFound'],
    result: accepted,
  },
  { type: 'Reconciling', good: 'False', events: 'none', result: reconciling },
  { type: 'Stalled', good: 'False', events: 'none', result: stalled },
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
