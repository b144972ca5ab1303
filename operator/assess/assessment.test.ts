/** Each question is answered once for each assessment and part. */

import { expect, test, vi } from 'vitest';
import { type Assessed, assess, question } from './assessment.ts';

interface Share extends Assessed {
  readonly name: string;
}

test('a question is answered once, also with nothing, and anew for the next assessment', () => {
  const compute = vi.fn(({ name }: Share) => (name === 'none' ? undefined : name.length));
  const length = question(compute);
  const [none, data] = [assess({ name: 'none' }), assess({ name: 'data' })];
  expect([length(none), length(none), length(data), length(data)]).toEqual([undefined, undefined, 4, 4]);
  expect(compute).toHaveBeenCalledTimes(2);
  expect(length(assess({ name: 'data' }))).toBe(4);
  expect(compute).toHaveBeenCalledTimes(3);
});

test('a question about a part is answered once for each part', () => {
  const compute = vi.fn(({ name }: Share, part: { readonly of: string }) => `${part.of} of ${name}`);
  const described = question(compute);
  const data = assess({ name: 'data' });
  const [a, b] = [{ of: 'a' }, { of: 'b' }];
  expect([a, b, a, b].map((part) => described(data, part))).toEqual([
    'a of data',
    'b of data',
    'a of data',
    'b of data',
  ]);
  expect(compute).toHaveBeenCalledTimes(2);
});
