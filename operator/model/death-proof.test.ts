/** Rule R5: what proves that the holder of a Lease is dead, and above all what does not. */

import { describe, expect, test } from 'vitest';
import { deathProof } from './death-proof.ts';
import { viewLease } from './lease-view.ts';
import type { ContainerState, ContainerStatus, Pod, Terminated } from './objects.ts';

const HOLDER = 'a/pod-uid/mwssn2po-3137';
const lease = (holderIdentity: string | undefined = HOLDER) =>
  viewLease({
    metadata: { name: 'home-a' },
    spec: { leaseTransitions: 7, ...(holderIdentity && { holderIdentity }) },
  });
const ended = (message: string | undefined, more: Partial<Terminated> = {}): ContainerState => ({
  terminated: { exitCode: 137, containerID: 'containerd://c0', ...(message && { message }), ...more },
});
const pod = (status: Partial<ContainerStatus>, uid = 'pod-uid', more: Partial<Pod['status']> = {}): Pod => ({
  metadata: { name: 'home-a-x', uid },
  status: { phase: 'Running', containerStatuses: [{ name: 'server', ...status }], ...more },
});

describe('proves the death of the holder', () => {
  test('its container has terminated and left its name', () => {
    expect(deathProof(lease(), [pod({ state: ended(`${HOLDER}\n`) })])).toEqual({
      incarnation: HOLDER,
      epoch: 7,
      evidence: 'operator: container server of pod home-a-x has terminated (exit code 137)',
    });
  });

  test.each<[string, Partial<Terminated>, string]>([
    [
      'all',
      { reason: 'OOMKilled', finishedAt: '2026-11-30T12:00:00Z' },
      'OOMKilled, exit code 137, at 2026-11-30T12:00:00Z',
    ],
    ['a reason alone', { reason: 'Error', exitCode: undefined } as never, 'Error'],
  ])('and says how it ended, as far as its container says so: %s', (_what, more, how) => {
    const proof = deathProof(lease(), [pod({ state: ended(HOLDER, more) })]);
    expect(proof?.evidence).toBe(`operator: container server of pod home-a-x has terminated (${how})`);
  });

  test('the server wrote more after its name', () => {
    expect(deathProof(lease(), [pod({ state: ended(`${HOLDER}\nthe volume is gone\n`) })])).not.toBeNull();
  });

  test('its container was started again since, and another run is running there', () => {
    const status = { state: { running: {} }, lastState: ended(HOLDER), restartCount: 1 };
    expect(deathProof(lease(), [pod(status)])).not.toBeNull();
  });

  test('while its container waits to be started again', () => {
    const status = { state: { waiting: { reason: 'CrashLoopBackOff' } }, lastState: ended(HOLDER) };
    expect(deathProof(lease(), [pod(status)])).not.toBeNull();
  });
});

describe('proves nothing', () => {
  test.each<[string, Pod[]]>([
    ['the pod is missing from the API', []],
    ['another pod of the same server has terminated', [pod({ state: ended(HOLDER) }, 'other-uid')]],
    ['its container runs', [pod({ state: { running: {} } })]],
    [
      // The kubelet restarted it, the new run claimed, and the report that we see is from in between.
      'an earlier run of the same pod has terminated',
      [pod({ state: ended('a/pod-uid/mwssn000-0000') })],
    ],
    ['its container has terminated without a word', [pod({ state: ended(undefined) })]],
    [
      'the kubelet does not find the container any more',
      [pod({ state: ended(HOLDER, { reason: 'ContainerStatusUnknown' }) })],
    ],
    ['the report names no container', [pod({ state: { terminated: { exitCode: 137, message: HOLDER } } })]],
    [
      'the garbage collector has declared the pod of a vanished node Failed',
      [pod({ state: { running: {} } }, 'pod-uid', { phase: 'Failed', reason: 'NodeLost' })],
    ],
    [
      'the pod is being deleted',
      [{ ...pod({ state: { running: {} } }), metadata: { uid: 'pod-uid', deletionTimestamp: 'now' } }],
    ],
    ['only the sentinel has terminated', [pod({ name: 'sentinel', state: ended(HOLDER) })]],
    ['a word that is not first names it', [pod({ state: ended(`a/pod-uid/other\n${HOLDER}`) })]],
  ])('%s', (_, pods) => expect(deathProof(lease(), pods)).toBeNull());

  test('nobody holds the Lease', () => {
    expect(deathProof(lease(''), [pod({ state: ended(HOLDER) })])).toBeNull();
  });
});
