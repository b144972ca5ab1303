import { expect, test } from 'vitest';
import {
  apiOutage,
  oneVolumeHangs,
  type ScenarioOptions,
  stopAndStartOfBoth,
  witnessGoesBack,
  witnessGoesBackUnseen,
  youngPodCutOff,
} from './scenarios.ts';
import { variantNamed } from './variants/variants.ts';
import type { Outcome } from './world.ts';

const SEEDS = 60;

test.each<[string, (seed: number, options?: ScenarioOptions) => Outcome]>([
  ['a pair of which only the API is gone serves, through resets and pauses', apiOutage],
  [
    'a witness that goes back is written again by the owners, and nobody asks it without a pause',
    witnessGoesBack,
  ],
  [
    'a witness that goes back while nobody runs: volumes refuse, and that holds until somebody forces it',
    witnessGoesBackUnseen,
  ],
  ['after a stop and a start of both each serves its own disk set', stopAndStartOfBoth],
  ['who does not reach the witness is not the one who may follow', youngPodCutOff],
  ['one volume that hangs moves its disk set, or costs itself alone', oneVolumeHangs],
])('%s', { timeout: 120_000 }, (_, scenario) => {
  for (let seed = 1; seed <= SEEDS; seed++) expect(scenario(seed).violations, `seed ${seed}`).toEqual([]);
});

test('a refusal that is not written on the Lease is worn down by restarts: VerdictUntold', () => {
  const { violations } = witnessGoesBackUnseen(1, { variant: variantNamed('VerdictUntold') });
  expect(violations.join()).toMatch(/has tried .* again though|was claimed \d+ times/);
});

test('a server that may follow and cannot costs the service: WitnessSilenceUnheard', () => {
  const variant = variantNamed('WitnessSilenceUnheard');
  const found: string[] = [];
  for (let seed = 1; seed <= SEEDS && found.length === 0; seed++)
    found.push(...youngPodCutOff(seed, { variant }).violations);
  expect(found.join()).toMatch(/no process serves|is not served any more/);
});
