import { expect, test } from 'vitest';
import { SeededRandom } from '../../testing/seeded-random.ts';
import type { ExportSpec } from '../settings/export-spec.ts';
import { exportIdOf } from '../storage/handles/file-handle.ts';
import { ExportSpecs, packed, unpacked } from './export-specs.ts';
import { PackedExports } from './packed-exports.ts';

const CLIENTS = ['10.0.0.0/8', '*', 'fd00::/8', '192.0.2.7', '__proto__', 'constructor'];

function spec(path: string, clients: readonly string[] = ['*']): ExportSpec {
  return {
    path,
    volume: 'data',
    directory: `shares${path}`,
    clients,
    access: 'ReadWrite',
    squash: 'Root',
    anonymousUid: 65534,
    anonymousGid: 65534,
  };
}

function countsOf(exports: Iterable<ExportSpec>): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { clients } of exports)
    for (const client of clients) counts.set(client, (counts.get(client) ?? 0) + 1);
  return counts;
}

const byPath = (exports: Iterable<ExportSpec>): ExportSpec[] =>
  [...exports].toSorted((a, b) => (a.path < b.path ? -1 : 1));

test('packed exports are found by their numbers, whatever characters they have', () => {
  const paths = [
    '/',
    '/ä/ö/\u{1f600}',
    '/a b',
    '/"quoted"',
    ...Array.from({ length: 500 }, (_, i) => `/x/${i}`),
  ];
  const exports = paths.map((path) => spec(path, [CLIENTS[path.length % CLIENTS.length]!]));
  const { memory } = PackedExports.pack(exports);
  const read = new PackedExports(memory);
  expect(read.count).toBe(exports.length);
  for (const one of exports) expect(read.get(exportIdOf(one.path))).toEqual(one);
  expect([...read.ids()]).toEqual(paths.map(exportIdOf).toSorted((a, b) => a - b));
  for (const path of ['/none', '/x/500', '']) {
    expect(read.has(exportIdOf(path))).toBe(false);
    expect(read.get(exportIdOf(path))).toBe(null);
  }
  expect(new Map(Object.entries(read.clients))).toEqual(countsOf(exports));
});

test('no exports', () => {
  const none = new PackedExports(PackedExports.pack([]).memory);
  expect([none.count, none.get(1), [...none.ids()], { ...none.clients }]).toEqual([0, null, [], {}]);
  expect([...ExportSpecs.of([])]).toEqual([]);
});

test('however they have come, packed, as a list, or by changes, the exports are the same', () => {
  const random = new SeededRandom(2);
  const randomSpec = (): ExportSpec =>
    spec(
      `/share-${random.below(30)}`,
      CLIENTS.filter(() => random.below(2) === 0),
    );
  for (let run = 0; run < 100; run++) {
    const model = new Map<string, ExportSpec>();
    for (let i = random.below(20); i > 0; i--) {
      const one = randomSpec();
      model.set(one.path, one);
    }
    const first = [...model.values()];
    let specs = new ExportSpecs(run % 2 === 0 ? packed(first) : unpacked(first));
    for (let step = 0; step < 20; step++) {
      const set = Array.from({ length: random.below(4) }, randomSpec);
      const paths = new Set(set.map(({ path }) => path));
      const removed = Array.from({ length: random.below(4) }, () => `/share-${random.below(30)}`);
      const gone = removed.filter((path) => !paths.has(path));
      for (const path of gone) model.delete(path);
      for (const one of set) model.set(one.path, one);
      specs.change({ set, removed: gone });
      // To another thread.
      if (random.below(4) === 0) specs = new ExportSpecs(structuredClone(specs.given));
      expect(byPath(specs)).toEqual(byPath(model.values()));
      expect(specs.countClients()).toEqual(countsOf(model.values()));
      for (let i = 0; i < 30; i++) {
        const path = `/share-${i}`;
        expect(specs.atPath(path)).toEqual(model.get(path) ?? null);
        expect(specs.has(exportIdOf(path))).toBe(model.has(path));
      }
    }
  }
});
