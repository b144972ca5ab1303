import { describe, expect, test } from 'vitest';
import { type ClaimView, mayClaim } from './claim.ts';
import { type Incarnation, incarnationOf, runOn, startedLater } from './incarnation.ts';
import { emptyLease, type LeaseRecord } from './lease.ts';
import { silenceMs } from './serving-lease.ts';
import type { PairIdentity } from './types.ts';

const timing = { leaseMs: 2000, guardMs: 500, heartbeatMs: 200 };
const a1 = incarnationOf('filer-a', 'pod1', 'run1');
const a2 = incarnationOf('filer-a', 'pod1', 'run2');
const aElsewhere = incarnationOf('filer-a', 'pod2', 'run1');
const b1 = incarnationOf('filer-b', 'pod9', 'run1');
const b2 = incarnationOf('filer-b', 'pod9', 'run2');
const bElsewhere = incarnationOf('filer-b', 'pod8', 'run1');

function identity(me: Incarnation): PairIdentity {
  const [server, partner] = me.startsWith('filer-a') ? ['filer-a', 'filer-b'] : ['filer-b', 'filer-a'];
  return { me, server: server!, partner: partner!, timing };
}

/** filer-a's disk set at epoch 3, seen unchanged since 1000. */
function view(me: Incarnation, record: Partial<LeaseRecord>, more: Partial<ClaimView> = {}): ClaimView {
  return {
    identity: identity(me),
    home: 'filer-a',
    seen: { version: '7', record: { ...emptyLease, epoch: 3, renewal: 9, ...record } },
    unchangedSince: 1000,
    asFound: false,
    acknowledgedAt: Number.NEGATIVE_INFINITY,
    announced: false,
    dead: [],
    partnerThere: false,
    forced: null,
    ...more,
  };
}

const silence = silenceMs(timing);

describe('R3: a claim on silence', () => {
  test('of a solo Lease: any other incarnation, after lease + guard unchanged, not a moment before', () => {
    const solo = view(b1, { holder: a1 });
    expect(mayClaim(solo, 1000 + silence - 1)).toMatchObject({ kind: 'wait', until: 1000 + silence });
    expect(mayClaim(solo, 1000 + silence)).toMatchObject({ kind: 'now', cause: 'Silent' });
  });

  test('of a paired Lease: not by an incarnation that the Lease does not name', () => {
    const paired = view(bElsewhere, { holder: a1, acknowledger: b1 });
    expect(mayClaim(paired, 1e9)).toMatchObject({ kind: 'no' });
  });

  test('of a paired Lease: not when its acknowledger is of another server, whatever is known of its death', () => {
    const dead = [{ incarnation: a2, at: 1000 }] as unknown as ClaimView['dead'];
    const paired = view(b1, { holder: a1, acknowledger: a2 }, { dead });
    expect(mayClaim(paired, 1e9)).toMatchObject({ kind: 'no' });
  });

  test('of a paired Lease: by the acknowledger, lease + guard after its own last acknowledgement too', () => {
    const paired = view(b1, { holder: a1, acknowledger: b1 }, { acknowledgedAt: 5000 });
    expect(mayClaim(paired, 5000 + silence - 1)).toMatchObject({ kind: 'wait', until: 5000 + silence });
    expect(mayClaim(paired, 5000 + silence)).toMatchObject({ kind: 'now', cause: 'Silent' });
  });

  test('of a paired Lease: an acknowledger that has acknowledged nothing still waits for an unchanged Lease', () => {
    // It may have been named a moment ago: the holder's lease comes from the write that named it.
    const paired = view(b1, { holder: a1, acknowledger: b1 });
    expect(mayClaim(paired, 1000 + silence - 1).kind).toBe('wait');
  });

  test('of a paired Lease: not by another incarnation of the acknowledger without proof of its death', () => {
    const successor = view(bElsewhere, { holder: a1, acknowledger: b1 }, { dead: [] });
    expect(mayClaim(successor, 1e9)).toMatchObject({ kind: 'no' });
  });

  test('of a paired Lease: by the successor, lease + guard after it got the proof', () => {
    const dead = [{ incarnation: b1, epoch: null, evidence: 'seen', at: 8000 }];
    const successor = view(bElsewhere, { holder: a1, acknowledger: b1 }, { dead });
    expect(mayClaim(successor, 8000 + silence - 1)).toMatchObject({ kind: 'wait', until: 8000 + silence });
    expect(mayClaim(successor, 8000 + silence)).toMatchObject({ kind: 'now', cause: 'Silent' });
  });

  test('of a paired Lease: by the successor, lease + guard after the last write too, if that came behind the proof', () => {
    // It named the dead one all the same, and brought the holder a lease.
    const dead = [{ incarnation: b1, epoch: null, evidence: 'seen', at: 200 }];
    const successor = view(bElsewhere, { holder: a1, acknowledger: b1 }, { dead });
    expect(mayClaim(successor, 1000 + silence - 1)).toMatchObject({ kind: 'wait', until: 1000 + silence });
    expect(mayClaim(successor, 1000 + silence)).toMatchObject({ kind: 'now', cause: 'Silent' });
  });

  test('of a paired Lease: a restart in the same container is that proof', () => {
    const successor = view(b2, { holder: a1, acknowledger: b1 });
    expect(mayClaim(successor, 1000 + silence - 1).kind).toBe('wait');
    expect(mayClaim(successor, 1000 + silence).kind).toBe('now');
  });

  test('waits for as long as the holder says, if that is longer than what this server would wait', () => {
    const longer = view(b1, { holder: a1, claimAfterMs: silence * 3 });
    expect(mayClaim(longer, 1000 + silence * 3 - 1)).toMatchObject({
      kind: 'wait',
      until: 1000 + silence * 3,
    });
    const shorter = view(b1, { holder: a1, claimAfterMs: silence / 3 });
    expect(mayClaim(shorter, 1000 + silence - 1).kind).toBe('wait');
    expect(mayClaim(shorter, 1000 + silence).kind).toBe('now');
  });

  test('is never made on a Lease that names this process', () => {
    expect(mayClaim(view(a1, { holder: a1 }), 1e9)).toMatchObject({ kind: 'no' });
  });
});

describe('R5: known dead is faster than silent', () => {
  test('the sentinel named the holder and the epoch: at once', () => {
    const dead = [{ incarnation: a1, epoch: 3, evidence: 'sentinel: process 17 has exited', at: 1200 }];
    const verdict = mayClaim(
      view(b1, { holder: a1, acknowledger: b1 }, { dead, acknowledgedAt: 1199 }),
      1200,
    );
    expect(verdict).toMatchObject({
      kind: 'now',
      cause: 'PartnerSaidSo',
      message: 'sentinel: process 17 has exited',
    });
  });

  test('a proof for another epoch of the same incarnation does not count', () => {
    const dead = [{ incarnation: a1, epoch: 2, evidence: 'late', at: 1200 }];
    expect(mayClaim(view(b1, { holder: a1 }, { dead }), 1200).kind).toBe('wait');
  });

  test('a proof for another incarnation of the same server does not count', () => {
    const dead = [{ incarnation: a1, epoch: 3, evidence: 'late', at: 1200 }];
    expect(mayClaim(view(b1, { holder: aElsewhere }, { dead }), 1200).kind).toBe('wait');
  });

  test("the operator's proof counts only for the holder and epoch that it names", () => {
    const proof = { incarnation: a1, epoch: 3, evidence: 'container terminated' };
    expect(mayClaim(view(b1, { holder: a1, deathProof: proof }), 1001)).toMatchObject({
      cause: 'OperatorProof',
    });
    expect(mayClaim(view(b1, { holder: a1, epoch: 4, deathProof: proof }), 1001).kind).toBe('wait');
    expect(mayClaim(view(b1, { holder: a2, deathProof: proof }), 1001).kind).toBe('wait');
  });

  test('a restart of the same container is proof for its earlier run, and claims like anyone else', () => {
    expect(mayClaim(view(a2, { holder: a1, acknowledger: b1 }), 1001)).toMatchObject({
      kind: 'now',
      cause: 'Restarted',
    });
  });

  test('a pod of one UID on another machine of the same name is no restart: the first machine may only be cut off', () => {
    const at = (run: string, boot: string, machine: string | null) =>
      incarnationOf('filer-a', 'pod1', runOn(run, { boot, machine }));
    const before = at('run1', 'boot1', 'machine1');
    const claim = (me: Incarnation, holder: Incarnation) =>
      mayClaim(view(me, { holder, acknowledger: b1 }), 1001);
    expect(claim(at('run2', 'boot2', 'machine2'), before).kind).toBe('no');
    expect(claim(at('run2', 'boot2', 'machine1'), before), 'rebooted').toMatchObject({ cause: 'Restarted' });
    expect(claim(at('run2', 'boot1', 'machine1'), before)).toMatchObject({ cause: 'Restarted' });
    expect(claim(at('run2', 'boot1', null), at('run1', 'boot1', null))).toMatchObject({ cause: 'Restarted' });
    expect(claim(at('run2', 'boot2', null), at('run1', 'boot1', null)).kind, 'not known').toBe('no');
    expect(claim(at('run2', 'boot2', null), a1).kind, 'of a version that does not say').toBe('no');
    expect(startedLater(at('run2', 'boot1', null), before)).toBe(true);
    expect(startedLater(before, at('run1', 'boot1', null))).toBe(false);
  });

  test('a restart in another container proves nothing', () => {
    expect(mayClaim(view(aElsewhere, { holder: a1, acknowledger: b1 }), 1e9).kind).toBe('no');
  });

  test("a restarted server leaves its partner's disk set to the partner for a while, if that is there", () => {
    const held = view(b2, { holder: b1 }, { partnerThere: true });
    expect(mayClaim(held, 1001)).toMatchObject({ kind: 'wait', cause: 'Restarted' });
    expect(mayClaim({ ...held, partnerThere: false }, 1001).kind).toBe('now');
  });
});

describe('a Lease without a holder', () => {
  test('goes at once to the server that it was released to', () => {
    const released = view(b1, { releasedTo: 'filer-b' });
    expect(mayClaim(released, 1001)).toMatchObject({ cause: 'PartnerSaidSo' });
    expect(mayClaim({ ...released, announced: true }, 1001)).toMatchObject({ cause: 'Released' });
    expect(mayClaim(view(a1, { releasedTo: 'filer-a' }), 1001)).toMatchObject({ cause: 'Requested' });
  });

  test('goes to the other one if its addressee does not take it', () => {
    const released = view(b1, { releasedTo: 'filer-a' });
    expect(mayClaim(released, 1000 + silence - 1).kind).toBe('wait');
    expect(mayClaim(released, 1000 + silence)).toMatchObject({ kind: 'now', cause: 'Unowned' });
  });

  test('that never had one is set up by the home server alone', () => {
    expect(mayClaim(view(a1, { epoch: 0 }), 1001)).toMatchObject({ kind: 'now', cause: 'Unowned' });
    expect(mayClaim(view(b1, { epoch: 0 }), 1e9).kind).toBe('no');
  });
});
