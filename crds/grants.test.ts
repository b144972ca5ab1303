// The rules in TypeScript. That the API server's CEL says the same is tested on a real API server (e2e/admission).

import { describe, expect, test } from 'vitest';
import { filerPairSpec } from './filerpair.ts';
import { grants, notGranted } from './grants.ts';
import { requests } from './testing/requests-for-grants.ts';

describe('a FilerPair', () => {
  test('that asks for nothing beyond its namespace needs no grant', () => {
    expect(notGranted(filerPairSpec.parse(requests.nothing.spec), 'storage', [])).toEqual([]);
  });

  test.each(Object.entries(requests))(
    '%s: only where it is granted',
    (_name, { spec, field, granted, short }) => {
      const parsed = filerPairSpec.parse(spec);
      const fields = (namespace: string, given: object) =>
        notGranted(parsed, namespace, grants.parse([{ namespaces: ['storage'], ...given }])).map(
          (sentence) => sentence.slice('spec.'.length).split(':')[0],
        );
      const refused = field === null ? expect.anything() : expect.arrayContaining([field]);
      expect(fields('storage', granted)).toEqual([]);
      expect(fields('storage', {}), 'without a grant').toEqual(refused);
      expect(fields('elsewhere', granted), 'granted to another namespace').toEqual(refused);
      for (const one of short) expect(fields('storage', one), JSON.stringify(one)).toEqual(refused);
      expect(notGranted(parsed, 'anywhere', grants.parse([{ namespaces: ['*'], ...granted }]))).toEqual([]);
    },
  );
});
