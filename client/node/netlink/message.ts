/** Netlink messages (struct nlmsghdr) and those of netfilter's subsystems (struct nfgenmsg). Pure. */
import { type Attribute, encodeAttributes } from './attributes.ts';

/** struct nlmsghdr. Bytes. */
export const MESSAGE_HEADER_SIZE = 16;
/** struct nfgenmsg: family, version, resource. Bytes. */
export const NETFILTER_HEADER_SIZE = 4;

export const NLM_F_REQUEST = 0x1;
export const NLM_F_ACK = 0x4;
export const NLM_F_CREATE = 0x400;
export const NLM_F_APPEND = 0x800;
/** NLM_F_ROOT | NLM_F_MATCH. */
export const NLM_F_DUMP = 0x300;

const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;

export interface Message {
  readonly type: number;
  readonly flags: number;
  readonly body: Uint8Array;
}

/** The kernel's answer to a request. */
export interface Reply {
  readonly messages: readonly { readonly type: number; readonly body: Buffer }[];
  /** The messages that failed, in order: their index in the request, and the errno. */
  readonly failures: readonly { readonly index: number; readonly errno: number }[];
  /** The request, or the last of its messages that asked for it, was acknowledged; a dump has ended. */
  readonly isComplete: boolean;
}

/** The messages one behind the other. Their sequence numbers count from `sequence`. */
export function encodeMessages(messages: readonly Message[], sequence: number): Buffer {
  return Buffer.concat(
    messages.map(({ type, flags, body }, index) => {
      const size = MESSAGE_HEADER_SIZE + body.length;
      const bytes = Buffer.alloc((size + 3) & ~3);
      bytes.writeUInt32LE(size, 0);
      bytes.writeUInt16LE(type, 4);
      bytes.writeUInt16LE(flags | NLM_F_REQUEST, 6);
      bytes.writeUInt32LE((sequence + index) >>> 0, 8);
      bytes.set(body, MESSAGE_HEADER_SIZE);
      return bytes;
    }),
  );
}

/** A message of nf_tables or conntrack. `resource`: res_id, in network order. */
export function netfilterMessage(
  type: number,
  flags: number,
  family: number,
  attributes: readonly Attribute[],
  resource = 0,
): Message {
  const header = Buffer.of(family, 0, resource >> 8, resource & 0xff);
  return { type, flags, body: Buffer.concat([header, encodeAttributes(attributes)]) };
}

/** Puts the datagrams together that came in answer to messages numbered from `sequence`; others' are left out. */
export function decodeReply(datagrams: readonly Buffer[], sequence: number): Reply {
  const messages: { type: number; body: Buffer }[] = [];
  const failures: { index: number; errno: number }[] = [];
  let isComplete = false;
  for (const datagram of datagrams) {
    for (let at = 0; at + MESSAGE_HEADER_SIZE <= datagram.length; ) {
      const size = datagram.readUInt32LE(at);
      if (size < MESSAGE_HEADER_SIZE || at + size > datagram.length) break;
      const type = datagram.readUInt16LE(at + 4);
      const index = datagram.readUInt32LE(at + 8) - sequence;
      const body = datagram.subarray(at + MESSAGE_HEADER_SIZE, at + size);
      at += (size + 3) & ~3;
      if (index < 0) continue;
      if (type !== NLMSG_ERROR && type !== NLMSG_DONE) {
        messages.push({ type, body });
        continue;
      }
      // NLMSG_DONE carries an error too: that of a dump.
      const errno = body.length >= 4 ? -body.readInt32LE(0) : 0;
      if (errno > 0) failures.push({ index, errno });
      isComplete = true;
    }
  }
  return { messages, failures, isComplete };
}
