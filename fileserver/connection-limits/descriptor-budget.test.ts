import { expect, test } from 'vitest';
import { descriptorBudget } from './descriptor-budget.ts';

const counts = { connections: 4, own: 4, partner: 4 };
const TABLES = 16;

test.each([1024, 4096, 65_536, 1_048_576])(
  'with a limit of %i, something is left for the server itself',
  (limit) => {
    const { connectionsMax, files } = descriptorBudget(limit, counts);
    expect(limit - connectionsMax - TABLES * files.descriptorsMax).toBeGreaterThanOrEqual(300);
    expect(connectionsMax).toBeGreaterThanOrEqual(200);
  },
);

test('more descriptors are of use up to a bound', () => {
  expect(descriptorBudget(1_048_576, counts)).toEqual({
    connectionsMax: 16_384,
    files: { filesMax: 32_768, descriptorsMax: 32_768 },
  });
  expect(descriptorBudget(64, counts).files.descriptorsMax).toBe(8);
});
