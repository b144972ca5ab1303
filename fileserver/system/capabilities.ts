/**
 * Capabilities of the calling thread alone, by raw capget(2) and capset(2): each thread has its own, and libc knows no call for it.
 */

import { NativeBuffer } from '../../native/native-buffer.ts';
import { systemCall } from './libc.ts';

const NUMBERS: Readonly<Record<string, { readonly capget: number; readonly capset: number }>> = {
  x64: { capget: 125, capset: 126 },
  arm64: { capget: 90, capset: 91 },
};
const numbers = NUMBERS[process.arch];

/** linux/capability.h _LINUX_CAPABILITY_VERSION_3: two words of each set. */
const VERSION = 0x20080522;
const WORDS = 6;
/** Beyond the blocks that a file system keeps for root, and beyond hard quotas. */
export const CAP_SYS_RESOURCE = 24;

const call = systemCall<(number: number, header: number, data: number) => number>(
  null,
  'long syscall(long number, int64 header, int64 data)',
);

/** From now on the thread does without it (0 to 31), for good, also when it is root again. 0 or -errno. */
export function dropCapability(capability: number): number {
  if (numbers === undefined) return 0;
  const header = new NativeBuffer(8);
  const data = new NativeBuffer(WORDS * 4);
  header.view.setUint32(0, VERSION, true);
  const got = call(numbers.capget, header.address, data.address);
  if (got < 0) return got;
  // Effective, permitted and inheritable.
  for (let at = 0; at < 12; at += 4) {
    data.view.setUint32(at, data.view.getUint32(at, true) & ~(1 << capability), true);
  }
  return call(numbers.capset, header.address, data.address);
}
