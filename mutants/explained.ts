/** Mutants that no test can notice, or should, with the reason. One that is not found any more fails the run. */
import { duplicateRequestsExplained } from './explained/duplicate-requests.ts';
import type { Explained } from './explained/explained-mutant.ts';
import { journalExplained } from './explained/journal.ts';
import { nfs3Explained } from './explained/nfs3.ts';
import { operatorExplained } from './explained/operator.ts';
import { pairExplained } from './explained/pair.ts';
import { servingExplained } from './explained/serving.ts';

export const EXPLAINED: readonly Explained[] = [
  ...pairExplained,
  ...journalExplained,
  ...duplicateRequestsExplained,
  ...nfs3Explained,
  ...servingExplained,
  ...operatorExplained,
];
