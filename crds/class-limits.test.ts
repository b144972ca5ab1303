import { describe, expect, test } from 'vitest';
import { notAllowed } from './class-limits.ts';
import { filerPairClassSpec } from './filer-pair-class.ts';
import { filerPairSpec } from './pair/spec.ts';
import { requestsForLimits } from './testing/requests-for-limits.ts';

const namespace = { name: 'storage', labels: { tier: 'gold' } };
const all = { from: 'All' } as const;

describe('only what the class allows', () => {
  test.each(requestsForLimits)('$title', ({ pair, field, enough, short }) => {
    const spec = filerPairSpec.parse(pair.spec);
    const said = (limits: (typeof short)[number]) =>
      notAllowed(spec, namespace, filerPairClassSpec.parse({ allowedNamespaces: all, limits }));
    expect(said(enough)).toEqual([]);
    for (const limits of short) {
      if (field === null) expect(said(limits)).toEqual([]);
      else expect(said(limits)[0]).toContain(`spec.${field}`);
    }
    // Without any class there is nothing that allows it.
    expect(notAllowed(spec, namespace, null)).toEqual(said({}));
  });
});

test('only in namespaces of the class', () => {
  const spec = filerPairSpec.parse(requestsForLimits[0]!.pair.spec);
  const said = (allowedNamespaces: object) =>
    notAllowed(spec, namespace, filerPairClassSpec.parse({ allowedNamespaces })).length;
  expect(said({ from: 'Names', names: ['other', 'storage'] })).toBe(0);
  expect(said({ from: 'Names', names: ['other'] })).toBe(1);
  expect(said({ from: 'Labels', matchLabels: { tier: 'gold' } })).toBe(0);
  expect(said({ from: 'Labels', matchLabels: { tier: 'gold', region: 'eu' } })).toBe(1);
});
