/** All broken variants, by name. */
import { step } from '../../pair/server.ts';
import { claimVariants } from './claim.ts';
import { driverVariants } from './driver.ts';
import { servingLeaseVariants } from './serving-lease.ts';
import { surroundingVariants } from './surroundings.ts';
import type { Step, Variant } from './variant.ts';

export const variants: readonly Variant[] = [
  ...servingLeaseVariants,
  ...claimVariants,
  ...driverVariants,
  ...surroundingVariants,
];

/** Throws RangeError for a name that there is not. */
export function variantNamed(name: string): Variant {
  const found = variants.find((variant) => variant.name === name);
  if (found !== undefined) return found;
  throw new RangeError(`no variant "${name}"; there are ${variants.map((one) => one.name).join(', ')}`);
}

/** The machine that a process runs: the real one, or the variant's. */
export function stepOf(variant: Variant | null): Step {
  return variant?.wrap?.(step) ?? step;
}
