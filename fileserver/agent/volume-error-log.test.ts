import { expect, test } from 'vitest';
import { TROUBLED_MS, VolumeErrorLog } from './volume-error-log.ts';

const EIO = { call: 'read', errno: 'EIO', count: 1, inode: '4711' } as const;

test('errors of each kind are counted, and told for a while after the last of them', () => {
  const log = new VolumeErrorLog();
  log.add('data', [EIO, { ...EIO, call: 'statx', inode: null }], 1000);
  log.add('data', [{ ...EIO, count: 5, inode: null }], 2000);
  expect(log.recent(3000)).toEqual([
    { name: 'data', call: 'read', errno: 'EIO', count: 6, lastMs: 1000, inode: '4711' },
    { name: 'data', call: 'statx', errno: 'EIO', count: 1, lastMs: 2000, inode: null },
  ]);
  expect(log.sentence(3000)).toContain('read failed with EIO (6 times), last for inode 4711');
  expect(log.recent(2000 + TROUBLED_MS)).toEqual([]);
  expect(log.sentence(2000 + TROUBLED_MS)).toBeNull();
});

test('the log has the first error, and then a line a minute with how many there were', () => {
  const log = new VolumeErrorLog();
  const lines = [0, 1000, 2000, 59_000, 61_000, 62_000].flatMap((at) => log.add('data', [EIO], at));
  expect(lines).toHaveLength(2);
  expect(lines[0]).toContain('volume data: read failed with EIO (once)');
  expect(lines[1]).toContain('read failed with EIO (4 times)');
});

test('what the server lacks is not said to be the disk', () => {
  const log = new VolumeErrorLog();
  const [line] = log.add('data', [{ ...EIO, call: 'openat', errno: 'EMFILE' }], 0);
  expect(line).toContain('the server lacks descriptors or memory');
});
