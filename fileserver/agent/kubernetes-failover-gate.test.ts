import { afterEach, beforeEach, expect, it } from 'vitest';
import { type EndpointSlice, shownBy } from '../../kubernetes/failover-endpoint.ts';
import { type HttpApi, json, startHttpApi } from '../../kubernetes/http-api.fixture.ts';
import { assertEventually } from '../../testing/assert-eventually.ts';
import { createLog } from '../logging/log.ts';
import { KubernetesFailoverGate } from './kubernetes-failover-gate.ts';

const log = createLog({ level: 'error', format: 'text' }, {});
log.silent = true;
let api: HttpApi;
let slice: EndpointSlice;
let version = 1;
/** Answers to give before the API works. */
let failures: number[] = [];

function store(changed: EndpointSlice): EndpointSlice {
  slice = { ...changed, metadata: { ...changed.metadata, resourceVersion: String(++version) } };
  return slice;
}

beforeEach(async () => {
  failures = [];
  store({
    metadata: { name: 'filer-a-failover', namespace: 'storage', labels: { kept: 'yes' } },
    addressType: 'IPv4',
    ports: [{ name: 'nfs', port: 2050 }],
    endpoints: [],
  });
  api = await startHttpApi((seen, response) => {
    const failure = failures.shift();
    if (failure !== undefined) return json(response, failure, { message: 'not now' });
    if (seen.method === 'GET') return json(response, 200, slice);
    const patch = JSON.parse(seen.body) as EndpointSlice;
    const against = patch.metadata.resourceVersion;
    if (against !== undefined && against !== slice.metadata.resourceVersion) {
      return json(response, 409, { reason: 'Conflict', message: 'modified' });
    }
    const annotations = { ...slice.metadata.annotations, ...patch.metadata.annotations };
    json(response, 200, store({ ...slice, ...patch, metadata: { ...slice.metadata, annotations } }));
  });
});
afterEach(() => api.close());

function gate(): KubernetesFailoverGate {
  const { client } = api;
  return new KubernetesFailoverGate({
    client,
    namespace: 'storage',
    name: 'filer-a-failover',
    address: '10.0.0.7',
    nodeName: 'node-1',
    log,
  });
}

it("opens with this pod's address in one request, and closes again", async () => {
  const one = gate();
  one.open(7);
  await assertEventually(() =>
    expect(shownBy(slice)).toEqual({ epoch: 7, open: true, address: '10.0.0.7', nodeName: 'node-1' }),
  );
  expect(api.seen.map((seen) => seen.method)).toEqual(['PATCH']);
  one.close(7);
  await assertEventually(() => expect(shownBy(slice).open).toBe(false));
  expect(slice).toMatchObject({ metadata: { labels: { kept: 'yes' } }, ports: [{ port: 2050 }] });
});

it('tries again until the API works', async () => {
  failures = [500, 503, 429];
  gate().open(7);
  await assertEventually(() => expect(shownBy(slice).open).toBe(true));
});

it('leaves what a later epoch has written alone when it closes', async () => {
  store({
    ...slice,
    metadata: { ...slice.metadata, annotations: { 'filerpair.dev/epoch': '9' } },
    endpoints: [{ addresses: ['10.0.0.9'], conditions: { ready: true } }],
  });
  gate().close(7);
  await assertEventually(() => expect(api.seen.map((seen) => seen.method)).toEqual(['GET']));
  expect(shownBy(slice)).toEqual({ epoch: 9, open: true, address: '10.0.0.9', nodeName: null });
});

it('ends with what was wanted last, however fast it changes', async () => {
  const one = gate();
  one.open(7);
  one.close(7);
  one.open(9);
  await assertEventually(() =>
    expect(shownBy(slice)).toEqual({ epoch: 9, open: true, address: '10.0.0.7', nodeName: 'node-1' }),
  );
});

it('is opened once for a claim and the service after it', async () => {
  const one = gate();
  one.open(7);
  await assertEventually(() => expect(shownBy(slice).open).toBe(true));
  one.open(7);
  one.close(7);
  await assertEventually(() => expect(shownBy(slice).open).toBe(false));
  expect(api.seen.map((seen) => seen.method)).toEqual(['PATCH', 'GET', 'PATCH']);
});

it('goes back to the epoch before when the claim has failed, so that the operator can go on from there', async () => {
  const one = gate();
  one.open(7);
  await assertEventually(() => expect(shownBy(slice).open).toBe(true));
  one.withdraw(7);
  await assertEventually(() =>
    expect(shownBy(slice)).toEqual({ epoch: 6, open: false, address: '10.0.0.7', nodeName: 'node-1' }),
  );
});

it('withdraws nothing that another pod has opened at this epoch', async () => {
  store({
    ...slice,
    metadata: { ...slice.metadata, annotations: { 'filerpair.dev/epoch': '7' } },
    endpoints: [{ addresses: ['10.0.0.9'], conditions: { ready: true } }],
  });
  gate().withdraw(7);
  await assertEventually(() => expect(api.seen.map((seen) => seen.method)).toEqual(['GET']));
  expect(shownBy(slice)).toEqual({ epoch: 7, open: true, address: '10.0.0.9', nodeName: null });
});

it("closes what an earlier run of this pod has left open, and leaves another pod's alone", async () => {
  gate().open(7);
  await assertEventually(() => expect(shownBy(slice).open).toBe(true));
  gate().closeIfMine();
  await assertEventually(() =>
    expect(shownBy(slice)).toEqual({ epoch: 7, open: false, address: '10.0.0.7', nodeName: 'node-1' }),
  );
  store({ ...slice, endpoints: [{ addresses: ['10.0.0.9'], conditions: { ready: true } }] });
  const before = api.seen.length;
  gate().closeIfMine();
  await assertEventually(() => expect(api.seen.length).toBe(before + 1));
  expect(shownBy(slice).open).toBe(true);
});
