/**
 * mount(2) and umount2(2), as an attachment needs them: a directory bound to another place, and taken from there without
 * force. Needs CAP_SYS_ADMIN.
 */
import koffi from 'koffi';
import { lastSystemCallError } from './errno.ts';

const MS_BIND = 0x1000;
const UMOUNT_NOFOLLOW = 0x8;

const libc = koffi.load('libc.so.6');
const c_mount = libc.func('int mount(str source, str target, str type, unsigned long flags, void *data)') as (
  source: string,
  target: string,
  type: null,
  flags: number,
  data: null,
) => number;
const c_umount2 = libc.func('int umount2(str target, int flags)') as (
  target: string,
  flags: number,
) => number;

/** The tree at `source` appears at `target` too. Throws SystemCallError. */
export function bindMount(source: string, target: string): void {
  if (c_mount(source, target, null, MS_BIND, null) !== 0) throw lastSystemCallError(`mount ${target}`);
}

/**
 * Never forced and never lazy (MNT_DETACH): busy is an answer. Throws SystemCallError: EBUSY while anything there is in
 * use, also in a mount namespace to which this mount has spread; EINVAL if nothing is mounted there.
 */
export function unmount(target: string): void {
  if (c_umount2(target, UMOUNT_NOFOLLOW) !== 0) throw lastSystemCallError(`umount ${target}`);
}
