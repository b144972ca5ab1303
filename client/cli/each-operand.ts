/** The same thing for several operands: what fails for one is told at once, and the others are done all the same. */
import { CallTimeout } from '../errors.ts';
import { CommandError, type Surroundings, UsageError } from './command.ts';
import { tell } from './explain.ts';

/** Throws when all are done, if any failed; at once if the next ones would only fail in the same way. */
export async function forEachOperand(
  operands: readonly string[],
  world: Surroundings,
  act: (operand: string) => Promise<void>,
): Promise<void> {
  let failed = 0;
  for (const operand of operands) {
    try {
      await act(operand);
    } catch (error) {
      const hopeless = error instanceof CallTimeout || error instanceof UsageError || world.stop.aborted;
      if (hopeless || operands.length === 1) throw error;
      tell(error, world.stderr);
      failed += 1;
    }
  }
  if (failed > 0) throw new CommandError(`${failed} of ${operands.length} failed, the others are done`);
}
