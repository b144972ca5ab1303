/**
 * The failover name: where a client looks for its server's disks when the server itself does not answer. It is computed, never
 * looked up: the server's name plus a fixed text. The name resolves to the partner at all times, so nothing in DNS has to change
 * at the moment of a failure.
 */
import { type Endpoints, tcpAddress } from './transport-address.ts';

/** The text appended to a server's name unless the pair declares another one. */
export const FAILOVER_SUFFIX = '-failover';
export const PRIMARY_PORT = 2049;
export const SECONDARY_PORT = 2050;

/** RFC 1035 §2.3.4: a label has at most 63 octets, a name at most 253 characters in its textual form. */
const LABEL_LENGTH_MAX = 63;
const NAME_LENGTH_MAX = 253;

/** The name of the secondary port, or why none can be computed. */
export type FailoverName =
  | { readonly kind: 'Name'; readonly name: string }
  /** An address has no name to append to: the failover address must be given explicitly. */
  | { readonly kind: 'IsAddress' }
  | { readonly kind: 'TooLong'; readonly name: string };

/**
 * `filer-a` -> `filer-a-failover`; of a qualified name the first label gets the suffix:
 * `filer-a.nas.example.org` -> `filer-a-failover.nas.example.org`. A trailing dot (a name that is already
 * absolute) stays where it is.
 */
export function failoverName(server: string, suffix: string = FAILOVER_SUFFIX): FailoverName {
  if (isAddress(server)) return { kind: 'IsAddress' };
  const dot = server.indexOf('.');
  const label = dot < 0 ? server : server.slice(0, dot);
  const domain = dot < 0 ? '' : server.slice(dot);
  const name = `${label}${suffix}${domain}`;
  const length = name.endsWith('.') ? name.length - 1 : name.length;
  if (label.length + suffix.length > LABEL_LENGTH_MAX || length > NAME_LENGTH_MAX)
    return { kind: 'TooLong', name };
  return { kind: 'Name', name };
}

/**
 * True for IPv4 and IPv6 addresses. Every host whose last label is a number is an IPv4 address to resolvers
 * (`127.1` is 127.0.0.1), so a suffix on such a "name" would produce nonsense.
 */
export function isAddress(server: string): boolean {
  if (server.includes(':')) return true;
  const labels = server.replace(/\.$/, '').split('.');
  return /^(\d+|0x[0-9a-f]*)$/i.test(labels[labels.length - 1] ?? '');
}

/** Where one server and its partner are reached. */
export interface ServerLocation {
  /** DNS name or IP address of the server. */
  readonly server: string;
  /** 1 to 65535; default: `PRIMARY_PORT` (2049). */
  readonly primaryPort?: number | undefined;
  /** 1 to 65535; default: `SECONDARY_PORT` (2050). */
  readonly secondaryPort?: number | undefined;
  /** Appended to the first label of the server name; default: `FAILOVER_SUFFIX`. */
  readonly suffix?: string | undefined;
  /** Host of the secondary port, instead of the computed name. */
  readonly failoverHost?: string | undefined;
  /** A server without a partner: only its primary port is ever tried. */
  readonly alone?: boolean | undefined;
}

/** Both ways to the disk set of one server. Throws a RangeError with a way out if the second cannot be computed. */
export function endpointsOf(location: ServerLocation): Endpoints {
  const primary = tcpAddress(location.server, location.primaryPort ?? PRIMARY_PORT);
  if (location.alone) return { primary, secondary: null };
  const port = location.secondaryPort ?? SECONDARY_PORT;
  if (location.failoverHost !== undefined)
    return { primary, secondary: tcpAddress(location.failoverHost, port) };
  const failover = failoverName(location.server, location.suffix);
  switch (failover.kind) {
    case 'Name':
      return { primary, secondary: tcpAddress(failover.name, port) };
    case 'TooLong':
      throw new RangeError(
        `the failover name ${failover.name} is longer than DNS allows; use a shorter server name or suffix`,
      );
    case 'IsAddress':
      // Never guess the same address: its secondary port serves the *partner's* disk set, other people's files.
      if (location.secondaryPort !== undefined) {
        throw new RangeError(
          `${location.server} is an address, so no failover name can be computed from it; ` +
            'say where the secondary port is with ?failover=HOST (the partner), or use the server name',
        );
      }
      return { primary, secondary: null };
  }
}
