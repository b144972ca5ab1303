import { describe, expect, test } from 'vitest';
import { mismatches } from './matches.ts';

describe('where an object is not as it should be', () => {
  test.each([
    ['nowhere', { a: 1 }, { a: 1, b: 2 }, []],
    ['in a member', { spec: { type: 'ClusterIP' } }, { spec: { type: 'NodePort' } }, ['spec.type']],
    ['in two members', { a: 1, b: { c: 2 } }, { b: { c: 3 } }, ['a', 'b.c']],
    ['in a list of numbers', { spec: { ports: [1, 2] } }, { spec: { ports: [1] } }, ['spec.ports']],
    [
      'in an item of a list by name',
      [{ name: 'nfs', port: 2049 }],
      [{ name: 'nfs', port: 1 }],
      ['[nfs].port'],
    ],
    [
      'in one of the conditions, in another order',
      { conditions: [{ type: 'Ready', status: 'True' }, { type: 'Covered' }] },
      { conditions: [{ type: 'Covered' }, { type: 'Ready', status: 'False' }] },
      ['conditions[Ready].status'],
    ],
    [
      'in an item that is missing',
      { conditions: [{ type: 'Ready' }] },
      { conditions: [{ type: 'Covered' }] },
      ['conditions[Ready]'],
    ],
    [
      'in what is more than wanted',
      { conditions: [{ type: 'Ready' }] },
      { conditions: [{ type: 'Ready' }, { type: 'Covered' }] },
      ['conditions'],
    ],
    ['everywhere', { a: 1 }, undefined, ['']],
  ])('%s', (_where, wanted, actual, found) => {
    expect(mismatches(wanted, actual)).toEqual(found);
  });
});
