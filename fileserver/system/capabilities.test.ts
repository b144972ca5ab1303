import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { dropCapability } from './capabilities.ts';
import { become, SERVER_IDENTITY, startIoPool } from './thread-identity.ts';

/** One that nothing here needs. */
const CAP_SYS_CHROOT = 18;
const STATUS = '/proc/thread-self/status';

function has(status: string, set: 'CapEff' | 'CapPrm'): boolean {
  const [, mask = '0'] = new RegExp(`${set}:\\s+(\\w+)`).exec(status) ?? [];
  return ((BigInt(`0x${mask}`) >> BigInt(CAP_SYS_CHROOT)) & 1n) === 1n;
}

test.skipIf(!has(readFileSync(STATUS, 'latin1'), 'CapEff'))(
  'a capability is gone from this thread for good, and from no other',
  async () => {
    await startIoPool();
    expect(dropCapability(CAP_SYS_CHROOT)).toBe(0);
    const mine = (): string => readFileSync(STATUS, 'latin1');
    expect(has(mine(), 'CapEff')).toBe(false);
    expect(has(mine(), 'CapPrm')).toBe(false);
    become({ uid: 1000, gid: 1000, groups: [] });
    become(SERVER_IDENTITY);
    expect(has(mine(), 'CapEff')).toBe(false);
    // A thread of the pool.
    expect(has(await readFile(STATUS, 'latin1'), 'CapEff')).toBe(true);
  },
);
