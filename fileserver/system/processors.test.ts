import { describe, expect, test } from 'vitest';
import { giveWay, processorTime } from './processors.ts';

function reader(files: Readonly<Record<string, string>>): (path: string) => string {
  return (path) => {
    const text = files[path];
    if (text === undefined) throw new Error(`ENOENT ${path}`);
    return text;
  };
}

describe('is processor time rationed?', () => {
  const cases: readonly { name: string; files: Record<string, string>; found: string }[] = [
    {
      name: 'a container with a limit: its group is mounted as the root',
      files: { '/proc/self/cgroup': '0::/\n', '/sys/fs/cgroup/cpu.max': '200000 100000\n' },
      found: 'rationed',
    },
    {
      name: 'a container without',
      files: { '/proc/self/cgroup': '0::/\n', '/sys/fs/cgroup/cpu.max': 'max 100000\n' },
      found: 'free',
    },
    {
      name: 'the limit of a group above counts',
      files: {
        '/proc/self/cgroup': '0::/pods.slice/pod1/server\n',
        '/sys/fs/cgroup/pods.slice/pod1/server/cpu.max': 'max 100000\n',
        '/sys/fs/cgroup/pods.slice/pod1/cpu.max': '50000 100000\n',
      },
      found: 'rationed',
    },
    {
      name: 'version 1 with a quota, beside version 2 for other controllers',
      files: {
        '/proc/self/cgroup': '4:cpu,cpuacct:/docker/abc\n2:memory:/docker/abc\n0::/\n',
        '/sys/fs/cgroup/cpu/docker/abc/cpu.cfs_quota_us': '150000\n',
      },
      found: 'rationed',
    },
    {
      name: 'version 1 without, seen from a container that has only its own group mounted',
      files: {
        '/proc/self/cgroup': '4:cpu,cpuacct:/docker/abc\n',
        '/sys/fs/cgroup/cpu/cpu.cfs_quota_us': '-1\n',
      },
      found: 'free',
    },
    { name: 'nothing to read', files: {}, found: 'unknown' },
    { name: 'groups that say nothing', files: { '/proc/self/cgroup': '0::/\n' }, found: 'unknown' },
  ];
  test.each(cases)('$name: $found', ({ files, found }) => {
    expect(processorTime(reader(files))).toBe(found);
  });

  test('this machine says something, and giving way comes back', () => {
    expect(['rationed', 'free', 'unknown']).toContain(processorTime());
    giveWay();
  });
});
