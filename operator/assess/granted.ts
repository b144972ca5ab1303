// What the spec asks for beyond its own namespace the administrator has to grant (crds/grants.ts). The API server refuses the
// rest; a FilerPair that is there all the same is older than its policy, or the grant was withdrawn.

import { notGranted } from '../../crds/grants.ts';
import { type ConditionResult, isFalse } from '../model/condition-result.ts';
import { type Assessment, question } from './assessment.ts';

export const granted = question(({ spec, observed, settings }: Assessment): ConditionResult | null => {
  const refused = notGranted(spec, observed.namespace, settings.grants);
  return refused.length === 0
    ? null
    : isFalse(
        'NotGranted',
        `${refused.join(' ')} Nothing is made or changed for this FilerPair until it is granted, or the spec does without it; servers that run go on.`,
      );
});
