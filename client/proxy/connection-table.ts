/**
 * The kernel's table of TCP connections: whether the client of a connection has ended it, also while nobody reads there. A socket
 * that is not read tells nothing of its end: a FIN waits behind what was sent before it, and behind a full window it does not
 * even leave the client's machine.
 */
import { readFile } from 'node:fs/promises';
import { type Socket, SocketAddress } from 'node:net';
import { endianness } from 'node:os';

/** State of a connection's end as the kernel numbers them (Linux, include/net/tcp_states.h), by `local remote`. */
export type ConnectionTable = ReadonlyMap<string, number>;

export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

const ESTABLISHED = 1;

/**
 * Null where there is no such table: then only what arrives tells of an end. The table names the connections of
 * this network namespace, and costs about a microsecond for each.
 */
export async function readConnectionTable(): Promise<ConnectionTable | null> {
  try {
    const texts = await Promise.all(['/proc/net/tcp', '/proc/net/tcp6'].map(readTable));
    return new Map(texts.flatMap((text) => text.split('\n').slice(1).flatMap(parseRow)));
  } catch {
    return null;
  }
}

/** Absent: it has ended too, or the table was read while it changed; to be asked again. */
export type ConnectionEnd = 'Open' | 'Ended' | 'Absent';

/**
 * Has the client ended its connection? By our end of it, which knows of a FIN that has arrived and is gone after a reset. Also by
 * the client's end if that is on this machine, which knows of a FIN that could not leave yet.
 */
export function endOf(table: ConnectionTable, ours: Endpoint, client: Endpoint): ConnectionEnd {
  const here = table.get(keyOf(ours, client));
  const there = table.get(keyOf(client, ours));
  if (here === undefined) return 'Absent';
  return here === ESTABLISHED && (there ?? ESTABLISHED) === ESTABLISHED ? 'Open' : 'Ended';
}

/** Our end of it and the client's. */
export function endsOf(socket: Socket): [Endpoint, Endpoint] {
  return [
    { address: socket.localAddress ?? '', port: socket.localPort ?? 0 },
    { address: socket.remoteAddress ?? '', port: socket.remotePort ?? 0 },
  ];
}

/** Asks again and again whether the client of one connection has ended it. */
export class EndWatch {
  readonly #ours: Endpoint;
  readonly #client: Endpoint;
  /** How often in a row the kernel did not name the connection. */
  #absences = 0;

  constructor(ours: Endpoint, client: Endpoint) {
    this.#ours = ours;
    this.#client = client;
  }

  hasEnded(table: ConnectionTable): boolean {
    const end = endOf(table, this.#ours, this.#client);
    this.#absences = end === 'Absent' ? this.#absences + 1 : 0;
    return end === 'Ended' || this.#absences > 1;
  }
}

/** Where IPv6 is switched off there is no table of it. */
async function readTable(path: string): Promise<string> {
  try {
    return await readFile(path, 'latin1');
  } catch (error) {
    if (path.endsWith('6') && (error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  }
}

/** `  0: 0100007F:4E20 0100007F:9C4A 01 ...`: number, both ends, state, all in hexadecimal. */
function parseRow(row: string): [string, number][] {
  const [, local, remote, state] = row.trim().split(/\s+/);
  if (local === undefined || remote === undefined || state === undefined) return [];
  return [[keyOf(parseEndpoint(local), parseEndpoint(remote)), Number.parseInt(state, 16)]];
}

/** Addresses stand there as words of the machine's byte order. */
function parseEndpoint(text: string): Endpoint {
  const [words, port] = text.split(':') as [string, string];
  const bytes = Buffer.from(words, 'hex');
  if (endianness() === 'LE') bytes.swap32();
  return { address: addressOf(bytes), port: Number.parseInt(port, 16) };
}

function addressOf(bytes: Buffer): string {
  if (bytes.length === 4) return bytes.join('.');
  const groups = bytes.toString('hex').match(/.{4}/g)!.join(':');
  return new SocketAddress({ address: groups, family: 'ipv6' }).address;
}

/** An IPv4 client of an IPv6 socket is in one table with its one end and in the other with its other. */
function keyOf(local: Endpoint, remote: Endpoint): string {
  return `${plain(local.address)} ${local.port} ${plain(remote.address)} ${remote.port}`;
}

function plain(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/, '').replace(/%.*/, '');
}
