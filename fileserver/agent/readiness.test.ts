/** What the kubelet is told, reason by reason. */
import { describe, expect, test } from 'vitest';
import { emptyLease } from '../../pair/lease.ts';
import type { ServerState } from '../../pair/server/state.ts';
import { initialServer } from '../../pair/server/state.ts';
import { me, partner, timing } from '../../pair/testing/one-server.ts';
import { whyNotHealthy, whyNotReady } from './readiness.ts';

const HOME = 'filer-a';
const fresh = initialServer({ me, server: HOME, partner: 'filer-b', timing }, 0);
const sighting = { version: '1', record: emptyLease };
type DiskSet = ServerState['local'];
const holder = {
  name: 'holder',
  epoch: 1,
  confirmedAt: 0,
  port: 'open',
  accepts: partner,
} as unknown as DiskSet['role'];

/** Both Leases seen, the own disk set served, and then what is said. */
function state(local: Partial<DiskSet> = {}, more: Partial<ServerState> = {}): ServerState {
  return {
    ...fresh,
    witnessSilent: false,
    local: { ...fresh.local, seen: sighting, role: holder, ...local },
    partner: { ...fresh.partner, seen: sighting },
    ...more,
  };
}

describe('a server is ready', () => {
  test('when it serves, also without the witness: its partner confirms it', () => {
    expect(whyNotReady(state(), null)).toBeNull();
    expect(whyNotReady(state({}, { witnessSilent: true }), null)).toBeNull();
  });

  test('when it owns nothing and could claim', () => {
    expect(whyNotReady(state({ role: fresh.local.role }), null)).toBeNull();
  });
});

describe('a server is not ready', () => {
  test('before it has seen both Leases', () => {
    expect(whyNotReady(fresh, null)).toMatch(/Lease of filer-a has not been seen yet/);
    expect(whyNotReady({ ...state(), partner: fresh.partner }, null)).toMatch(/Lease of filer-b/);
  });

  test('while the witness has lost what it knew, though it serves', () => {
    const wentBack = { since: 0, found: emptyLease };
    expect(whyNotReady(state({ wentBack }), null)).toBe('the witness has lost what it knew of filer-a');
  });

  test('while its volumes know of a higher epoch than the Lease', () => {
    const ahead = { epoch: 7, message: 'the volume is at epoch 7' } as DiskSet['ahead'];
    expect(whyNotReady(state({ ahead }), null)).toMatch(/is not claimed again by itself: .*epoch 7/);
  });

  test('when it owns nothing and the witness does not answer', () => {
    const standby = state({ role: fresh.local.role }, { witnessSilent: true });
    expect(whyNotReady(standby, null)).toMatch(/the witness does not answer/);
  });

  test('while its own disk set is being opened', () => {
    expect(whyNotReady(state({ role: { ...holder, port: 'opening' } as DiskSet['role'] }), null)).toBe(
      'filer-a is being opened',
    );
  });

  test('while a disk lets calls wait', () => {
    expect(whyNotReady(state(), 'data has not answered for 6 s')).toBe('data has not answered for 6 s');
  });
});

test('a process works until a thread has not turned for 15 s', () => {
  expect(whyNotHealthy(14_999)).toBeNull();
  expect(whyNotHealthy(15_000)).toMatch(/has not turned for 15 s/);
});
