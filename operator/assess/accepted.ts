/**
 * Accepted: may the pair have what it asks for? The API server refuses most of what the class does not allow. A FilerPair that
 * is there all the same is older than the policy, or the class has changed since. Servers that run go on as they are.
 */

import { type ConditionResult, isFalse, isTrue } from '../model/condition-result.ts';
import { type Assessment, question } from './assessment.ts';

const SO =
  'Nothing is made or changed for this FilerPair until then; servers that run go on as they are, without the operator.';

export const accepted = question(({ className, classMissing, forbidden }: Assessment): ConditionResult => {
  if (classMissing)
    return isFalse(
      'ClassNotFound',
      `FilerPairClass ${className} does not exist, or cannot be understood. The administrator has to create it. ${SO}`,
    );
  if (forbidden.length > 0) return isFalse('ForbiddenByClass', `${forbidden.join(' ')} ${SO}`);
  return isTrue(
    'Accepted',
    className === null ? 'The spec needs no FilerPairClass.' : `FilerPairClass ${className} allows it.`,
  );
});

/** Result for a pair whose volumes' promises are not stated; there is nothing to assess. */
export const noStorageType = isFalse(
  'NoStorageType',
  `Nobody says what holds for the volumes: set spec.storage.type, or have the administrator say it of their StorageClass, the same for all, in spec.storage of the FilerPairClass. ${SO}`,
);
