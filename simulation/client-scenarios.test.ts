import { describe, expect, test } from 'vitest';
import { type ClientScenarioOptions, crashLoop, refusedCall, strangersByName } from './client-scenarios.ts';
import type { ResendingFault } from './resending-client.ts';
import type { Outcome } from './world.ts';

type Scenario = (seed: number, options?: ClientScenarioOptions) => Outcome;

describe('a client with many calls under way', () => {
  test.each<[string, Scenario]>([
    ['gives up the call that every server answers by closing, and no other', refusedCall],
    ['gives up no call for a server that ends again and again', crashLoop],
    ['gets its answer from the disk set that it looks for alone, wherever names lead', strangersByName],
  ])('%s', (_, scenario) => {
    for (let seed = 1; seed <= 40; seed++) expect(scenario(seed).violations, `seed ${seed}`).toEqual([]);
  });

  // Each fault leaves out one decision of the client.
  test.each<[ResendingFault, Scenario, RegExp]>([
    ['noResendWindow', refusedCall, /others wait|and not call/],
    ['refusalIgnored', refusedCall, /others wait/],
    ['suspicionKept', crashLoop, /was given up as one that no server takes/],
    ['unprovenTakenAsProven', strangersByName, /the server of \S+ answered call/],
    ['strangerAdopted', strangersByName, /the server of \S+ answered call/],
  ])('is seen to have the fault %s', (fault, scenario, violation) => {
    const found: string[] = [];
    for (let seed = 1; seed <= 20 && found.length === 0; seed++)
      found.push(...scenario(seed, { fault }).violations);
    expect(found.join()).toMatch(violation);
  });
});
