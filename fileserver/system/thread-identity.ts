/** Whose permissions the file system calls of this thread are checked against. */
import { fstat } from 'node:fs';
import koffi from 'koffi';
import { NativeBuffer } from '../../native/native-buffer.ts';
import { AT_EMPTY_PATH, emptyPathAddress } from './file-calls.ts';
import { systemCall } from './libc.ts';
import { anotherUser, GROUPS_MAX, isGroup, isUser } from './user-ids.ts';

// setfsuid(2), setfsgid(2) and setgroups(2) by raw system call: they belong to the calling thread alone, while glibc's
// setgroups() tells every thread of the process. A thread whose fsuid is not 0 also loses the capabilities that pass by file
// permissions (CAP_DAC_OVERRIDE, CAP_CHOWN, CAP_FOWNER, CAP_FSETID, CAP_MKNOD...) and gets them back with fsuid 0. So the kernel
// does the checking, down to the last detail.
//
// Threads that this thread starts inherit its identity at that moment. The first asynchronous call of the process starts libuv's
// pool, hence startIoPool() before anybody else's identity is put on.

interface SystemCallNumbers {
  readonly setgroups: number;
  readonly setfsuid: number;
  readonly setfsgid: number;
}
const NUMBERS: Readonly<Record<string, SystemCallNumbers>> = {
  x64: { setgroups: 116, setfsuid: 122, setfsgid: 123 },
  arm64: { setgroups: 159, setfsuid: 151, setfsgid: 152 },
};
const found = NUMBERS[process.arch];
if (found === undefined) throw new Error(`system calls are known for x64 and arm64, not for ${process.arch}`);
const numbers = found;
/** The same number everywhere: it is younger than the common table of system calls. */
const FACCESSAT2 = 439;
const AT_EACCESS = 0x200;

const libc = koffi.load('libc.so.6');
const syscall1 = libc.func('long syscall(long number, uint64 a)') as (number: number, a: number) => number;
const c_setgroups = systemCall<(number: number, count: number, groups: number) => number>(
  'setgroups',
  'long syscall(long number, uint64 a, int64 b)',
);
const c_faccessat2 = systemCall<(...args: number[]) => number>(
  'faccessat2',
  'long syscall(long number, int64 a, int64 b, int64 c, int64 d)',
);

/** A user as the file system sees it. Interned by the caller: compared by reference, never changed. */
export interface Identity {
  readonly uid: number;
  readonly gid: number;
  /** Supplementary groups. */
  readonly groups: readonly number[];
}

/** The server itself: root where the process is root. */
export const SERVER_IDENTITY: Identity = { uid: process.geteuid!(), gid: process.getegid!(), groups: [] };

/** AUTH_SYS brings 16; with groups from the server a user may have many more, and then it becomes longer. */
let groupsMemory = new NativeBuffer(16 * 4);

/** setfsuid(2) of it changes nothing and returns the id as it is. */
const ID_QUERY = 0xffffffff;
/** null: not known any more, since the kernel did not do what was asked; then nothing is done as anybody. */
let current: Identity | null = SERVER_IDENTITY;

/**
 * Whether this process may take on users' identities. An ordinary user can't: then every request runs as the user
 * that the server runs as, and `become` does nothing.
 */
export const identityCanChange: boolean = probe();

function probe(): boolean {
  if (process.geteuid!() !== 0) return false;
  const other = anotherUser();
  if (other === null) return false;
  syscall1(numbers.setfsuid, other);
  const changed = syscall1(numbers.setfsuid, ID_QUERY) === other;
  syscall1(numbers.setfsuid, 0);
  // setgroups with what is there already: EPERM shows that CAP_SETGID is missing.
  const groups = setGroups([]) === 0;
  return changed && groups;
}

/** 0, or -errno: then they are as they were. */
function setGroups(groups: readonly number[]): number {
  const count = Math.min(groups.length, GROUPS_MAX);
  if (count * 4 > groupsMemory.view.byteLength) groupsMemory = new NativeBuffer(GROUPS_MAX * 4);
  for (let i = 0; i < count; i++) groupsMemory.view.setUint32(i * 4, groups[i]!, true);
  return c_setgroups(numbers.setgroups, count, groupsMemory.address);
}

/**
 * From here on this thread's file system calls are that user's. Costs nothing when that identity is on already. Throws for ids
 * that this user namespace does not map (callers have seen to that: rpc/caller.ts), and where setgroups(2) fails; the thread then
 * is who it was. Where the kernel has not taken the ids, which setfsuid(2) reports to nobody, the thread is of no more use: this
 * call throws, and every later one.
 */
export function become(identity: Identity): void {
  if (identity === current || !identityCanChange) return;
  if (current === null) throw new Error('this thread has no known user any more: nothing is done in it');
  const { uid, gid, groups } = identity;
  if (identity !== SERVER_IDENTITY && !(isUser(uid) && isGroup(gid))) {
    throw new RangeError(`the ids ${uid}:${gid} do not exist in this user namespace`);
  }
  const taken = sameGroups(groups, current.groups) ? 0 : setGroups(groups);
  if (taken < 0) throw new Error(`setgroups of ${groups.length} groups failed (errno ${-taken})`);
  const before = current;
  // Until all of it is known to be done.
  current = null;
  if (gid !== before.gid) take(numbers.setfsgid, gid);
  if (uid !== before.uid) take(numbers.setfsuid, uid);
  current = identity;
}

/**
 * What `work` does in the file system is done as that user. The thread stays the user's until the next asUser(), which costs nothing
 * for the same one: what is done in the file system outside of these functions has no user to rely on. Throws as become() does.
 * Where calls are many, `work` is a function of the module and gets its arguments: a closure is an allocation for each call.
 */
export function asUser<Arguments extends readonly unknown[], T>(
  identity: Identity,
  work: (...given: Arguments) => T,
  ...given: Arguments
): T {
  become(identity);
  return work(...given);
}

/** The same as the server itself. */
export function asServer<T>(work: () => T): T {
  return asUser(SERVER_IDENTITY, work);
}

/** setfsuid(2), setfsgid(2): they return the id of before, whether they succeed or not. So the kernel is asked afterwards. */
function take(call: number, id: number): void {
  syscall1(call, id);
  const now = syscall1(call, ID_QUERY);
  if (now !== id) throw new Error(`the kernel has left this thread with id ${now} instead of ${id}`);
}

function sameGroups(a: readonly number[], b: readonly number[]): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

export const R_OK = 4;
export const W_OK = 2;
export const X_OK = 1;

/** 0 if the thread's present identity has these permissions on what the descriptor stands for, else -errno. */
export function accessOf(pathFd: number, wanted: number): number {
  const flags = AT_EMPTY_PATH | AT_EACCESS;
  return c_faccessat2(FACCESSAT2, pathFd, emptyPathAddress(), wanted, flags);
}

/** Has libuv start its pool while this thread is still the server itself. To be awaited before the first become(). */
export function startIoPool(): Promise<void> {
  if (current !== SERVER_IDENTITY) throw new Error('the pool must be started as the server itself');
  return new Promise((resolve) => fstat(0, () => resolve()));
}
