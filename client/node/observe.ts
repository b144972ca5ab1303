/** Reads this machine's table about a virtual address: for those who wait for a director, and for doctors. */
import { isIPv6 } from 'node:net';
import { addressBytes } from './netlink/address.ts';
import { Nftables } from './netlink/nftables.ts';
import { familyNumber, TABLE } from './ruleset.ts';

/**
 * A director lives, and sends connections to the address to a server. `namespace`: the file of its network namespace; null: this
 * process's own. Throws NetlinkError without the right to look.
 */
export function isDirected(virtual: string, namespace: string | null = null): boolean {
  const nftables = new Nftables(namespace);
  try {
    const key = addressBytes(virtual);
    const has = (set: string) =>
      nftables
        .elements(familyNumber(isIPv6(virtual)), TABLE, set)
        ?.some((element) => element.key.subarray(0, key.length).equals(key)) === true;
    return has('alive') && has('targets') && !has('hold');
  } finally {
    nftables.close();
  }
}
