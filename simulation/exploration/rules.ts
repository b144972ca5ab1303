/** The rules of one exploration: the machine of pair/ as it is, or with a clause left out. */
import { DEFAULT_POLICY } from '../../pair/transfer-policy.ts';
import type { PairPolicy } from '../../pair/types.ts';
import type { Step, SurroundingFault, Variant } from '../variants/variant.ts';
import { stepOf } from '../variants/variants.ts';

export class Rules {
  readonly variant: Variant | null;
  readonly step: Step;
  readonly policy: PairPolicy;

  constructor(variant: Variant | null, policy: PairPolicy = DEFAULT_POLICY) {
    this.policy = policy;
    this.variant = variant;
    this.step = stepOf(variant);
  }

  has(fault: SurroundingFault): boolean {
    return this.variant?.fault === fault;
  }
}
