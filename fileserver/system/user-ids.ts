/**
 * Which user and group ids the kernel knows in this process: those that its user namespace maps (user_namespaces(7)). In the
 * first namespace that is all of them but -1; in a pod with `hostUsers: false` it is 0 to 65,535.
 */
import { readFileSync } from 'node:fs';

// setfsuid(2) and setfsgid(2) of another id change nothing and report nothing: the thread would go on as the server itself.

/** NGROUPS_MAX of Linux: supplementary groups of one user. */
export const GROUPS_MAX = 65_536;

/** (uid_t) -1. To the kernel it means "leave it" where ids are set. */
export const NO_ID = 0xffffffff;

/** Ids from `first` to below `end`. */
export interface IdRange {
  readonly first: number;
  readonly end: number;
}

/** Range of a kernel without user namespaces. */
const EVERY_ID: readonly IdRange[] = [{ first: 0, end: NO_ID }];

/**
 * The ids inside the namespace, of the text of /proc/PID/uid_map or gid_map: a line for each range, with its first id inside,
 * its first id outside, and its length. Empty for a namespace without a map.
 */
export function parseIdMap(text: string): readonly IdRange[] {
  const ranges: IdRange[] = [];
  for (const line of text.split('\n')) {
    const [first, , count] = line.trim().split(/\s+/).map(Number);
    if (first !== undefined && count !== undefined) ranges.push({ first, end: first + count });
  }
  return ranges;
}

/** -1 never is. */
export function isIn(ranges: readonly IdRange[], id: number): boolean {
  if (id === NO_ID) return false;
  for (const { first, end } of ranges) if (id >= first && id < end) return true;
  return false;
}

function readIdMap(file: string): readonly IdRange[] {
  try {
    return parseIdMap(readFileSync(`/proc/self/${file}`, 'utf8'));
  } catch {
    return EVERY_ID;
  }
}

// They can be set once in the life of a namespace, before a process in it may change its ids.
const users = readIdMap('uid_map');
const groups = readIdMap('gid_map');

/** May a thread of this process take on the user with this id? */
export function isUser(uid: number): boolean {
  return isIn(users, uid);
}

/** The same for groups. */
export function isGroup(gid: number): boolean {
  return isIn(groups, gid);
}

/** A user other than root whom this process could become; null: there is none. */
export function anotherUser(): number | null {
  for (const { first, end } of users) {
    if (first > 0) return first;
    if (end > 1) return 1;
  }
  return null;
}
