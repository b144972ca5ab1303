import { expect, test } from 'vitest';
import { apiOutage, type ScenarioOptions, stopAndStartOfBoth } from './scenarios.ts';
import type { Outcome } from './world.ts';

const SEEDS = 150;

test.each<[string, (seed: number, options?: ScenarioOptions) => Outcome]>([
  ['a pair of which only the API is gone serves, through resets and pauses', apiOutage],
  ['after a stop and a start of both each serves its own disk set', stopAndStartOfBoth],
])('%s', (_, scenario) => {
  for (let seed = 1; seed <= SEEDS; seed++) expect(scenario(seed).violations, `seed ${seed}`).toEqual([]);
});
