/** What is remembered of permissions, against what the kernel says at the same moment. */

import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, closeSync, openSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import koffi from 'koffi';
import { describe, expect, test, vi } from 'vitest';
import { pause } from '../../../testing/pause.ts';
import { SeededRandom } from '../../../testing/seeded-random.ts';
import { fileSystems } from '../../data-path/file-systems.fixture.ts';
import { StatBuffer } from '../../system/statx.ts';
import {
  accessOf,
  become,
  type Identity,
  R_OK,
  SERVER_IDENTITY,
  W_OK,
  X_OK,
} from '../../system/thread-identity.ts';
import type { VolumeStatus } from '../failures/status.ts';
import type { OpenFile } from '../files/open-file.ts';
import { accessNow, couldRead, mayRead, mayStillRead, rememberReadable } from '../files/permissions.ts';
import { changeTimesTell } from './known-access.ts';

vi.mock(import('../../system/thread-identity.ts'), async (original) => {
  const real = await original();
  return { ...real, accessOf: vi.fn(real.accessOf) };
});
const asked = vi.mocked(accessOf);

const O_PATH = 0o10000000;
const ALL = R_OK | W_OK | X_OK;
const users: readonly Identity[] = [
  { uid: 1001, gid: 1001, groups: [] },
  { uid: 1002, gid: 1002, groups: [2001] },
];
const root = process.geteuid!() === 0;

interface Opened {
  readonly path: string;
  readonly file: OpenFile;
}

function open(path: string, type: string): Opened {
  const file = {
    pathFd: openSync(path, O_PATH),
    access: null,
    volume: { changeTimesTell: changeTimesTell(type) },
  } as unknown as OpenFile;
  return { path, file };
}

/** As READ does it. */
function readable({ file }: Opened, user: Identity): VolumeStatus {
  const stat = new StatBuffer();
  const could = couldRead(file, user);
  const askedAtMs = Date.now();
  const status = could ? 'ok' : mayRead(file, user, stat);
  if (status !== 'ok') return status;
  expect(stat.ofFd(file.pathFd)).toBe(0);
  if (could) return mayStillRead(file, user, stat);
  rememberReadable(file, user, stat, askedAtMs);
  return 'ok';
}

function access({ file }: Opened, user: Identity): number {
  const stat = new StatBuffer();
  expect(stat.ofFd(file.pathFd)).toBe(0);
  return accessNow(file, user, stat, ALL);
}

/** The kernel's answers, and what NFS makes of them. */
function expected({ file }: Opened, user: Identity): { bits: number; status: VolumeStatus } {
  become(user);
  let bits = 0;
  for (const bit of [R_OK, W_OK, X_OK]) if (accessOf(file.pathFd, bit) === 0) bits |= bit;
  const status = mayRead(file, user, new StatBuffer());
  become(SERVER_IDENTITY);
  return { bits, status };
}

function expectTruth(opened: Opened, what: string): void {
  for (const user of users) {
    const { bits, status } = expected(opened, user);
    expect([access(opened, user), readable(opened, user)], `${what}, user ${user.uid}`).toEqual([
      bits,
      status,
    ]);
  }
  become(SERVER_IDENTITY);
}

const setxattr = koffi
  .load('libc.so.6')
  .func('int setxattr(const char *path, const char *name, const uint8_t *value, size_t size, int flags)');

/** Tags of the entries of an access ACL (linux/posix_acl.h), as acl(5) wants them ordered. */
const Acl = { userObject: 1, user: 2, groupObject: 4, mask: 16, other: 32 };

/** An ACL that gives this user these permissions, and others theirs (linux/posix_acl_xattr.h). */
function setAcl(path: string, uid: number, permissions: number, others: number): void {
  const entries = [
    [Acl.userObject, 6, 0xffffffff],
    [Acl.user, permissions, uid],
    [Acl.groupObject, others, 0xffffffff],
    [Acl.mask, 7, 0xffffffff],
    [Acl.other, others, 0xffffffff],
  ] as const;
  const value = Buffer.alloc(4 + 8 * entries.length);
  value.writeUInt32LE(2, 0);
  for (const [i, [tag, bits, id]] of entries.entries()) {
    value.writeUInt16LE(tag, 4 + 8 * i);
    value.writeUInt16LE(bits, 6 + 8 * i);
    value.writeUInt32LE(id, 8 + 8 * i);
  }
  expect(setxattr(path, 'system.posix_acl_access', value, value.length, 0), 'setxattr').toBe(0);
}

/** Whatever a client or somebody on the machine may do to it. */
function change({ path }: Opened, random: SeededRandom): string {
  const kind = random.below(7);
  const owner = [0, 1001, 1002][random.below(3)]!;
  switch (kind) {
    case 0:
    case 1: {
      const mode = random.below(0o1000);
      chmodSync(path, mode);
      return `mode ${mode.toString(8)}`;
    }
    case 2:
      chownSync(path, owner, [0, 1001, 2001][random.below(3)]!);
      return `owner ${owner}`;
    case 3:
      utimesSync(path, 1000 + random.below(1000), 1000);
      return 'times of long ago';
    case 4:
      writeFileSync(path, 'x'.repeat(random.below(10)));
      return 'content';
    default:
      setAcl(path, 1002, random.below(8), random.below(8));
      return 'ACL';
  }
}

describe.skipIf(!root)('as root', () => {
  for (const kind of fileSystems.filter(({ missing }) => missing === null)) {
    test(`on ${kind.name}, it is never another answer than the kernel's`, async () => {
      const mounted = kind.mount();
      const path = join(mounted.path, 'file');
      writeFileSync(path, 'x');
      const type = execFileSync('stat', ['-f', '-c', '%T', path], { encoding: 'utf8' }).trim();
      const opened = open(path, type === 'ext2/ext3' ? 'ext4' : type);
      try {
        const random = new SeededRandom(7);
        for (let round = 0; round < 12; round++) {
          // Now and then it has settled, and is known.
          await pause(130, 'its times have settled by then');
          expectTruth(opened, `round ${round}`);
          for (let i = 0; i < 20; i++) {
            const what = change(opened, random);
            expectTruth(opened, `round ${round}: ${what}`);
            if (random.below(4) === 0) await pause(random.below(8), 'time passes between changes');
          }
        }
      } finally {
        become(SERVER_IDENTITY);
        closeSync(opened.file.pathFd);
        mounted.unmount();
      }
    }, 60_000);
  }

  test('of an object that nobody changes the kernel is asked once', async () => {
    const kind = fileSystems.find(({ name, missing }) => name.startsWith('ext4') && missing === null);
    if (kind === undefined) throw new Error('no ext4 on this machine: mkfs.ext4 is missing');
    const mounted = kind.mount();
    const path = join(mounted.path, 'file');
    writeFileSync(path, 'x', { mode: 0o640 });
    chownSync(path, 1001, 2001);
    const opened = open(path, 'ext4');
    try {
      const [owner, member] = users as [Identity, Identity];
      await pause(130, 'its times have settled by then');
      const questions = (work: () => void): number => {
        asked.mockClear();
        work();
        return asked.mock.calls.length;
      };
      expect(questions(() => expect(readable(opened, owner)).toBe('ok'))).toBe(1);
      expect(questions(() => expect(readable(opened, owner)).toBe('ok'))).toBe(0);
      expect(questions(() => expect(access(opened, owner)).toBe(R_OK | W_OK))).toBe(3);
      expect(questions(() => expect(access(opened, owner)).toBe(R_OK | W_OK))).toBe(0);
      // Somebody else is somebody else.
      expect(questions(() => expect(readable(opened, member)).toBe('ok'))).toBe(1);
      become(SERVER_IDENTITY);
      chmodSync(path, 0o600);
      expect(readable(opened, member)).toBe('accessDenied');
      // Just changed: nothing is remembered.
      expect(questions(() => expect(readable(opened, owner)).toBe('ok'))).toBe(1);
      expect(questions(() => expect(readable(opened, owner)).toBe('ok'))).toBe(1);
    } finally {
      become(SERVER_IDENTITY);
      closeSync(opened.file.pathFd);
      mounted.unmount();
    }
  });
});

test('where it is not known what changes the change time, or only its seconds are kept, nothing is remembered', () => {
  expect(['ext4', 'xfs', 'btrfs', 'tmpfs'].map(changeTimesTell)).toEqual([true, true, true, true]);
  expect(['overlay', 'nfs', 'fuse.sshfs', '9p', undefined].map(changeTimesTell)).not.toContain(true);
  const file = { pathFd: -1, access: null, volume: { changeTimesTell: true } } as unknown as OpenFile;
  const stat = (changedAtMs: number): StatBuffer => ({ changedAtMs }) as StatBuffer;
  const user = users[0]!;
  const remembered = (changedAtMs: number, askedAtMs: number): boolean => {
    rememberReadable(file, user, stat(changedAtMs), askedAtMs);
    return file.access?.changedAtMs === changedAtMs;
  };
  expect(remembered(5000, 9000)).toBe(false);
  expect(remembered(5000.25, 5050)).toBe(false);
  expect(remembered(6000.25, 5050)).toBe(false);
  expect(remembered(5000.25, 9000)).toBe(true);
});
