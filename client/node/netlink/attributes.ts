/** Netlink attributes: how they are written and read. Pure; numbers are little-endian unless a name says otherwise. */

/** struct nlattr: length and type. Bytes. */
const HEADER_SIZE = 4;
const NLA_F_NESTED = 0x8000;
const TYPE_MASK = 0x3fff;

const align = (size: number): number => (size + 3) & ~3;

/** The value of one attribute: bytes, or attributes of its own. */
export type AttributeValue = Uint8Array | readonly Attribute[];
export type Attribute = readonly [type: number, value: AttributeValue];

/** Attributes one behind the other, each padded to four bytes. */
export function encodeAttributes(attributes: readonly Attribute[]): Buffer {
  return Buffer.concat(attributes.map(encodeAttribute));
}

function encodeAttribute([type, value]: Attribute): Buffer {
  const nested = !(value instanceof Uint8Array);
  const body = nested ? encodeAttributes(value) : value;
  const size = HEADER_SIZE + body.length;
  const bytes = Buffer.alloc(align(size));
  bytes.writeUInt16LE(size, 0);
  bytes.writeUInt16LE(nested ? type | NLA_F_NESTED : type, 2);
  bytes.set(body, HEADER_SIZE);
  return bytes;
}

/** The attributes in `bytes` by type; of several with one type the last. What is cut off is left out. */
export function decodeAttributes(bytes: Buffer): ReadonlyMap<number, Buffer> {
  return new Map(attributesIn(bytes));
}

/** All attributes in their order. */
export function attributesIn(bytes: Buffer): [type: number, value: Buffer][] {
  const found: [number, Buffer][] = [];
  for (let at = 0; at + HEADER_SIZE <= bytes.length; ) {
    const size = bytes.readUInt16LE(at);
    if (size < HEADER_SIZE || at + size > bytes.length) break;
    found.push([bytes.readUInt16LE(at + 2) & TYPE_MASK, bytes.subarray(at + HEADER_SIZE, at + size)]);
    at += align(size);
  }
  return found;
}

export const u8 = (value: number): Buffer => Buffer.of(value);

export function u16be(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

/** nftables and conntrack want their numbers in network order. */
export function u32be(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
}

export function u64be(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}

/** The value of a register is in the machine's byte order. */
export function u32le(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
}

/** Text with the NUL that the kernel expects. */
export const text = (value: string): Buffer => Buffer.from(`${value}\0`);

/** The text of an attribute, without its NUL. */
export const textIn = (bytes: Buffer): string => bytes.toString('latin1').replace(/\0.*$/s, '');
