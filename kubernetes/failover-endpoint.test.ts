import { expect, test } from 'vitest';
import { type EndpointSlice, failoverEndpointPatch, isBehind, shownBy } from './failover-endpoint.ts';

const at = (epoch: number, open: boolean) => ({
  epoch,
  open,
  address: '10.0.0.7',
  nodeName: 'node-1',
});

test('who knows an earlier point of the line is behind, and nobody else', () => {
  const line = [at(6, false), at(7, true), at(7, false), at(8, false)];
  for (const [i, mine] of line.entries())
    for (const [j, shown] of line.entries()) expect(isBehind(mine, shown), `${i} against ${j}`).toBe(i < j);
});

test('a slice shows what the patch wrote', () => {
  for (const endpoint of [at(7, true), at(7, false)]) {
    const patch = failoverEndpointPatch(endpoint) as unknown as EndpointSlice;
    expect(shownBy(patch)).toEqual(endpoint);
  }
  const nobody = { epoch: 3, open: false, address: null, nodeName: null };
  expect(shownBy(failoverEndpointPatch(nobody) as unknown as EndpointSlice)).toEqual(nobody);
});

test('a slice that nobody has written yet is behind everyone', () => {
  expect(shownBy({ metadata: { name: 'new' } })).toEqual({
    epoch: -1,
    open: false,
    address: null,
    nodeName: null,
  });
});
