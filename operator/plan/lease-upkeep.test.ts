/** Whose Lease has to be confirmed before a pod is ended. */
import { describe, expect, test } from 'vitest';
import { viewLease } from '../model/lease-view.ts';
import type { ServerView } from '../model/view.ts';
import { ownedByOthers } from './lease-upkeep.ts';

const serverWith = (lease: ServerView['lease']): ServerView => ({ lease }) as ServerView;
const lease = viewLease({
  metadata: { name: 'home.a', namespace: 'storage' },
  spec: { leaseTransitions: 7, holderIdentity: 'b/other-uid/mwssn2po-3137' },
});

describe('before a pod is ended', () => {
  test('the owner that was seen is confirmed, with its epoch', () => {
    expect(ownedByOthers(serverWith(lease), 'pod-uid')).toEqual([
      {
        kind: 'confirm',
        resource: 'leases',
        namespace: 'storage',
        name: 'home.a',
        holder: 'b/other-uid/mwssn2po-3137',
        epoch: 7,
        why: 'its owner must still be the one that was seen',
      },
    ]);
  });

  test('nothing is where there is no Lease, or the pod is the owner itself', () => {
    expect(ownedByOthers(serverWith(null), 'pod-uid')).toEqual([]);
    expect(ownedByOthers(serverWith(lease), 'other-uid')).toEqual([]);
  });
});
