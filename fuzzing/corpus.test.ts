/** What the fuzzing has kept, again with each target: what was broken once does not break again. */
import { describe, expect, it } from 'vitest';
import { keptFile, readInputs } from './corpus.ts';
import { targets } from './targets/index.ts';

describe.each(targets)('$name', (target) => {
  it('holds for the inputs of the corpus and for those of the right form', async () => {
    const inputs = [...target.seeds(), ...readInputs(keptFile(target.name))];
    expect(inputs.length).toBeGreaterThan(2);
    for (const input of inputs) await target.run(input);
    await target.end?.();
  }, 120_000);
});
