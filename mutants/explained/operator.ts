/** Explained mutants of the operator’s proofs. */
import type { Explained } from './explained-mutant.ts';

export const operatorExplained: readonly Explained[] = [
  {
    file: 'operator/model/death-proof.ts',
    line: 'if (lease.holder === null) return null;',
    code: 'lease.holder === null',
    becomes: 'false',
    why: 'A Lease without a holder names no pod either, and none is found.',
  },
];
