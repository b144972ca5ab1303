import { expect, test } from 'vitest';
import { apiOutage, type ScenarioOptions, stopAndStartOfBoth, witnessGoesBack } from './scenarios.ts';
import type { Outcome } from './world.ts';

const SEEDS = 60;

test.each<[string, (seed: number, options?: ScenarioOptions) => Outcome]>([
  ['a pair of which only the API is gone serves, through resets and pauses', apiOutage],
  [
    'a witness that goes back is written again by the owners, and nobody asks it without a pause',
    witnessGoesBack,
  ],
  ['after a stop and a start of both each serves its own disk set', stopAndStartOfBoth],
])('%s', (_, scenario) => {
  for (let seed = 1; seed <= SEEDS; seed++) expect(scenario(seed).violations, `seed ${seed}`).toEqual([]);
});
