import { expect, test } from 'vitest';
import { SeededRandom } from '../../testing/seeded-random.ts';
import { ExportSpecs } from '../exports/export-specs.ts';
import type { ExportSpec } from '../settings/export-spec.ts';
import { StandingExports } from './standing-exports.ts';

const spec = (path: string, readOnly = false): ExportSpec => ({
  path,
  volume: 'data',
  clients: ['*'],
  access: readOnly ? 'ReadOnly' : 'ReadWrite',
  squash: 'None',
  anonymousUid: 65534,
  anonymousGid: 65534,
});

test('an opening is given the exports as they are, and no more than some changes beside what is packed', () => {
  const random = new SeededRandom(3);
  const model = new Map<string, ExportSpec>();
  let packings = 0;
  const standing = new StandingExports(() => {
    packings += 1;
    return [...model.values()];
  });
  const check = (): void => {
    const { now } = standing;
    const exports = new Map([...new ExportSpecs(structuredClone(now))].map((one) => [one.path, one]));
    expect(exports).toEqual(model);
    expect(now.changes.set.length + now.changes.removed.length).toBeLessThanOrEqual(500);
  };
  check();
  const first = Array.from({ length: 10_000 }, (_, i) => spec(`/${i}`));
  for (const one of first) model.set(one.path, one);
  standing.note({ set: first, removed: [] });
  expect(packings).toBe(1);
  check();
  for (let step = 0; step < 1500; step++) {
    const path = `/${random.below(11_000)}`;
    if (random.below(3) === 0) {
      model.delete(path);
      standing.note({ set: [], removed: [path] });
    } else {
      const one = spec(path, random.below(2) === 0);
      model.set(path, one);
      standing.note({ set: [one], removed: [] });
    }
    if (step % 300 === 0) check();
  }
  check();
  // One change costs a five-hundredth of a packing.
  expect(packings).toBeLessThanOrEqual(4);
});
