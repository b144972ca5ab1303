/** The kernel's TCP sockets (sock_diag): those with a given remote end are listed, and destroyed one by one. */
import { addressText } from './address.ts';
import { type Message, NLM_F_ACK, NLM_F_DUMP } from './message.ts';
import { NETLINK_SOCK_DIAG, NetlinkError, NetlinkSocket } from './socket.ts';

const SOCK_DIAG_BY_FAMILY = 20;
const SOCK_DESTROY = 21;
const AF_INET = 2;
const AF_INET6 = 10;
const IPPROTO_TCP = 6;
/** struct inet_diag_sockid. Bytes. */
const ID_SIZE = 48;
/** Offset of the id in struct inet_diag_msg. */
const ID_AT = 4;
/** Offsets of the two addresses in the id. */
const SOURCE_AT = 4;
const DESTINATION_AT = 20;
const INET_DIAG_REQ_BYTECODE = 1;
const INET_DIAG_BC_D_COND = 8;

/** As in the kernel's net/tcp_states.h. */
export const TCP_STATES = [
  'UNUSED',
  'ESTABLISHED',
  'SYN_SENT',
  'SYN_RECV',
  'FIN_WAIT1',
  'FIN_WAIT2',
  'TIME_WAIT',
  'CLOSE',
  'CLOSE_WAIT',
  'LAST_ACK',
  'LISTEN',
  'CLOSING',
] as const;
export type TcpState = (typeof TCP_STATES)[number];

/** All states in which a socket is a client's. */
const CLIENT_STATES = 0xfff & ~(1 << TCP_STATES.indexOf('LISTEN'));

export interface ClientSocket {
  readonly state: TcpState;
  /** Addresses as addressText() writes them. */
  readonly source: string;
  readonly sourcePort: number;
  readonly destination: string;
  /** The kernel's own identity of the socket. */
  readonly id: Buffer;
}

/** The request for all sockets that are connected, or connect, to this port of any address. */
export function dumpRequest(isV6: boolean, port: number): Message {
  const header = Buffer.alloc(8 + ID_SIZE);
  header[0] = isV6 ? AF_INET6 : AF_INET;
  header[1] = IPPROTO_TCP;
  header.writeUInt32LE(CLIENT_STATES, 4);
  return { type: SOCK_DIAG_BY_FAMILY, flags: NLM_F_DUMP, body: Buffer.concat([header, filter(port)]) };
}

/** One condition in the kernel's little language: the remote port. It spares copying every other socket of the machine. */
function filter(port: number): Buffer {
  // struct inet_diag_hostcond without an address.
  const condition = Buffer.alloc(8);
  condition.writeInt32LE(port, 4);
  const size = 4 + condition.length;
  const code = Buffer.alloc(4 + 4);
  code.writeUInt16LE(4 + size, 0);
  code.writeUInt16LE(INET_DIAG_REQ_BYTECODE, 2);
  code[4] = INET_DIAG_BC_D_COND;
  // The next instruction: behind the code if the condition holds, four bytes further if not.
  code[5] = size;
  code.writeUInt16LE(size + 4, 6);
  return Buffer.concat([code, condition]);
}

/** One socket of the answer. */
export function decodeSocket(body: Buffer): ClientSocket {
  const id = body.subarray(ID_AT, ID_AT + ID_SIZE);
  const size = body[0] === AF_INET6 ? 16 : 4;
  return {
    state: TCP_STATES[body[1]!] ?? 'UNUSED',
    sourcePort: id.readUInt16BE(0),
    source: addressText(id.subarray(SOURCE_AT, SOURCE_AT + size)),
    destination: addressText(id.subarray(DESTINATION_AT, DESTINATION_AT + size)),
    id: Buffer.from(id),
  };
}

/** The socket is to end with a reset, as if its remote end had sent one. */
export function destroyRequest(socket: ClientSocket, isV6: boolean): Message {
  const header = Buffer.alloc(8);
  header[0] = isV6 ? AF_INET6 : AF_INET;
  header[1] = IPPROTO_TCP;
  header.writeUInt32LE(0xffff_ffff, 4);
  return { type: SOCK_DESTROY, flags: NLM_F_ACK, body: Buffer.concat([header, socket.id]) };
}

/** The sockets of one network namespace. */
export class SocketTable {
  readonly #netlink: NetlinkSocket;

  constructor(namespace: string | null = null) {
    this.#netlink = new NetlinkSocket(NETLINK_SOCK_DIAG, namespace);
  }

  /** Sockets of clients of this port, wherever it is. Throws NetlinkError. */
  list(isV6: boolean, port: number): ClientSocket[] {
    const { messages, failures } = this.#netlink.request([dumpRequest(isV6, port)]);
    if (failures[0] !== undefined) throw new NetlinkError('list of sockets', failures[0].errno);
    return messages.map(({ body }) => decodeSocket(body));
  }

  /** 0: done; else the errno (ENOENT: it has ended by itself; EOPNOTSUPP: this kernel cannot). */
  destroy(socket: ClientSocket): number {
    const { failures } = this.#netlink.request([destroyRequest(socket, socket.source.includes(':'))]);
    return failures[0]?.errno ?? 0;
  }

  close(): void {
    this.#netlink.close();
  }
}
