/** Which client addresses an export is for: IPv4 and IPv6 networks in CIDR notation, single addresses, or `*`. */
import { BlockList, isIP } from 'node:net';

const ipv4Mapped = new BlockList();
ipv4Mapped.addSubnet('::ffff:0:0', 96, 'ipv6');

export class ClientNetworks {
  readonly #everybody: boolean;
  // One for each family: a BlockList takes an IPv4 address for its IPv4-mapped one, so `::/0` would hold all of IPv4.
  readonly #ipv4 = new BlockList();
  readonly #ipv6 = new BlockList();

  /** Throws an Error whose message names the entry that is none of the three. */
  constructor(entries: readonly string[]) {
    this.#everybody = entries.includes('*');
    for (const entry of entries) if (entry !== '*') this.#add(entry);
  }

  #add(entry: string): void {
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
    if (family === 4) this.#ipv4.addSubnet(address, length, 'ipv4');
    else if (length >= 96 && ipv4Mapped.check(address, 'ipv6')) this.#ipv4.addSubnet(address, length, 'ipv6');
    else this.#ipv6.addSubnet(address, length, 'ipv6');
  }

  /**
   * An IPv4 address that came in over an IPv6 socket (`::ffff:10.0.0.1`, RFC 4291 §2.5.5.2) counts as what it is, in whatever
   * form it is written. IPv6 networks hold IPv6 addresses only, `::/0` too.
   */
  includes(address: string): boolean {
    if (this.#everybody) return true;
    const zone = address.indexOf('%');
    const bare = zone < 0 ? address : address.slice(0, zone);
    switch (isIP(bare)) {
      case 4:
        return this.#ipv4.check(bare, 'ipv4');
      case 6:
        return (ipv4Mapped.check(bare, 'ipv6') ? this.#ipv4 : this.#ipv6).check(bare, 'ipv6');
      default:
        return false;
    }
  }
}

/** Lists that are kept: most exports of a server are for the same clients. */
const KEPT_MAX = 1000;
const kept = new Map<string, ClientNetworks>();

/** The same as the constructor, but equal lists share one. */
export function clientNetworksOf(entries: readonly string[]): ClientNetworks {
  const key = entries.join(' ');
  const known = kept.get(key);
  if (known !== undefined) return known;
  const made = new ClientNetworks(entries);
  if (kept.size === KEPT_MAX) kept.clear();
  kept.set(key, made);
  return made;
}
