/**
 * The groups of a user as this machine's name services know them (nsswitch.conf: files, sssd, LDAP...): getpwuid_r(3) and
 * getgrouplist(3). Blocks for as long as a name service takes, which may be many seconds: not for a thread that serves anybody.
 */
import koffi from 'koffi';
import { NativeBuffer } from '../../native/native-buffer.ts';
import { GROUPS_MAX } from './user-ids.ts';

// A name service that fails during getgrouplist(3) is not told apart from one that knows no groups; one that fails
// during getpwuid_r(3), which comes first, is.

const libc = koffi.load('libc.so.6');
const c_getpwuid_r = libc.func(
  'int getpwuid_r(uint32 uid, int64 passwd, int64 buffer, uint64 size, int64 result)',
) as (...args: number[]) => number;
const c_getgrouplist = libc.func('int getgrouplist(int64 name, uint32 gid, int64 groups, int64 count)') as (
  ...args: number[]
) => number;

/** Bytes for name, home directory and the like of one user. */
const TEXT_SIZE = 64 * 1024;

// struct passwd: name (pointer) at 0, password (pointer) at 8, uid at 16, gid at 20.
const GID = 20;

let memory: { passwd: NativeBuffer; text: NativeBuffer; pointer: NativeBuffer; groups: NativeBuffer } | null =
  null;

/** Supplementary and primary groups; null: there is no such user. Throws where that can't be found out. */
export function groupsOfUser(uid: number): number[] | null {
  memory ??= {
    passwd: new NativeBuffer(64),
    text: new NativeBuffer(TEXT_SIZE),
    pointer: new NativeBuffer(8),
    groups: new NativeBuffer(GROUPS_MAX * 4),
  };
  const { passwd, text, pointer, groups } = memory;
  const failed = c_getpwuid_r(uid, passwd.address, text.address, TEXT_SIZE, pointer.address);
  if (failed !== 0) throw new Error(`user ${uid} can't be looked up (errno ${failed})`);
  if (pointer.view.getBigUint64(0, true) === 0n) return null;
  pointer.view.setInt32(0, GROUPS_MAX, true);
  const name = Number(passwd.view.getBigUint64(0, true));
  const result = c_getgrouplist(name, passwd.view.getUint32(GID, true), groups.address, pointer.address);
  if (result < 0) throw new Error(`user ${uid} is in more than ${GROUPS_MAX} groups`);
  return Array.from({ length: result }, (_, i) => groups.view.getUint32(i * 4, true));
}
