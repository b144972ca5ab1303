import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { leaseAnnotations } from '../../kubernetes/labels-and-annotations.ts';
import { incarnationOf } from '../../pair/incarnation.ts';
import { claimed, emptyLease, type LeaseSighting, released, renewed } from '../../pair/lease.ts';
import { assertEventually } from '../../testing/assert-eventually.ts';
import { pause } from '../../testing/pause.ts';
import { createLog } from '../logging/log.ts';
import { reportErrorsTo } from '../system/turns.ts';
import { KubernetesWitness, type KubernetesWitnessOptions } from './kubernetes.ts';
import { type LeaseApi, startLeaseApi } from './lease-api.fixture.ts';

const log = createLog({ level: 'error', format: 'text' }, {});
log.silent = true;
const a = incarnationOf('filer-a', 'pod-1', '1');
const b = incarnationOf('filer-b', 'pod-2', '1');
let leases: LeaseApi;
const witnesses: KubernetesWitness[] = [];

beforeEach(async () => {
  leases = await startLeaseApi(['home-filer-a', 'home-filer-b']);
});
afterEach(async () => {
  vi.restoreAllMocks();
  for (const witness of witnesses.splice(0)) await witness.close(500);
  await leases.api.close();
});

function open(options: Partial<KubernetesWitnessOptions> = {}): KubernetesWitness {
  const witness = new KubernetesWitness({
    client: leases.api.client,
    namespace: 'storage',
    leases: { 'filer-a': 'home-filer-a', 'filer-b': 'home-filer-b' },
    leaseMs: 1500,
    callMs: 1000,
    log,
    ...options,
  });
  witnesses.push(witness);
  return witness;
}

/** PUTs so far. */
const writes = (): number => leases.api.seen.filter(({ method }) => method === 'PUT').length;
const request = (id: string) => ({ [leaseAnnotations.request]: JSON.stringify({ id, kind: 'takeover' }) });

async function seenBy(witness: KubernetesWitness): Promise<LeaseSighting> {
  const outcome = await witness.read('filer-a');
  if (outcome.kind !== 'found') throw new Error('not found');
  return outcome.sighting;
}

it('writes ownership where the agreed fields are, and reads it back the same', async () => {
  const witness = open();
  const first = await seenBy(witness);
  expect(first.record).toEqual(emptyLease);
  const outcome = await witness.compareAndSwap('filer-a', first.version, claimed(first.record, a, b, 2500));
  const { metadata, spec } = leases.lease('home-filer-a');
  expect(spec).toEqual({
    holderIdentity: a,
    leaseTransitions: 1,
    leaseDurationSeconds: 2,
    renewTime: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/),
    acquireTime: expect.stringMatching(/\.\d{6}Z$/),
  });
  expect(metadata).toMatchObject({
    labels: { kept: 'yes' },
    annotations: { [leaseAnnotations.acknowledger]: b, [leaseAnnotations.renewal]: '1' },
  });
  expect(outcome).toEqual({ kind: 'applied', sighting: await seenBy(open()) });
});

it('removes the holder at a release, says whom it was meant for, and keeps the epoch', async () => {
  const witness = open();
  let seen = await seenBy(witness);
  for (const change of [
    () => claimed(seen.record, a, b, 2500),
    () => renewed(seen.record, null),
    () => released(seen.record, 'filer-b'),
  ]) {
    const outcome = await witness.compareAndSwap('filer-a', seen.version, change());
    if (outcome.kind !== 'applied') throw new Error(outcome.kind);
    seen = outcome.sighting;
  }
  expect(seen.record).toEqual({ ...emptyLease, epoch: 1, renewal: 3, releasedTo: 'filer-b' });
  const { metadata, spec } = leases.lease('home-filer-a');
  expect(spec).not.toHaveProperty('holderIdentity');
  expect(metadata.annotations).not.toHaveProperty(leaseAnnotations.acknowledger);
});

it('lets one of two claims through', async () => {
  const [mine, yours] = [open(), open()];
  const [seenByMe, seenByYou] = [await seenBy(mine), await seenBy(yours)];
  const outcomes = await Promise.all([
    mine.compareAndSwap('filer-a', seenByMe.version, claimed(seenByMe.record, a, null, 2500)),
    yours.compareAndSwap('filer-a', seenByYou.version, claimed(seenByYou.record, b, null, 2500)),
  ]);
  expect(outcomes.map((outcome) => outcome.kind).toSorted()).toEqual(['applied', 'conflict']);
});

it('is not stopped by a write beside the ownership, and does not undo it', async () => {
  const witness = open();
  const seen = await seenBy(witness);
  leases.annotate('home-filer-a', { [leaseAnnotations.request]: '{"id":"r1","kind":"takeover"}' });
  const outcome = await witness.compareAndSwap('filer-a', seen.version, claimed(seen.record, a, null, 2500));
  expect(outcome).toMatchObject({
    kind: 'applied',
    sighting: { record: { holder: a, epoch: 1, request: { id: 'r1', kind: 'takeover', reason: '' } } },
  });
});

it('says unknown when the answer is lost, refused when the API said no', async () => {
  const witness = open();
  const seen = await seenBy(witness);
  leases.fault = () => 'lose';
  const claim = claimed(seen.record, a, null, 2500);
  expect(await witness.compareAndSwap('filer-a', seen.version, claim)).toEqual({ kind: 'unknown' });
  expect((await seenBy(witness)).record.holder).toBe(a);
  leases.fault = () => 'forbid';
  const again = await seenBy(witness);
  expect(await witness.compareAndSwap('filer-a', again.version, renewed(again.record, null))).toMatchObject({
    kind: 'refused',
    message: expect.stringContaining('not allowed'),
  });
  expect(await open().compareAndSwap('filer-a', seen.version, claim), 'never seen by this one').toEqual({
    kind: 'conflict',
  });
  leases.fault = () => null;
  expect(await witness.compareAndSwap('filer-a', seen.version, claim)).toEqual({ kind: 'conflict' });
});

it('resolves five conflicts with writers beside the ownership, then it is one', async () => {
  const witness = open();
  const seen = await seenBy(witness);
  leases.fault = () => {
    leases.annotate('home-filer-a', request(`r${writes()}`));
    return null;
  };
  const claim = claimed(seen.record, a, null, 2500);
  expect(await witness.compareAndSwap('filer-a', seen.version, claim)).toEqual({ kind: 'conflict' });
  expect(writes()).toBe(5);
});

it('takes a Lease that cannot be understood any more for one that another server has written', async () => {
  const witness = open();
  const seen = await seenBy(witness);
  leases.annotate('home-filer-a', { [leaseAnnotations.renewal]: 'many' });
  const claim = claimed(seen.record, a, null, 2500);
  expect(await witness.compareAndSwap('filer-a', seen.version, claim)).toEqual({ kind: 'conflict' });
  expect(leases.lease('home-filer-a').metadata.annotations).toEqual({ [leaseAnnotations.renewal]: 'many' });
});

it('writes against a version that it has seen, though it has read later ones since: sixteen, however often', async () => {
  const witness = open();
  const first = await seenBy(witness);
  for (let count = 1; count <= 15; count++) {
    leases.annotate('home-filer-a', request(`r${count}`));
    for (let again = 0; again < 3; again++) await seenBy(witness);
  }
  const claim = claimed(first.record, a, null, 2500);
  expect(await witness.compareAndSwap('filer-a', first.version, claim)).toMatchObject({ kind: 'applied' });
  const second = await seenBy(witness);
  for (let count = 1; count <= 16; count++) {
    leases.annotate('home-filer-a', request(`s${count}`));
    await seenBy(witness);
  }
  const renewal = renewed(second.record, null);
  expect(await witness.compareAndSwap('filer-a', second.version, renewal)).toEqual({ kind: 'conflict' });
});

it('sends nothing when no time is left for the answer', async () => {
  const witness = open({ callMs: 1000 });
  const seen = await seenBy(witness);
  const begun = performance.now();
  vi.spyOn(performance, 'now')
    .mockReturnValueOnce(begun)
    .mockReturnValueOnce(begun + 1000);
  const claim = claimed(seen.record, a, null, 2500);
  const outcome = await witness.compareAndSwap('filer-a', seen.version, claim);
  vi.restoreAllMocks();
  expect(outcome).toEqual({ kind: 'refused', message: 'no time was left' });
  expect(writes()).toBe(0);
});

it('knows no Lease of another disk set', () => {
  expect(() => open().watch('filer-c', () => {})).toThrow('no Lease is configured for filer-c');
});

it('sends nothing after its caller has given up, though a conflict is resolved by then', async () => {
  const callMs = 200;
  const witness = open({ callMs });
  const seen = await seenBy(witness);
  leases.annotate('home-filer-a', { [leaseAnnotations.request]: '{"id":"r1","kind":"takeover"}' });
  let writes = 0;
  leases.fault = () => {
    writes += 1;
    // Nobody hears the answer before.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, callMs + 50);
    return null;
  };
  const outcome = await witness.compareAndSwap('filer-a', seen.version, claimed(seen.record, a, null, 2500));
  expect(outcome.kind).not.toBe('applied');
  await pause(2 * callMs, 'a second write would come');
  expect(writes).toBe(1);
  expect(leases.lease('home-filer-a').spec).not.toHaveProperty('holderIdentity');
});

it('says unknown when no API answers, and when the Lease does not exist: never "nobody owns it"', async () => {
  const witness = open({ leases: { 'filer-a': 'deleted' }, callMs: 300 });
  expect(await witness.read('filer-a')).toEqual({ kind: 'unknown' });
  await leases.api.close();
  expect(await witness.read('filer-a')).toEqual({ kind: 'unknown' });
});

it('says unknown, never nobody, to a holder that is no incarnation', async () => {
  leases.annotate('home-filer-a', { [leaseAnnotations.renewal]: 'many' });
  expect(await open().read('filer-a')).toEqual({ kind: 'unknown' });
});

it('delivers changes by watch: of others, of proofs, and requests until they are answered', async () => {
  const witness = open();
  const records: LeaseSighting['record'][] = [];
  witness.watch('filer-a', (sighting) => records.push(sighting.record));
  await assertEventually(() => expect(records).toEqual([emptyLease]));
  const other = open();
  const seen = await seenBy(other);
  await other.compareAndSwap('filer-a', seen.version, claimed(seen.record, b, null, 2500));
  await assertEventually(() => expect(records.at(-1)?.holder).toBe(b));
  const proof = { incarnation: b, epoch: 1, evidence: 'container terminated' };
  leases.annotate('home-filer-a', {
    [leaseAnnotations.deathProof]: JSON.stringify(proof),
    [leaseAnnotations.request]: '{"id":"r1","kind":"giveback","reason":"back"}',
  });
  await assertEventually(() =>
    expect(records.at(-1)).toMatchObject({
      deathProof: proof,
      request: { id: 'r1', kind: 'giveback', reason: 'back' },
    }),
  );
  other.annotate('filer-a', { requestResult: { id: 'r1', result: 'done', message: 'ok' } });
  await assertEventually(() => expect(records.at(-1)?.request).toBeNull());
});

it('a Lease that was deleted says nothing of who owns the disk set', async () => {
  const error = vi.spyOn(log, 'error');
  const witness = open();
  const seen: LeaseSighting[] = [];
  witness.watch('filer-a', (sighting) => seen.push(sighting));
  await assertEventually(() => expect(leases.watches()).toBe(1));
  await assertEventually(() => expect(seen).toHaveLength(1));
  leases.remove('home-filer-a');
  await assertEventually(() => expect(error).toHaveBeenCalledWith(expect.stringContaining('was deleted')));
  expect(seen).toHaveLength(1);
});

it('ends its watches and reads when it is closed', async () => {
  const witness = open({ pollMs: 20 });
  const seen: LeaseSighting[] = [];
  witness.watch('filer-a', (sighting) => seen.push(sighting));
  await assertEventually(() => expect(leases.watches()).toBe(1));
  await assertEventually(() => expect(seen.length).toBeGreaterThan(3));
  await witness.close(1000);
  await assertEventually(() => expect(leases.watches()).toBe(0));
  // But for what was being read then.
  await pause(200, 'but for what was being read then');
  const { length } = leases.api.seen;
  await pause(200, 'a request would come');
  expect(leases.api.seen).toHaveLength(length);
});

it('reads a watched Lease now and then over a connection that stays open', async () => {
  const witness = open({ pollMs: 20 });
  const versions: string[] = [];
  witness.watch('filer-a', (sighting) => versions.push(sighting.version));
  await assertEventually(() => expect(versions.length).toBeGreaterThan(5));
  expect(new Set(versions).size).toBe(1);
  // One for the watch, one for the reads, and one that the list may have opened.
  expect(leases.api.connections()).toBeLessThanOrEqual(3);
});

it('writes notes in the background, again until it works, without touching the ownership', async () => {
  const witness = open();
  let failures = 0;
  leases.fault = () => (failures++ < 2 ? 'drop' : null);
  const seen = await seenBy(witness);
  witness.annotate('filer-a', { secondaryPortOpen: 4 });
  witness.annotate('filer-a', {
    lastTransition: {
      kind: 'Takeover',
      cause: 'Silent',
      epoch: 4,
      to: 'filer-b',
      at: '2026-11-23T04:00:00.000Z',
      phases: [{ name: 'claim', atMs: 0, tookMs: 3 }],
    },
  });
  await assertEventually(() =>
    expect(leases.lease('home-filer-a').metadata.annotations).toMatchObject({
      [leaseAnnotations.secondaryPortOpen]: '4',
      [leaseAnnotations.lastTransition]: expect.stringContaining('"cause":"Silent"'),
    }),
  );
  const outcome = await witness.compareAndSwap('filer-a', seen.version, claimed(seen.record, a, null, 2500));
  expect(outcome.kind).toBe('applied');
  witness.annotate('filer-a', { secondaryPortOpen: null });
  await assertEventually(() =>
    expect(leases.lease('home-filer-a').metadata.annotations).not.toHaveProperty(
      leaseAnnotations.secondaryPortOpen,
    ),
  );
  expect(leases.lease('home-filer-a').spec?.holderIdentity).toBe(a);
});

it('writes the notes of a Lease one after the other, newer ones with the older', async () => {
  const witness = open();
  const warn = vi.spyOn(log, 'warn');
  leases.fault = () => {
    // While the first ones are written.
    if (writes() === 1) witness.annotate('filer-a', { maintenance: 'new switch' });
    return null;
  };
  witness.annotate('filer-a', { secondaryPortOpen: 4 });
  witness.annotate('filer-a', { secondaryPortOpen: 5 });
  expect(await witness.noted('filer-a')).toBe(true);
  expect(leases.lease('home-filer-a').metadata.annotations).toEqual({
    [leaseAnnotations.secondaryPortOpen]: '5',
    [leaseAnnotations.maintenance]: 'new switch',
  });
  expect(writes()).toBe(2);
  expect(warn).not.toHaveBeenCalled();
});

it('writes notes again at once after a write by somebody else, and after a pause where the API says no', async () => {
  const witness = open();
  const warn = vi.spyOn(log, 'warn');
  leases.fault = () => {
    if (writes() === 1) leases.annotate('home-filer-a', request('r1'));
    return null;
  };
  witness.annotate('filer-a', { secondaryPortOpen: 4 });
  expect(await witness.noted('filer-a')).toBe(true);
  expect(writes()).toBe(2);
  expect(warn).not.toHaveBeenCalled();
  leases.fault = () => 'forbid';
  witness.annotate('filer-a', { secondaryPortOpen: 5 });
  await assertEventually(() => expect(warn).toHaveBeenCalled());
  await pause(100, 'another write would be tried');
  expect(writes()).toBe(3);
});

it('gives notes the time of its end to arrive, and no more', async () => {
  const witness = open();
  witness.annotate('filer-a', { secondaryPortOpen: 4 });
  await witness.close(20_000);
  expect(leases.lease('home-filer-a').metadata.annotations).toEqual({
    [leaseAnnotations.secondaryPortOpen]: '4',
  });
  const other = open();
  leases.fault = () => 'forbid';
  other.annotate('filer-a', { secondaryPortOpen: 5 });
  await assertEventually(() => expect(writes()).toBe(2));
  await other.close(50);
  // Longer than the pause between two tries.
  await pause(800, 'longer than the pause between two tries');
  expect(writes()).toBe(2);
});

it('says that notes have been written once they have', async () => {
  const witness = open();
  let drop = true;
  leases.fault = () => (drop ? 'drop' : null);
  witness.annotate('filer-a', { maintenance: 'new switch' });
  const noted = witness.noted('filer-a');
  const waited = pause(700, 'it would have been said').then(() => 'not yet');
  expect(await Promise.race([noted, waited])).toBe('not yet');
  drop = false;
  expect(await noted).toBe(true);
  expect((await seenBy(witness)).record.maintenance).toBe('new switch');
});

it('a call without an answer is not followed by one over another connection that stood then', async () => {
  const witness = open();
  // Two calls at once leave two idle connections behind.
  const [seen] = await Promise.all([seenBy(witness), witness.read('filer-b')]);
  leases.api.freezeStanding();
  const claim = claimed(seen.record, a, b, 2500);
  expect(await witness.compareAndSwap('filer-a', seen.version, claim)).toEqual({ kind: 'unknown' });
  // Over such a connection either would be unknown, after callMs.
  expect(await witness.read('filer-a')).toMatchObject({ kind: 'found' });
  expect(await witness.compareAndSwap('filer-a', seen.version, claim)).toMatchObject({ kind: 'applied' });
});

it('what the listener of a watch throws is reported, and is not taken for a Lease that cannot be understood', async () => {
  const witness = open();
  const reported: unknown[] = [];
  reportErrorsTo((error) => reported.push(error));
  const seen: LeaseSighting[] = [];
  witness.watch('filer-a', (sighting) => {
    seen.push(sighting);
    throw new Error('a mistake of ours');
  });
  await assertEventually(() => expect(reported).toEqual([new Error('a mistake of ours')]));
  await assertEventually(() => {
    leases.annotate('home-filer-a', { other: 'thing' });
    expect(seen.length).toBeGreaterThan(1);
  });
});
