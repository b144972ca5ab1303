/** What an attempt says of actions that are refused, against a real HTTP server. */

import { afterEach, expect, test } from 'vitest';
import { createLogger, transports } from 'winston';
import { failure, type HttpApi, json, startHttpApi } from '../../kubernetes/http-api.fixture.ts';
import { operatorMetrics } from '../metrics/metrics.ts';
import type { Action } from '../model/action.ts';
import type { Problem } from '../model/observed.ts';
import { Executor } from './executor.ts';
import { PlanRun } from './plan-run.ts';
import { WriteBrake } from './write-brake.ts';

const KEY = 'storage/home';
const service = (name: string): Action => ({
  kind: 'apply',
  resource: 'services',
  expect: 'absent',
  why: 'it is missing',
  object: { metadata: { name, namespace: 'storage', labels: { 'filerpair.dev/pair': 'home' } } },
});

let api: HttpApi;
afterEach(() => api.close());

test('names that are taken stay told while the next try is held back, until they are free', async () => {
  let taken = true;
  api = await startHttpApi((seen, response) => {
    if (seen.method === 'PATCH') json(response, 201, { metadata: { resourceVersion: '1' } });
    else if (taken)
      json(response, 200, { metadata: { name: 'a', labels: { 'filerpair.dev/pair': 'other' } } });
    else json(response, 404, failure(404, 'NotFound'));
  });
  let now = 0;
  const options = {
    executor: new Executor(api.client, 'operator-1'),
    log: createLogger({ transports: [new transports.Console({ silent: true })] }),
    metrics: operatorMetrics({ queueLength: () => 0, pairs: () => [], leading: () => true }),
    mayAct: () => true,
    brake: new WriteBrake(() => now),
  };
  let known: ReadonlyMap<string, Problem> = new Map();
  const attempt = async (): Promise<string[]> => {
    const run = new PlanRun(options, KEY, null, known);
    await run.carryOut([service('home-a'), service('home-b')]);
    known = run.problemsByObject;
    return run.problems.map(({ reason }) => reason);
  };
  for (let round = 0; round < 30; round++)
    expect(await attempt(), `attempt ${round}`).toEqual(['NameTaken', 'NameTaken']);
  expect(api.seen.length, 'the last ones were held back').toBeLessThan(60);
  taken = false;
  now += 10_000;
  expect(await attempt()).toEqual([]);
});
