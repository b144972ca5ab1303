import { expect, test } from 'vitest';
import { ExportSpecs } from '../../exports/export-specs.ts';
import type { ExportSpec } from '../../settings/export-spec.ts';
import type { Volume } from '../volume/volume.ts';
import { Export } from './export.ts';
import type { ExportRoot } from './export-root.ts';
import { ExportTable } from './export-table.ts';
import { ToldRoots } from './told-roots.ts';

const spec = (directory: string): ExportSpec => ({
  path: '/team',
  volume: 'data',
  directory,
  clients: ['*'],
  access: 'ReadWrite',
  squash: 'None',
  anonymousUid: 65534,
  anonymousGid: 65534,
});
const root = (directory: string, key: string): ExportRoot => ({
  path: '/team',
  place: `data:${directory}`,
  key,
  problem: key === '' ? 'it is gone' : '',
});

/** As a connection thread has them. */
function known() {
  const told = new ToldRoots();
  const specs = ExportSpecs.of([spec('one')]);
  // All that an export asks of its volume.
  const volume = { isWholeFileSystem: true } as Volume;
  const table = new ExportTable(specs, {
    make: (each) => {
      const made = new Export(each, volume);
      told.locate(made);
      return made;
    },
    locate: (each) => told.locate(each),
  });
  return { told, specs, table, rootKey: () => table.atPath('/team')!.rootKey };
}

test('what was told before anybody used the export counts, and so does what is told later', () => {
  const { told, table, rootKey } = known();
  expect(told.learn([root('one', 'a')], table)).toBe(false);
  expect(rootKey()).toBe('a');
  expect(told.learn([root('one', 'b')], table)).toBe(true);
  expect(rootKey()).toBe('b');
  expect(told.learn([root('one', '')], table)).toBe(true);
  expect(rootKey()).toBe('');
  expect(told.learn([root('one', 'a')], table)).toBe(false);
});

test('news of the directory of before says nothing of an export that has another one by now', () => {
  const { told, specs, table } = known();
  told.learn([root('one', 'a')], table);
  const before = table.atPath('/team')!;
  specs.change({ set: [spec('two')], removed: [] });
  const changed = table.changed([before]);
  expect(changed.atPath('/team')!.rootKey).toBe(null);
  // On its way when the export changed.
  expect(told.learn([root('one', 'a')], changed)).toBe(false);
  expect(changed.atPath('/team')!.rootKey).toBe(null);
  told.learn([root('two', 'c')], changed);
  expect(changed.atPath('/team')!.rootKey).toBe('c');
});
