import { expect, test } from 'vitest';
import { isRefused, suspect } from './refused-call.ts';

test('ends of connections are a row while less than ten seconds lie between two of them', () => {
  const first = suspect(null, 7, 'primary', 100_000);
  expect(first).toEqual({ xid: 7, role: 'primary', times: 1, atMs: 100_000 });
  expect(suspect(first, 7, 'primary', 109_999)).toEqual({ xid: 7, role: 'primary', times: 2, atMs: 109_999 });
  expect(suspect(first, 7, 'primary', 110_000).times).toBe(1);
});

test('the fifth in a row says that the server refuses the call', () => {
  const after = (times: number) => isRefused({ xid: 7, role: 'primary', times, atMs: 0 });
  expect([after(4), after(5), after(6)]).toEqual([false, true, true]);
});
