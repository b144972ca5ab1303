/**
 * What others put beside the ownership on a Lease: text that anybody who may write Leases can change, so nothing of it is
 * believed that is not well-formed.
 */
import { expect, test } from 'vitest';
import { leaseAnnotations } from '../../kubernetes/labels-and-annotations.ts';
import type { Lease } from '../../kubernetes/objects.ts';
import { emptyLease, released, renewed } from '../../pair/lease.ts';
import { recordOf, withNotes, withOwnership } from './lease-object.ts';
import type { LeaseNotes } from './witness.ts';

const lease = (annotations: Record<string, string>): Lease => ({
  metadata: { name: 'home-filer-a', annotations },
  spec: { leaseTransitions: 3 },
});
const freezeOf = (value: unknown) =>
  recordOf(lease({ [leaseAnnotations.freeze]: JSON.stringify(value) })).freeze;

test('that the home server is drained, and why; without a reason too', () => {
  expect(recordOf(lease({ [leaseAnnotations.drain]: 'new kernel' })).drain).toBe('new kernel');
  expect(recordOf(lease({ [leaseAnnotations.drain]: '' })).drain).toBe('');
  expect(recordOf(lease({}))).not.toHaveProperty('drain');
});

test('a freeze: who asked, at which epoch, for how long', () => {
  expect(freezeOf({ id: 'one@1', epoch: 3, msMax: 10_000 })).toEqual({
    id: 'one@1',
    epoch: 3,
    msMax: 10_000,
    over: false,
  });
  expect(freezeOf({ id: 'one@1', epoch: 3, msMax: 10_000, over: true })?.over).toBe(true);
});

test('clients wait for twenty seconds at most, whatever it asks for', () => {
  expect(freezeOf({ id: 'one@1', epoch: 3, msMax: 3_600_000 })?.msMax).toBe(20_000);
});

test.each([
  [{ epoch: 3, msMax: 10 }],
  [{ id: 'one@1', msMax: 10 }],
  [{ id: 'one@1', epoch: 3, msMax: 0 }],
  [{ id: 'one@1', epoch: 3, msMax: '10' }],
  [{ id: 'one@1', epoch: 3.5, msMax: 10 }],
  ['stand still'],
])('%j asks for nothing', (value) => {
  expect(freezeOf(value)).toBeUndefined();
});

test('the folder of the disks is a plain name: it becomes a part of a path', () => {
  const disksOf = (text: string) => recordOf(lease({ [leaseAnnotations.disks]: text })).disks;
  expect(disksOf('disks-7')).toBe('disks-7');
  expect(disksOf('a'.repeat(64))).toHaveLength(64);
  for (const text of ['', '..', 'a/b', '-a', 'a'.repeat(65), 'a\n'])
    expect(disksOf(text), JSON.stringify(text)).toBeUndefined();
  expect(recordOf(lease({}))).not.toHaveProperty('disks');
});

test('a Lease whose holder or acknowledger is no incarnation decides nothing', () => {
  const held = (holderIdentity: string): Lease => ({ ...lease({}), spec: { holderIdentity } });
  expect(recordOf(held('filer-a/pod/run1')).holder).toBe('filer-a/pod/run1');
  expect(recordOf(held('')).holder).toBeNull();
  expect(() => recordOf(held('filer-a'))).toThrow('holderIdentity is "filer-a", which is no incarnation');
  expect(() => recordOf(lease({ [leaseAnnotations.acknowledger]: 'x' }))).toThrow('no incarnation');
});

test('a proof of death names an incarnation, an epoch and the evidence; without one of them it proves nothing', () => {
  const proofOf = (proof: unknown) =>
    recordOf(lease({ [leaseAnnotations.deathProof]: JSON.stringify(proof) })).deathProof;
  const proof = { incarnation: 'filer-a/pod/run1', epoch: 3, evidence: 'terminated' };
  expect(proofOf(proof)).toEqual(proof);
  for (const [name, values] of Object.entries({
    incarnation: [undefined, 7, 'filer-a'],
    epoch: [undefined, '3', 3.5],
    evidence: [undefined, 7],
  }))
    for (const value of values) expect(proofOf({ ...proof, [name]: value }), `${name}: ${value}`).toBeNull();
});

const requestOf = (request: object, annotations: Record<string, string> = {}) =>
  recordOf(lease({ ...annotations, [leaseAnnotations.request]: JSON.stringify(request) })).request;

test('a request is a takeover or a giveback, with a name, and one that has its answer is none', () => {
  const request = { id: 'r', kind: 'giveback' };
  expect(requestOf(request)).toEqual({ ...request, reason: '' });
  expect(requestOf({ ...request, kind: 'restart' })).toBeNull();
  expect(requestOf({ kind: 'giveback' })).toBeNull();
  const answered = (id: string) => ({ [leaseAnnotations.requestResult]: JSON.stringify({ id }) });
  expect(requestOf(request, answered('r'))).toBeNull();
  expect(requestOf(request, answered('earlier'))).not.toBeNull();
});

test('that very word and a reason force a takeover; names override vetoes', () => {
  const request = { id: 'r', kind: 'takeover', reason: 'it is off' };
  expect(requestOf({ ...request, force: true })).toEqual({ ...request, force: true });
  expect(requestOf({ ...request, force: 'true' })).toEqual(request);
  expect(requestOf({ ...request, force: true, reason: '' })).toEqual({ ...request, reason: '' });
  expect(requestOf({ ...request, override: ['witness', 7] })?.override).toEqual(['witness']);
  expect(requestOf({ ...request, override: 'witness' })).toEqual(request);
});

test('a claim is dated, a renewal leaves that date', () => {
  const before: Lease = { ...lease({}), spec: { leaseTransitions: 3, acquireTime: 'then' } };
  const renewal = withOwnership(before, renewed({ ...emptyLease, epoch: 3 }, null), 2000, 'now');
  expect(renewal.spec).toMatchObject({ acquireTime: 'then', renewTime: 'now' });
  const claim = withOwnership(before, renewed({ ...emptyLease, epoch: 4 }, null), 2000, 'now');
  expect(claim.spec).toMatchObject({ acquireTime: 'now', renewTime: 'now' });
});

test('each note has an annotation of its own: null takes it off, and the others stay', () => {
  const note = { server: 'filer-a', epoch: 3, message: 'EIO' };
  const notes: Required<LeaseNotes> = {
    lastTransition: { kind: 'Start', cause: 'Unowned', epoch: 3, to: 'filer-a', at: '', phases: [] },
    secondaryPortOpen: 3,
    requestResult: { id: 'r', result: 'done', message: '' },
    maintenance: 'a new switch',
    takeoverCheck: { server: 'filer-b', possible: true, missing: [] },
    freezeAnswer: { id: 'one@1', state: 'Whole', message: '' },
    written: { epoch: 3, volumes: { data: 'uuid' } },
    openFailure: { ...note, reason: 'IoError' },
    volumeErrors: { ...note, message: 'EROFS' },
    absentExports: { ...note, message: '/gone' },
    witnessWentBack: { ...note, message: 'restored' },
  };
  const kept = { kept: 'yes' };
  let all = lease(kept);
  for (const name of Object.keys(notes) as (keyof LeaseNotes)[]) {
    const text = name === 'maintenance' ? notes.maintenance : JSON.stringify(notes[name]);
    const alone = withNotes(lease(kept), { [name]: notes[name] });
    const annotation = leaseAnnotations[name];
    expect(alone.metadata.annotations).toEqual({ ...kept, [annotation]: text });
    const off = withNotes(alone, { [name]: undefined } as LeaseNotes);
    expect(off.metadata.annotations, `${name} is not named`).toEqual(alone.metadata.annotations);
    if (name !== 'written' && name !== 'freezeAnswer')
      expect(withNotes(alone, { [name]: null } as LeaseNotes).metadata.annotations).toEqual(kept);
    all = withNotes(all, { [name]: notes[name] });
  }
  expect(Object.keys(all.metadata.annotations!)).toHaveLength(1 + Object.keys(notes).length);
});

const writtenOf = (text: string) => recordOf(lease({ [leaseAnnotations.written]: text })).written;
const noted = (before: string | undefined, epoch: number, volumes: Record<string, string>) => {
  const { annotations } = withNotes(
    lease(before === undefined ? {} : { [leaseAnnotations.written]: before }),
    { written: { epoch, volumes } },
  ).metadata;
  return JSON.parse(annotations![leaseAnnotations.written]!);
};

test('what was written on the volumes is read back; what cannot be understood or has not been is not known', () => {
  const written = { epoch: 3, volumes: { data: 'uuid' } };
  expect(writtenOf(JSON.stringify(written))).toEqual(written);
  for (const text of [
    '',
    '7',
    '{"epoch":3}',
    '{"epoch":"3","volumes":{}}',
    '{"epoch":2,"volumes":{"data":1}}',
  ])
    expect(writtenOf(text)).toBeUndefined();
  expect(writtenOf(JSON.stringify({ ...written, epoch: 4 })), 'the Lease is at epoch 3').toBeUndefined();
});

test('a note that arrives late does not lower the epoch', () => {
  const second = { epoch: 2, volumes: { data: 'uuid-2' } };
  expect(noted(undefined, 2, second.volumes)).toEqual(second);
  expect(noted(JSON.stringify(second), 1, { data: 'uuid-1' })).toEqual(second);
  expect(noted(JSON.stringify(second), 3, { data: 'uuid-3' })).toEqual({
    epoch: 3,
    volumes: { data: 'uuid-3' },
  });
});

test('what came of it stands beside it', () => {
  const answer = { id: 'one@1', state: 'Whole' as const, message: '' };
  const { annotations } = withNotes(lease({ kept: 'yes' }), { freezeAnswer: answer }).metadata;
  expect(annotations).toEqual({ kept: 'yes', [leaseAnnotations.freezeAnswer]: JSON.stringify(answer) });
});

const aboutOf = (about: unknown) => {
  const request = { id: 'r', kind: 'takeover', reason: 'it is off', force: true, about };
  return recordOf(lease({ [leaseAnnotations.request]: JSON.stringify(request) })).request?.about;
};

test('a forced request is about the holder, epoch and acknowledger that it names', () => {
  const about = { holder: 'filer-a/pod/run1', epoch: 3, acknowledger: null };
  expect(aboutOf(about)).toEqual(about);
  expect(aboutOf(undefined)).toBeUndefined();
});

test.each([
  [{ holder: 'filer-a', epoch: 3, acknowledger: null }],
  [{ holder: 'filer-a/pod/run1', epoch: 3, acknowledger: 'x' }],
  [{ holder: 'filer-a/pod/run1', epoch: '3', acknowledger: null }],
  [{}],
  [null],
  ['filer-a'],
])('a forced request about %j is about no Lease that there is', (about) => {
  expect(aboutOf(about)?.epoch).toBe(-1);
});

test('that the volumes are ahead comes back with the release, and is gone with the next ownership', () => {
  const verdict = { epoch: 7, message: 'filer-b/p/1 owns volume data in epoch 7' };
  const ownership = released({ ...emptyLease, epoch: 3 }, 'filer-b', verdict);
  const object = withOwnership(lease({ kept: 'yes' }), ownership, 2000, '');
  expect(recordOf(object).volumesAhead).toEqual(verdict);
  const again = withOwnership(object, renewed(recordOf(object), null), 2000, '');
  expect(recordOf(again).volumesAhead).toBeNull();
  expect(again.metadata.annotations).not.toHaveProperty([leaseAnnotations.volumesAhead]);
});

test('volumes may be ahead at epoch 0, which nobody has served', () => {
  const verdict = { epoch: 0, message: '' };
  const text = JSON.stringify(verdict);
  expect(recordOf(lease({ [leaseAnnotations.volumesAhead]: text })).volumesAhead).toEqual(verdict);
});

test.each(['', '7', '{"epoch":"7","message":""}', '{"epoch":7}', '{"epoch":-1,"message":""}'])(
  'a Lease that says of the volumes %j decides nothing',
  (text) => {
    expect(() => recordOf(lease({ [leaseAnnotations.volumesAhead]: text }))).toThrow(/names no epoch/);
  },
);

test('how long a claim has to wait by the holder’s word is read as it was written', () => {
  const record = { ...emptyLease, epoch: 3 };
  for (const claimAfterMs of [null, 0, 2500.5]) {
    const written = withOwnership(lease({}), { ...renewed(record, null), claimAfterMs }, 2000, 'now');
    expect(recordOf(written).claimAfterMs).toBe(claimAfterMs);
  }
  for (const text of ['', 'long', '-1', 'Infinity'])
    expect(() => recordOf(lease({ [leaseAnnotations.claimAfter]: text }))).toThrow(
      'no number of milliseconds',
    );
});
