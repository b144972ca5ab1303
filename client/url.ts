/**
 * nfs://server[:primary[:secondary]]/export/path[?option=value&...] The WHATWG URL parser knows one port, and file names are not
 * URLs (a `#` or `?` in a name is common), so the few lines are parsed here. In the path only %XX is special; `?` starts the
 * options.
 */
import { endpointsOf, type ServerLocation } from './failover-name.ts';
import { ID_MAX } from './identity.ts';
import type { Endpoints } from './transport-address.ts';

/** A parsed `nfs://` URL. */
export interface NfsUrl {
  /** The host as written. */
  readonly server: string;
  /** Where its disk set can be reached. */
  readonly endpoints: Endpoints;
  /** Absolute, starts with `/`, no empty components, no trailing slash (except `/` itself). Not yet split. */
  readonly path: string;
  /** User that the calls name, 0 to 2^32 - 2; default: that of the calling process. */
  readonly uid?: number;
  /** Its group, in the same range. */
  readonly gid?: number;
  /** MOUNT protocol on a port of its own: only for servers that are not a FilerPair. */
  readonly mountPort?: number;
}

/** The URL, or what is wrong with it. */
export type ParsedUrl =
  | { readonly ok: true; readonly url: NfsUrl }
  | { readonly ok: false; readonly reason: string };

export const URL_FORM = 'nfs://SERVER[:PRIMARY[:SECONDARY]]/EXPORT/PATH';

const OPTIONS = ['failover', 'suffix', 'alone', 'uid', 'gid', 'mountport'] as const;
type Option = (typeof OPTIONS)[number];

/** True if the text claims to be such a URL, so that a command can tell it from a local path. */
export function isNfsUrl(text: string): boolean {
  return /^nfs:\/\//i.test(text);
}

/** Parses a URL; every reason names the part that is wrong and what would be right. */
export function parseNfsUrl(text: string): ParsedUrl {
  const match = /^nfs:\/\/(\[[^\]/]*\]|[^/:?[\]]*)((?::[^/:?]*)*)(\/[^?]*)?(?:\?(.*))?$/i.exec(text);
  if (!match) return bad(`${text}: not of the form ${URL_FORM}`);
  const server = match[1]!.replace(/^\[|\]$/g, '');
  if (!/^[A-Za-z0-9._:%-]+$/.test(server)) return bad(`${text}: "${server}" is not a server name`);
  const ports = match[2] === '' ? [] : match[2]!.slice(1).split(':');
  if (ports.length > 2) return bad(`${text}: at most two ports (:PRIMARY:SECONDARY)`);
  for (const port of ports) {
    if (parsePort(port) === undefined) return bad(`${text}: port "${port}" is not a number in 1..65535`);
  }
  const options = parseOptions(match[4] ?? '');
  if (typeof options === 'string') return bad(`${text}: ${options}`);
  const path = normalPath(match[3] ?? '/');
  if (path === null) return bad(`${text}: the path holds a malformed %XX or a NUL`);
  return assemble(text, server, ports.map(Number), path, options);
}

function assemble(
  text: string,
  server: string,
  ports: readonly number[],
  path: string,
  options: ReadonlyMap<Option, string>,
): ParsedUrl {
  const numbers: { uid?: number; gid?: number; mountPort?: number } = {};
  for (const option of ['uid', 'gid'] as const) {
    const given = options.get(option);
    if (given === undefined) continue;
    const id = /^\d{1,10}$/.test(given) ? Number(given) : Number.NaN;
    if (!(id <= ID_MAX)) return bad(`${text}: ${option}="${given}" is not a number in 0..${ID_MAX}`);
    numbers[option] = id;
  }
  const mountPort = options.get('mountport');
  if (mountPort !== undefined) {
    const port = parsePort(mountPort);
    if (port === undefined) return bad(`${text}: mountport="${mountPort}" is not a number in 1..65535`);
    numbers.mountPort = port;
  }
  const location: ServerLocation = {
    server,
    primaryPort: ports[0],
    secondaryPort: ports[1],
    suffix: options.get('suffix'),
    failoverHost: options.get('failover')?.replace(/^\[|\]$/g, ''),
    alone: options.has('alone') || mountPort !== undefined,
  };
  try {
    return { ok: true, url: { server, endpoints: endpointsOf(location), path, ...numbers } };
  } catch (error) {
    return bad(`${text}: ${(error as Error).message}`);
  }
}

function parseOptions(query: string): ReadonlyMap<Option, string> | string {
  const options = new Map<Option, string>();
  for (const [name, value] of new URLSearchParams(query)) {
    if (!(OPTIONS as readonly string[]).includes(name)) {
      return `unknown option "${name}"; known are ${OPTIONS.join(', ')}`;
    }
    options.set(name as Option, value);
  }
  return options;
}

/** Undefined if it is not a port number. */
function parsePort(text: string): number | undefined {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  return port >= 1 && port <= 65535 ? port : undefined;
}

function normalPath(raw: string): string | null {
  let path: string;
  try {
    path = decodeURIComponent(raw);
  } catch {
    return null;
  }
  if (path.includes('\0')) return null;
  return `/${splitPath(path).join('/')}`;
}

/** The names in a path; empty ones and `.` are dropped, `..` is kept (the server resolves it). */
export function splitPath(path: string): string[] {
  return path.split('/').filter((name) => name !== '' && name !== '.');
}

function bad(reason: string): ParsedUrl {
  return { ok: false, reason };
}
