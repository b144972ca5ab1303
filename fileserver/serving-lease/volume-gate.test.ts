/** The gate alone, and that there is no way around it: calls that change something are made behind it only. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { bootMs } from '../system/boottime.ts';
import { AT_FDCWD, makeDirectoryAt } from '../system/file-calls.ts';
import { changingCall } from '../system/libc.ts';
import { CHANGING_CALLS } from '../system/system-calls.ts';
import { REFUSED } from '../system/write-gate.ts';
import { allocateLeaseTable, LeaseTable } from './lease-table.ts';
import { VolumeGate } from './volume-gate.ts';

const HOUR_MS = 3_600_000;

let leases: LeaseTable;
let gate: VolumeGate;
let told: string[];

beforeEach(() => {
  leases = new LeaseTable(allocateLeaseTable());
  leases.set('local', bootMs() + HOUR_MS);
  told = [];
  gate = new VolumeGate(leases, 'local', {
    onLeaseExpired: () => told.push('expired'),
    onBug: (error) => told.push((error as Error).message),
  });
});

/** A change that takes no time. */
function mayWrite(): boolean {
  if (!gate.begin()) return false;
  gate.end();
  return true;
}

test('it is open while the lease is held', () => {
  expect([mayWrite(), mayWrite(), told]).toEqual([true, true, []]);
});

test('a right found over stops the disk set for all threads, also if it is extended, and is told once', () => {
  leases.set('local', bootMs() - 1);
  expect([mayWrite(), mayWrite()]).toEqual([false, false]);
  leases.set('local', bootMs() + HOUR_MS);
  expect([mayWrite(), leases.held('local')]).toEqual([false, false]);
  expect(told).toEqual(['expired']);
});

test('the right of the other disk set opens nothing', () => {
  leases.set('local', 0);
  leases.set('partner', bootMs() + HOUR_MS);
  expect(mayWrite()).toBe(false);
  expect(leases.held('partner')).toBe(true);
});

test('a change is under way from its check to its end, and one that is refused is not', () => {
  expect(gate.begin()).toBe(true);
  leases.set('local', 0);
  expect([leases.isChanging('local'), leases.isChanging('partner')]).toEqual([true, false]);
  gate.end();
  expect(leases.isChanging('local')).toBe(false);
  expect([gate.begin(), leases.isChanging('local')]).toEqual([false, false]);
  leases.resume('local');
  leases.set('local', bootMs() + HOUR_MS);
  gate.freeze();
  expect([gate.begin(), leases.isChanging('local')]).toEqual([false, false]);
});

test('a change counts as over also when its system call throws', () => {
  const close = changingCall<(fd: number, more: number) => number>(null, 'int close(int fd, int more)');
  expect(() => close(gate, 'no number' as never, 0)).toThrow();
  expect(leases.isChanging('local')).toBe(false);
});

test('during a freeze and after the end nothing passes, right or not, and each try is reported', () => {
  gate.freeze();
  expect(mayWrite()).toBe(false);
  gate.thaw();
  expect(mayWrite()).toBe(true);
  gate.close();
  gate.thaw();
  gate.freeze();
  gate.thaw();
  expect(mayWrite()).toBe(false);
  expect(told).toEqual([
    'a change of a volume was about to be made while its gate was frozen',
    'a change of a volume was about to be made while its gate was closed',
  ]);
  expect(leases.held('local')).toBe(true);
});

test('a call that it does not let through is not made', () => {
  leases.set('local', 0);
  const name = new TextEncoder().encode('/nowhere/at/all');
  expect(makeDirectoryAt(gate, AT_FDCWD, name, 0o700)).toBe(REFUSED);
});

describe('nobody goes around it', () => {
  const fileserver = join(import.meta.dirname, '..');
  const sources = (folder: string): [string, string][] =>
    readdirSync(join(fileserver, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts') && !/\.(test|fixture)\.ts$/.test(name))
      .map((name) => [`${folder}/${name}`, readFileSync(join(fileserver, folder, name), 'utf8')]);
  /** Of the data path: all that has to do with volumes. */
  const FOLDERS = [
    'callers',
    'exports',
    'groups',
    'mount',
    'nfs3',
    'rpc',
    'serving-lease',
    'storage',
    'threads',
  ];

  /** What the data path may take from node:fs: nothing that changes something. */
  const READING = new Set([
    'constants',
    'fdatasync',
    'fdatasyncSync',
    'fsync',
    'lstat',
    'read',
    'readdir',
    'readFile',
    'readFileSync',
    'stat',
    'statfs',
  ]);

  test('by node:fs: the data path takes nothing from it that changes a file', () => {
    const taken = FOLDERS.flatMap(sources).flatMap(([file, text]) =>
      [...text.matchAll(/import ([^;]*?) from 'node:fs(?:\/promises)?';/gs)].flatMap(([, names]) =>
        names!
          .replace(/[{}\n]/g, ' ')
          .split(',')
          .map((name) => `${file}: ${name.trim().replace(/^(type )?(\w+).*$/s, '$2')}`),
      ),
    );
    expect(taken.length).toBeGreaterThan(5);
    expect(taken.filter((one) => !READING.has(one.split(': ')[1]!))).toEqual([]);
  });

  /** C functions that are called without a gate. None of them changes contents, names or attributes of a volume. */
  const HARMLESS = new Set(
    (
      'openat syscall fcntl close readlinkat pread64 preadv2 lseek64 umask unshare ' +
      'fstatfs64 fpathconf syncfs sync_file_range statx faccessat2 name_to_handle_at open_by_handle_at getdents64 ' +
      'clock_gettime timer_create timer_settime timer_delete socketpair sendmsg flock sched_yield getpwnam_r getsockopt ' +
      'adjtimex prctl setpriority gettid kill getgrouplist poll getpwuid_r'
    ).split(' '),
  );
  /** Of several uses: those that change nothing. */
  const HARMLESS_USES: Readonly<Record<string, readonly string[]>> = {
    // unshareExtents() asks a gate itself: it runs in the pool.
    fallocate64: ['system/shared-extents.ts'],
    // Of attachment pods, which own no disk set.
    mount: ['system/mount-calls.ts'],
    umount2: ['system/mount-calls.ts'],
  };

  test('by the C library: every function that is called without a gate is known to change nothing', () => {
    const found: string[] = [];
    for (const [file, text] of [...FOLDERS, 'system'].flatMap(sources)) {
      for (const [, caller, signature] of text.matchAll(
        /(\w+)(?:<[^>]*>+(?:\[\])?)?\(\s*(?:'[^']*'|null|name)?,?\s*\n?\s*'((?:int|int64|long|uint32|void \*|ssize_t) ?\w+\([^']*\))'/g,
      )) {
        if (caller === 'changingCall') continue;
        const name = /(\w+)\(/.exec(signature!)![1]!;
        found.push(`${file}: ${name}`);
      }
    }
    expect(found.length).toBeGreaterThan(20);
    const unknown = found.filter((one) => {
      const [file, name] = one.split(': ') as [string, string];
      return !HARMLESS.has(name) && HARMLESS_USES[name]?.includes(file) !== true;
    });
    expect(unknown).toEqual([]);
  });

  test('only fileserver/system knows the C library', () => {
    const users = FOLDERS.flatMap(sources).filter(([, text]) => /from 'koffi'/.test(text));
    expect(users.map(([file]) => file)).toEqual([]);
  });

  test('the table of calls that change something is complete: each is made behind a gate, and no other way', () => {
    const text = sources('system')
      .map(([, source]) => source)
      .join('\n');
    for (const call of CHANGING_CALLS) {
      expect(text).toMatch(new RegExp(`changingCall<\\w+>\\(\\s*'${call}'`));
      expect(text).not.toMatch(new RegExp(`systemCall<\\w+>\\(\\s*'${call}'`));
    }
    expect(text.match(/changingCall<\w+>\([^;]*PWRITE/g)).toHaveLength(3);
    expect(text).not.toMatch(/systemCall<\w+>\([^;]*PWRITE/);
    expect(text).not.toMatch(/\bioctl\([^;]*FS_IOC_SETFLAGS/);
    expect(text).toMatch(/changingIoctl\(gate, fd, FS_IOC_SETFLAGS/);
  });
});
