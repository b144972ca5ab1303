/** The kernel's table of tracked connections (ctnetlink): entries are looked up and deleted. */
import { isIPv6 } from 'node:net';
import { addressBytes, addressText } from './address.ts';
import { type Attribute, decodeAttributes, u8, u16be, u32be } from './attributes.ts';
import { type Message, NETFILTER_HEADER_SIZE, NLM_F_ACK, netfilterMessage } from './message.ts';
import { NETLINK_NETFILTER, NetlinkError, NetlinkSocket } from './socket.ts';

const AF_INET = 2;
const AF_INET6 = 10;
const ENOENT = 2;
const IPPROTO_TCP = 6;
const NFNL_SUBSYS_CTNETLINK = 1;
const IPCTNL_MSG_CT_GET = 1;
const IPCTNL_MSG_CT_DELETE = 2;

const CTA_TUPLE_ORIG = 1;
const CTA_TUPLE_REPLY = 2;
const CTA_MARK = 8;
const CTA_ID = 12;
const CTA_MARK_MASK = 21;
const CTA_TUPLE_IP = 1;
const CTA_TUPLE_PROTO = 2;
const CTA_TUPLE_ZONE = 3;
const CTA_IP_V4_SRC = 1;
const CTA_IP_V4_DST = 2;
const CTA_IP_V6_SRC = 3;
const CTA_IP_V6_DST = 4;
const CTA_PROTO_NUM = 1;
const CTA_PROTO_SRC_PORT = 2;
const CTA_PROTO_DST_PORT = 3;

/** A TCP connection as its client sees it, before any translation. */
export interface Flow {
  readonly source: string;
  readonly sourcePort: number;
  readonly destination: string;
  readonly destinationPort: number;
}

const messageType = (type: number): number => (NFNL_SUBSYS_CTNETLINK << 8) | type;

function familyOf(address: string): number {
  return isIPv6(address) ? AF_INET6 : AF_INET;
}

/** One entry, so that it is not taken for a later one of the same connection. */
export interface Entry {
  readonly id: Buffer;
  /** Its answers before they are translated: they come from the server. */
  readonly reply: Flow;
}

function tuple(flow: Flow, zone: number, type = CTA_TUPLE_ORIG): Attribute {
  const isV6 = isIPv6(flow.destination);
  const ip: Attribute[] = [
    [isV6 ? CTA_IP_V6_SRC : CTA_IP_V4_SRC, addressBytes(flow.source)],
    [isV6 ? CTA_IP_V6_DST : CTA_IP_V4_DST, addressBytes(flow.destination)],
  ];
  const protocol: Attribute[] = [
    [CTA_PROTO_NUM, u8(IPPROTO_TCP)],
    [CTA_PROTO_SRC_PORT, u16be(flow.sourcePort)],
    [CTA_PROTO_DST_PORT, u16be(flow.destinationPort)],
  ];
  const parts: Attribute[] = [
    [CTA_TUPLE_IP, ip],
    [CTA_TUPLE_PROTO, protocol],
  ];
  if (zone !== 0) parts.push([CTA_TUPLE_ZONE, u16be(zone)]);
  return [type, parts];
}

/** `zone`: of the connection as its client sees it. */
export function getRequest(flow: Flow, zone = 0): Message {
  return netfilterMessage(messageType(IPCTNL_MSG_CT_GET), 0, familyOf(flow.destination), [tuple(flow, zone)]);
}

export function deleteRequest(flow: Flow): Message {
  return deletion(flow, [tuple(flow, 0)]);
}

// An id says too little: it is made of the entry's place in memory and of the connection as its client sees it. The next connection
// from the same port often gets the same place, and so the same id (seen with Linux 6.12). Its answers come from another server.
export function deleteEntryRequest({ id, reply }: Entry): Message {
  return deletion(reply, [tuple(reply, 0, CTA_TUPLE_REPLY), [CTA_ID, id]]);
}

function deletion({ destination }: Flow, attributes: readonly Attribute[]): Message {
  return netfilterMessage(messageType(IPCTNL_MSG_CT_DELETE), NLM_F_ACK, familyOf(destination), attributes);
}

export function deleteMarkedRequest(isV6: boolean, mark: number, mask: number): Message {
  return netfilterMessage(messageType(IPCTNL_MSG_CT_DELETE), NLM_F_ACK, isV6 ? AF_INET6 : AF_INET, [
    [CTA_MARK, u32be(mark)],
    [CTA_MARK_MASK, u32be(mask)],
  ]);
}

/** The entry in the answer to a lookup. */
export function decodeEntry(body: Buffer): Entry | null {
  const attributes = decodeAttributes(body.subarray(NETFILTER_HEADER_SIZE));
  const id = attributes.get(CTA_ID);
  const reply = attributes.get(CTA_TUPLE_REPLY);
  if (id === undefined || reply === undefined) return null;
  const parts = decodeAttributes(reply);
  const ip = decodeAttributes(parts.get(CTA_TUPLE_IP) ?? Buffer.alloc(0));
  const protocol = decodeAttributes(parts.get(CTA_TUPLE_PROTO) ?? Buffer.alloc(0));
  const source = ip.get(CTA_IP_V4_SRC) ?? ip.get(CTA_IP_V6_SRC);
  const destination = ip.get(CTA_IP_V4_DST) ?? ip.get(CTA_IP_V6_DST);
  const sourcePort = protocol.get(CTA_PROTO_SRC_PORT);
  const destinationPort = protocol.get(CTA_PROTO_DST_PORT);
  if (!source || !destination || !sourcePort || !destinationPort) return null;
  return {
    id: Buffer.from(id),
    reply: {
      source: addressText(source),
      sourcePort: sourcePort.readUInt16BE(),
      destination: addressText(destination),
      destinationPort: destinationPort.readUInt16BE(),
    },
  };
}

/** The tracked connections of one network namespace. */
export class Conntrack {
  readonly #netlink: NetlinkSocket;

  constructor(namespace: string | null = null) {
    this.#netlink = new NetlinkSocket(NETLINK_NETFILTER, namespace);
  }

  /** Null: the connection has none. Throws NetlinkError. */
  entry(flow: Flow, zone = 0): Entry | null {
    const { messages, failures } = this.#netlink.request([getRequest(flow, zone)]);
    const errno = failures[0]?.errno ?? 0;
    if (errno !== 0 && errno !== ENOENT) throw new NetlinkError('conntrack entry', errno);
    return messages[0] === undefined ? null : decodeEntry(messages[0].body);
  }

  /** Whatever entry the connection has. False: none. Throws NetlinkError. */
  delete(flow: Flow): boolean {
    return this.#delete(deleteRequest(flow));
  }

  /** False: it is not there any more; a later one of the same connection, to another server, stays. Throws NetlinkError. */
  deleteEntry(entry: Entry): boolean {
    return this.#delete(deleteEntryRequest(entry));
  }

  /** All whose mark is `mark` in the bits of `mask`. Throws NetlinkError. */
  deleteMarked(isV6: boolean, mark: number, mask: number): void {
    this.#delete(deleteMarkedRequest(isV6, mark, mask));
  }

  close(): void {
    this.#netlink.close();
  }

  #delete(request: Message): boolean {
    const errno = this.#netlink.request([request]).failures[0]?.errno ?? 0;
    if (errno !== 0 && errno !== ENOENT) throw new NetlinkError('conntrack deletion', errno);
    return errno === 0;
  }
}
