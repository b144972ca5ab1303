import { expect, test } from 'vitest';
import { SeededRandom } from '../../testing/seeded-random.ts';
import { exportIdOf } from '../storage/handles/file-handle.ts';
import { exportOfShare } from './share-export.ts';
import type { ShareObject } from './share-object.ts';
import { ShareTable } from './share-table.ts';

const VOLUMES = new Map([
  ['a', ['data', 'scratch']],
  ['b', ['data']],
]);

type Spec = Partial<ShareObject['spec']>;

function share(name: string, spec: Spec = {}, metadata: object = {}): ShareObject {
  return {
    metadata: {
      namespace: 'storage',
      name,
      uid: `uid-${name}`,
      creationTimestamp: '2026-11-30T12:00:00Z',
      ...metadata,
    },
    spec: { pairRef: { name: 'nas' }, server: 'a', clients: ['10.0.0.0/8'], ...spec },
  };
}

function tableOf(shares: readonly ShareObject[]): ShareTable {
  const table = new ShareTable(VOLUMES);
  for (const one of shares) table.put(one);
  return table;
}

const state = (table: ShareTable) => ({
  a: table.exportsOf('a').toSorted((x, y) => (x.path < y.path ? -1 : 1)),
  b: table.exportsOf('b').toSorted((x, y) => (x.path < y.path ? -1 : 1)),
  verdicts: [...table.values()]
    .map(({ name, verdict }) => [name, verdict] as const)
    .toSorted(([x], [y]) => (x < y ? -1 : 1)),
});

test('a share that says nothing but its clients', () => {
  expect(exportOfShare(share('team'))).toEqual({
    path: '/team',
    volume: 'data',
    directory: 'shares/team',
    clients: ['10.0.0.0/8'],
    ports: 'Any',
    access: 'ReadWrite',
    squash: 'Root',
    anonymousUid: 65534,
    anonymousGid: 65534,
    create: { mode: 0o755, uid: 0, gid: 0 },
  });
});

test('a share that says everything', () => {
  const spec: Spec = {
    server: 'b',
    volume: 'scratch',
    path: '/home',
    directory: 'people/home',
    createDirectory: { mode: '2770', uid: 1000, gid: 2000 },
    clients: ['fd00::/8', '192.0.2.7'],
    clientPorts: 'Reserved',
    access: 'ReadOnly',
    squash: { mode: 'All', anonymousUID: 1000, anonymousGID: 2000 },
  };
  expect(exportOfShare(share('team', spec))).toEqual({
    path: '/home',
    volume: 'scratch',
    directory: 'people/home',
    clients: ['fd00::/8', '192.0.2.7'],
    ports: 'Reserved',
    access: 'ReadOnly',
    squash: 'All',
    anonymousUid: 1000,
    anonymousGid: 2000,
    create: { mode: 0o2770, uid: 1000, gid: 2000 },
  });
});

test('a directory that is named is not made unless the share says so; the root of a volume never', () => {
  expect(exportOfShare(share('team', { directory: 'people' })).create).toBeUndefined();
  const root = exportOfShare(share('team', { directory: '.', createDirectory: {} }));
  expect([root.directory, root.create]).toEqual([undefined, undefined]);
});

test('of two shares with one path on a server the older is served, and the younger one says which that is', () => {
  const older = share('old', { path: '/home' });
  const younger = share('new', { path: '/home' }, { creationTimestamp: '2026-11-30T12:00:01Z' });
  const onOther = share('other', { path: '/home', server: 'b' });
  const table = tableOf([younger, older, onOther]);
  expect(table.exportsOf('a')).toEqual([exportOfShare(older)]);
  expect(table.exportsOf('b')).toEqual([exportOfShare(onOther)]);
  expect(table.get('new')?.verdict).toMatchObject({
    accepted: false,
    reason: 'PathTaken',
    message: expect.stringContaining('FilerShare "old"'),
  });
  table.remove('old');
  expect(table.exportsOf('a')).toEqual([exportOfShare(younger)]);
  expect(table.get('new')?.verdict).toEqual({ accepted: true });
});

test('of the same age the name decides', () => {
  const table = tableOf([share('y', { path: '/home' }), share('x', { path: '/home' })]);
  expect(table.exportsOf('a')).toEqual([exportOfShare(share('x', { path: '/home' }))]);
});

test('of two paths with the same number in file handles one is served', () => {
  const [first, second] = ['/plumless', '/buckeroo'];
  expect(exportIdOf(first)).toBe(exportIdOf(second));
  const table = tableOf([share('x', { path: first }), share('y', { path: second })]);
  expect(table.exportsOf('a').map(({ path }) => path)).toEqual([first]);
  expect(table.get('y')?.verdict).toMatchObject({ reason: 'PathCollides' });
  table.remove('x');
  expect(table.exportsOf('a').map(({ path }) => path)).toEqual([second]);
});

test('exports of one directory, and of one in another, exclude nothing', () => {
  const shares = [
    share('whole', { directory: 'people' }),
    share('part', { directory: 'people/anna' }),
    share('again', { directory: 'people' }),
  ];
  expect(tableOf(shares).exportsOf('a')).toHaveLength(3);
});

test.each([
  [{ server: 'b', volume: 'scratch' }, 'VolumeNotServed', 'only "data"'],
  [{ directory: '.filerpair/x' }, 'DirectoryReserved', "FilerPair's own directory"],
  [{ clients: ['10.0.0.0/99'] }, 'ClientsInvalid', '"10.0.0.0/99" is no network'],
] as const)('%j is not accepted: %s', (spec, reason, message) => {
  const table = tableOf([share('team', spec)]);
  expect(table.get('team')?.verdict).toMatchObject({ accepted: false, reason });
  expect(table.get('team')?.verdict).toMatchObject({ message: expect.stringContaining(message) });
  expect([...table.exportsOf('a'), ...table.exportsOf('b')]).toEqual([]);
});

test('a share that cannot be served takes no path away', () => {
  const wrong = share(
    'old',
    { path: '/home', volume: 'none' },
    { creationTimestamp: '2020-01-01T00:00:00Z' },
  );
  const table = tableOf([wrong, share('new', { path: '/home' })]);
  expect(table.exportsOf('a').map(({ volume }) => volume)).toEqual(['data']);
});

test('a share that is being deleted is not exported, and gives its path to the next one', () => {
  const table = tableOf([share('old', { path: '/home' }), share('p', { path: '/home', access: 'ReadOnly' })]);
  table.take();
  table.put(share('old', { path: '/home' }, { deletionTimestamp: '2026-11-30T13:00:00Z' }));
  expect(table.exportsOf('a').map(({ access }) => access)).toEqual(['ReadOnly']);
  expect(table.take().exports.get('a')).toEqual({ set: table.exportsOf('a'), removed: [] });
});

test('a share of a server that is none of the pair is left to the operator', () => {
  const table = tableOf([share('team', { server: 'c' })]);
  expect(table.get('team')).toBeUndefined();
});

test('a change of a status changes no export', () => {
  const table = tableOf([share('team')]);
  table.take();
  table.put({ ...share('team'), status: { path: '/team' } });
  expect(table.take()).toEqual({ exports: new Map(), shares: ['team'] });
});

test('whatever comes in whatever order, the exports are those of the shares that are there, and changes add up to them', () => {
  const random = new SeededRandom(7);
  const pick = <T>(of: readonly T[]): T => of[random.below(of.length)]!;
  const names = ['a', 'b', 'c', 'd', 'e'];
  const randomShare = (): ShareObject =>
    share(
      pick(names),
      {
        server: pick(['a', 'b', 'c']),
        volume: pick(['data', 'scratch']),
        path: pick(['/x', '/y', '/z']),
        access: pick(['ReadOnly', 'ReadWrite']),
      },
      {
        creationTimestamp: `2026-11-30T12:00:0${random.below(3)}Z`,
        ...(random.below(5) === 0 ? { deletionTimestamp: '2026-11-30T13:00:00Z' } : {}),
      },
    );
  for (let run = 0; run < 50; run++) {
    const table = new ShareTable(VOLUMES);
    const there = new Map<string, ShareObject>();
    const given = { a: new Map<string, unknown>(), b: new Map<string, unknown>() };
    for (let step = 0; step < 60; step++) {
      const one = randomShare();
      const name = one.metadata.name!;
      if (random.below(4) === 0) {
        there.delete(name);
        table.remove(name);
      } else {
        there.set(name, one);
        table.put(one);
      }
      if (random.below(3) > 0) continue;
      for (const [home, { set, removed }] of table.take().exports) {
        const exports = given[home as 'a' | 'b'];
        for (const path of removed) exports.delete(path);
        for (const spec of set) exports.set(spec.path, spec);
      }
      const fresh = tableOf([...there.values()].toSorted(() => random.below(3) - 1));
      expect(state(table)).toEqual(state(fresh));
      for (const home of ['a', 'b'] as const)
        expect([...given[home].keys()].toSorted()).toEqual(state(table)[home].map(({ path }) => path));
      for (const home of ['a', 'b'] as const)
        for (const spec of table.exportsOf(home)) expect(given[home].get(spec.path)).toEqual(spec);
    }
  }
});
