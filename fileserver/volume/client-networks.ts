/** Which client addresses an export is for: IPv4 and IPv6 networks in CIDR notation, single addresses, or `*`. */
import { BlockList, isIP } from 'node:net';

export class ClientNetworks {
  private readonly everybody: boolean;
  private readonly list: BlockList;

  /** Throws an Error whose message names the entry that is none of the three. */
  constructor(entries: readonly string[]) {
    this.everybody = entries.includes('*');
    this.list = new BlockList();
    for (const entry of entries) if (entry !== '*') this.add(entry);
  }

  private add(entry: string): void {
    const [address = '', prefix, ...rest] = entry.split('/');
    const family = isIP(address);
    const length = prefix === undefined ? (family === 4 ? 32 : 128) : Number(prefix);
    const valid =
      family !== 0 &&
      rest.length === 0 &&
      (prefix === undefined || /^\d{1,3}$/.test(prefix)) &&
      length <= (family === 4 ? 32 : 128);
    if (!valid)
      throw new Error(`"${entry}" is no network: expected like 10.0.0.0/8, fd00::/8, 192.0.2.7 or *`);
    this.list.addSubnet(address, length, family === 4 ? 'ipv4' : 'ipv6');
  }

  /** An IPv4 address that came in over an IPv6 socket (`::ffff:10.0.0.1`) counts as what it is. */
  includes(address: string): boolean {
    if (this.everybody) return true;
    const plain = address.startsWith('::ffff:') && isIP(address.slice(7)) === 4 ? address.slice(7) : address;
    const zone = plain.indexOf('%');
    const bare = zone < 0 ? plain : plain.slice(0, zone);
    const family = isIP(bare);
    return family !== 0 && this.list.check(bare, family === 4 ? 'ipv4' : 'ipv6');
  }
}
