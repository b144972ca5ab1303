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
  {
    file: 'operator/assess/owner-life.ts',
    line: 'lease === null || owner === null || survivor === null',
    code: '||',
    becomes: '&&',
    why: 'Without a Lease no owner is found, and without an owner no partner of it.',
  },
  {
    file: 'operator/assess/operations/unfinished.ts',
    line: 'age(a) < age(b)',
    code: '<',
    becomes: '<=',
    why: 'No two operations of a namespace have the same name, so none have the same age.',
  },
  {
    file: 'operator/plan/disk-set-records.ts',
    line: 'a.volume < b.volume',
    code: '<',
    becomes: '<=',
    why: 'A record has one entry for a volume.',
  },
  {
    file: 'operator/plan/disk-set-records.ts',
    line: 'if (record === null) return [];',
    code: 'record === null',
    becomes: 'false',
    why: 'For the compiler: a claim is given up only where its record names it (recreate-claim.ts).',
  },
  {
    file: 'operator/plan/operation-actions.ts',
    line: 'lease === null',
    code: 'lease === null',
    becomes: 'false',
    why: 'For the compiler: answered requests are found on Leases.',
  },
  {
    file: 'operator/plan/operation-actions.ts',
    line: 'if (first === undefined || step === null) return [];',
    code: '||',
    becomes: '&&',
    why: 'There is a step exactly when there is an operation (snapshotAsked).',
  },
];
