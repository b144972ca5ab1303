import { describe, expect, test } from 'vitest';
import { mountHelperWords } from './mount-helper.ts';
import { hostIn, mountOptions, parseMounts, sourceOf } from './mount-table.ts';

describe('the helper of mount(8)', () => {
  test('takes what mount gives it for a line of fstab', () => {
    expect(
      mountHelperWords(['nfs://filer-a/home', '/mnt', '-o', 'rw,_netdev,by=kernel', '-t', 'filerpair']),
    ).toEqual(['mount', 'nfs://filer-a/home', '/mnt', '--options', 'rw,_netdev', '--by', 'kernel']);
  });

  test('knows what a mount of its own namespace is', () => {
    expect(mountHelperWords(['nfs://filer-a/home', '/mnt', '-o', 'network=private,ro'])).toEqual([
      'mount',
      'nfs://filer-a/home',
      '/mnt',
      '--options',
      'ro',
      '--private',
    ]);
  });

  test('takes a source as those of NFS are written, and flags that it has no use for', () => {
    expect(mountHelperWords(['filer-a:/home', '/mnt', '-sfnv', '-N', '7'])).toEqual([
      'mount',
      'nfs://filer-a/home',
      '/mnt',
    ]);
  });
});

describe('mounts', () => {
  test("are read from the kernel's list, with spaces in their names", () => {
    const text = '169.254.77.1:/home /mnt/a\\040b nfs rw,vers=3 0 0\nproc /proc proc rw 0 0\n';
    expect(parseMounts(text)).toEqual([
      { source: '169.254.77.1:/home', target: '/mnt/a b', type: 'nfs', options: ['rw', 'vers=3'] },
      { source: 'proc', target: '/proc', type: 'proc', options: ['rw'] },
    ]);
  });

  test('the host of a source', () => {
    expect(hostIn('169.254.77.1:/home')).toBe('169.254.77.1');
    expect(hostIn(sourceOf('fd00::1', '/home'))).toBe('fd00::1');
    expect(hostIn('proc')).toBe('');
  });

  test('options: ours first, then those of the user, without what is only for fstab', () => {
    expect(mountOptions(2049, false, 'ro,_netdev,x-systemd.automount,nconnect=4')).toBe(
      'vers=3,proto=tcp,mountproto=tcp,port=2049,mountport=2049,nolock,hard,ro,nconnect=4',
    );
    expect(mountOptions(2049, true, undefined)).toContain('proto=tcp6,mountproto=tcp6');
  });
});
