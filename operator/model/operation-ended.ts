/** Whether the status of a FilerPairOperation says how it ended. Nothing is done for it any more. */

import type { FilerPairOperationObject } from './objects.ts';

export const hasEnded = ({ status }: Pick<FilerPairOperationObject, 'status'>): boolean =>
  status?.conditions?.some(
    (one) => one.status === 'True' && (one.type === 'Complete' || one.type === 'Failed'),
  ) === true;
