/**
 * Where a server's data access port can be reached: an address and what tells ports at that address apart. One type names the
 * pair everywhere. So a transport whose discriminator is not a TCP port (a virtual interface's discriminator, a TLS server name)
 * can be added here without touching those who pass it on.
 */

/** Tells several data access ports at one address apart. Over TCP it is the port number. */
export type Discriminator = { readonly kind: 'TcpPort'; readonly port: number };

/** Where a data access port is. */
export interface TransportAddress {
  /** A DNS name or an IP address (IPv6 without brackets). */
  readonly address: string;
  /** Which of the ports at that address. */
  readonly discriminator: Discriminator;
}

/** The two data access ports through which one disk set can be reached; at most one is open at a time. */
export type PortRole = 'primary' | 'secondary';

/** Both ways to one disk set. */
export interface Endpoints {
  /** Where its home server serves it. */
  readonly primary: TransportAddress;
  /** Where the partner serves it; null: the server has no partner (any plain NFS server). */
  readonly secondary: TransportAddress | null;
}

/** A TCP port at an address. The port must be in 1..65535: the parser of the URL or the caller checks it. */
export function tcpAddress(address: string, port: number): TransportAddress {
  return { address, discriminator: { kind: 'TcpPort', port } };
}

/** `filer-a:2049`, `[::1]:2049`: for logs and messages. */
export function formatAddress(target: TransportAddress): string {
  const host = target.address.includes(':') ? `[${target.address}]` : target.address;
  return `${host}:${target.discriminator.port}`;
}
