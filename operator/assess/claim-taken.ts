/** Two FilerPairs that name one claim: one of them has it, and the other one leaves it alone, whatever it is asked for. */

import { labels } from '../../kubernetes/labels-and-annotations.ts';
import type { Assessment } from './assessment.ts';

/** Name of the FilerPair that has this claim, where that is not this one; null: nobody else has it. */
export function takenBy(view: Assessment, claimName: string): string | null {
  const others = view.observed.claimUsers[claimName] ?? [];
  if (others.length === 0) return null;
  const claim = view.observed.claims[claimName];
  const labelled = typeof claim === 'object' ? claim.metadata.labels?.[labels.pair] : undefined;
  const me = { name: view.observed.name, since: view.pair.metadata.creationTimestamp ?? '' };
  const all = [me, ...others];
  // The pair that has labelled it holds it; before that, the pair that was there first.
  const holder =
    all.find(({ name }) => name === labelled) ??
    all.reduce((first, one) => (`${one.since} ${one.name}` < `${first.since} ${first.name}` ? one : first));
  return holder === me ? null : holder.name;
}
