/**
 * Access that a user was found to have to an object. To ask the kernel again (faccessat2) at each READ costs as much as
 * reading 4 KiB. The attributes that go with the reply are read anyway, and they tell whether its answer can be another one now.
 */
import type { Identity } from '../../system/thread-identity.ts';

// It depends on the object's mode, owner, group, ACL and flags. When a client or a process on the machine changes one of them,
// the kernel sets the change time (ctime) with it, which no process can set otherwise. And it depends on the user: with other
// groups a user is another Identity. So an answer holds for as long as the change time stays what it was.
//
// Change times are those of a clock that ticks every 1 to 10 ms (Linux 6.13 has finer ones): a second change within a tick
// leaves no trace. So of an object that was changed a moment ago nothing is remembered.

/** Many ticks, and more than a step of a clock that is kept in time. */
const SETTLED_MS = 100;

/** File systems that set the change time, with a part of a second, whenever they change what permissions depend on. */
const TELLING = new Set(['ext4', 'xfs', 'btrfs', 'tmpfs']);

/** type: as it is mounted (mounts.ts); undefined: that could not be found out. */
export function changeTimesTell(type: string | undefined): boolean {
  return type !== undefined && TELLING.has(type);
}

/** R_OK, W_OK and X_OK as the kernel says; and this: permissions.ts lets the user read, which may be so without R_OK. */
export const MAY_READ = 8;

/** Access of the user who asked last. */
export class KnownAccess {
  readonly user: Identity;
  readonly changedAtMs: number;
  /** Bits that were asked for, and those of them that were granted. */
  asked: number;
  granted: number;

  constructor(user: Identity, changedAtMs: number) {
    this.user = user;
    this.changedAtMs = changedAtMs;
    this.asked = 0;
    this.granted = 0;
  }

  /** The kernel has answered for these bits (R_OK, W_OK, X_OK, MAY_READ). Bits of earlier answers stay. */
  add(asked: number, granted: number): void {
    this.asked |= asked;
    this.granted = (this.granted & ~asked) | granted;
  }
}

/**
 * May what the kernel said be remembered with a change time that was read just before asking it, or just after? askedAtMs: a
 * time before asking (CLOCK_REALTIME, ms). If the object had not been changed for a while then, either is that of the change
 * before.
 */
export function isSettled(changedAtMs: number, askedAtMs: number): boolean {
  // Times are whole seconds where only seconds are kept; elsewhere that happens to one in a million.
  return askedAtMs - changedAtMs >= SETTLED_MS && changedAtMs % 1000 !== 0;
}
