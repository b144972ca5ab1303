/** What a node could still give, as the scheduler counts, against a real HTTP server. */

import { afterEach, expect, test } from 'vitest';
import { failure, type HttpApi, json, startHttpApi } from '../../kubernetes/http-api.fixture.ts';
import { pause } from '../../testing/pause.ts';
import { NodeCapacities, requestsOf } from './node-capacity.ts';

let api: HttpApi;
afterEach(() => api?.close());

const container = (cpu: string, memory: string, restartPolicy?: string) => ({
  ...(restartPolicy && { restartPolicy }),
  resources: { requests: { cpu, memory } },
});
const pod = (phase: string, ...containers: object[]) => ({
  metadata: { name: `pod-${phase}` },
  spec: { containers },
  status: { phase },
});

test('is what it has, less what the pods there request that have not ended', async () => {
  const selectors: (string | null)[] = [];
  api = await startHttpApi(({ path, query }, response) => {
    if (path.endsWith('/nodes/node-2'))
      return json(response, 200, {
        metadata: { name: 'node-2' },
        status: { allocatable: { cpu: '2', memory: '4Gi', pods: '110' } },
      });
    selectors.push(query.get('fieldSelector'));
    return json(response, 200, {
      metadata: {},
      items: [
        pod('Running', container('500m', '1Gi'), container('250m', '512Mi')),
        pod('Pending', container('1', '0')),
        pod('Succeeded', container('1', '1Gi')),
        pod('Failed', container('1', '1Gi')),
      ],
    });
  });
  const rooms = new NodeCapacities(api.client);
  const changes: number[] = [];
  const of = () => rooms.of(['node-2', 'node-2'], () => changes.push(1));
  expect(of(), 'not known yet').toEqual({});
  await expect.poll(() => changes.length).toBe(1);
  expect(of()).toEqual({ 'node-2': { cpu: 0.25, memory: 2.5 * 2 ** 30, pods: 108 } });
  expect(selectors, 'asked for once').toEqual(['spec.nodeName=node-2']);
});

test('is not known where the API does not say', async () => {
  api = await startHttpApi((_seen, response) => json(response, 403, failure(403, 'Forbidden')));
  const rooms = new NodeCapacities(api.client);
  rooms.of(['node-2'], () => undefined);
  await expect.poll(() => api.seen.length).toBeGreaterThanOrEqual(2);
  await pause(20, 'the answers arrive');
  expect(rooms.of(['node-2'], () => undefined)).toEqual({});
});

test('an init container counts where it needs more than what runs later; one that goes on is added', async () => {
  const spec = {
    initContainers: [container('100m', '1Mi', 'Always'), container('2', '1Mi')],
    containers: [container('500m', '3Mi')],
    overhead: { cpu: '10m', memory: '1Mi' },
  };
  const { cpu, memory } = requestsOf({ metadata: {}, spec });
  expect(cpu).toBeCloseTo(2.11, 6);
  expect(memory).toBe(5 * 2 ** 20);
});
