/** Who may claim a disk set that nobody holds, or whose acknowledger is another's. */
import { expect, test } from 'vitest';
import { type ClaimView, mayClaim } from './claim.ts';
import { emptyLease, type LeaseRecord } from './lease.ts';
import { me, partner, silence, stranger, timing } from './testing/one-server.ts';

/** As filer-a sees it, unchanged since 1000. */
function view(home: string, record: Partial<LeaseRecord>, more: Partial<ClaimView> = {}): ClaimView {
  return {
    identity: { me, server: 'filer-a', partner: 'filer-b', timing },
    home,
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

test('a release to nobody is for the home server at once, and for its partner after lease + guard', () => {
  expect(mayClaim(view('filer-a', { releasedTo: null }), 1001).kind).toBe('now');
  expect(mayClaim(view('filer-b', { releasedTo: null }), 1001)).toMatchObject({
    kind: 'wait',
    until: 1000 + silence,
  });
});

test('a release to the partner is left to it by the home server that has seen it, not by one that has found it', () => {
  const released = { releasedTo: 'filer-b' };
  expect(mayClaim(view('filer-a', released), 1001)).toMatchObject({ kind: 'wait', until: 1000 + silence });
  expect(mayClaim(view('filer-a', released, { asFound: true }), 1001).kind).toBe('now');
});

test('the partner of an acknowledger is never its successor', () => {
  const dead = [{ incarnation: partner, epoch: null, evidence: 'exited', at: 1100 }];
  const held = { holder: stranger, acknowledger: partner };
  expect(mayClaim(view('filer-b', held, { dead }), 1e9).kind).toBe('no');
});
