import { expect, test } from 'vitest';
import type { ServerView, View } from '../model/view.ts';
import { type Assessment, assess } from './assessment.ts';
import { leaseLost, mayCreateLease } from './lease-lost.ts';

const server = (name: string, hasLease: boolean): ServerView =>
  ({ name, lease: hasLease ? {} : null }) as unknown as ServerView;

function view(pods: readonly string[], ...servers: readonly ServerView[]): Assessment {
  const observed = { name: 'files', pods: pods.map((name) => ({ metadata: { name } })) };
  return assess({ observed, servers } as unknown as View);
}

test('a Lease is made when it is not there, and no pod of the pair that might serve without it', () => {
  const lost = server('a', false);
  expect(mayCreateLease(view([], lost), lost)).toBe(true);
  expect(mayCreateLease(view(['files-b-0'], lost), lost)).toBe(false);
  const there = server('a', true);
  expect(mayCreateLease(view([], there), there)).toBe(false);
});

test('one that is gone while pods are there is told, with what has to be deleted', () => {
  const servers = [server('a', true), server('b', false)];
  expect(leaseLost(view([], ...servers))).toBeNull();
  expect(leaseLost(view(['one'], servers[0]!))).toBeNull();
  expect(leaseLost(view(['one', 'two'], ...servers))).toMatchObject({
    reason: 'LeaseLost',
    message: expect.stringMatching(/b.*delete one, two\.$/),
  });
});
