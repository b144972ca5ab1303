import { expect, test } from 'vitest';
import { mountIn } from '../../system/mounts.ts';
import { commitOrderOf } from './commit-order.ts';

const MOUNTINFO = `22 27 0:21 / /proc rw,relatime - proc proc rw
44 27 7:0 / /srv/a rw,relatime shared:7 master:2 - ext4 /dev/loop0 rw,data=ordered
45 27 7:1 /sub /srv/b\\040c ro,relatime - xfs /dev/loop1 rw,attr2,inode64,logbufs=8
46 27 0:45 / /srv/c rw,relatime - btrfs /dev/loop2 rw,space_cache=v2
`;

const ext4 = (...options: string[]) => ({ type: 'ext4', device: '7:0', options: ['rw', ...options] });
const xfs = (...options: string[]) => ({ type: 'xfs', device: '7:1', options: ['rw', ...options] });

test('mounts are told apart by their number, with the options of the file system', () => {
  expect(mountIn(MOUNTINFO, 44)).toEqual({
    type: 'ext4',
    device: '7:0',
    root: '/',
    options: ['rw', 'data=ordered'],
  });
  expect(mountIn(MOUNTINFO, 45)?.options).toContain('logbufs=8');
  expect(mountIn(MOUNTINFO, 4)).toBe(null);
});

test('ext4 with a journal on its device and xfs commit in order: one flush', () => {
  for (const options of [[], ['data=ordered'], ['data=writeback'], ['data=journal']]) {
    expect(commitOrderOf(ext4(...options), true)).toMatchObject({
      orderedMetadata: true,
      intents: 'writeOut',
    });
  }
  expect(commitOrderOf(xfs('attr2'), null)).toMatchObject({ orderedMetadata: true, intents: 'writeOut' });
});

test.each([
  ['ext4 without a journal, or with one on another device', ext4(), false],
  ['ext4, when it could not be found out', ext4(), null],
  ['ext4 without barriers', ext4('nobarrier'), true],
  ['ext4 that writes its commit record early', ext4('journal_async_commit'), true],
  ['ext4 past the page cache', ext4('dax=always'), true],
  ['xfs with its log on another device', xfs('logdev=/dev/sdb1'), null],
  ['xfs with a real-time device', xfs('rtdev=/dev/sdb2'), null],
  ['btrfs', { type: 'btrfs', device: '0:45', options: ['rw'] }, null],
  ['overlay', { type: 'overlay', device: '0:46', options: ['rw'] }, null],
  ['what is not known', null, null],
])('two flushes: %s', (_name, mount, journal) => {
  expect(commitOrderOf(mount, journal).intents).toBe('flush');
});

test('without a journal, or with nothing known, an entry is not durable with its directory', () => {
  expect(commitOrderOf(ext4(), false).orderedMetadata).toBe(false);
  expect(commitOrderOf(null, null).orderedMetadata).toBe(false);
  expect(commitOrderOf(ext4('nobarrier'), true).orderedMetadata).toBe(true);
});
