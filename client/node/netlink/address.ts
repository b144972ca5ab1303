/** IP addresses as the bytes that the kernel's interfaces take. Pure. */
import { isIPv6 } from 'node:net';

/** 4 bytes, or 16 for IPv6 (without a zone). The text must be a valid address. */
export function addressBytes(address: string): Buffer {
  if (!isIPv6(address)) return Buffer.from(address.split('.').map(Number));
  const bytes = Buffer.alloc(16);
  const [head = '', tail] = withoutDots(address.replace(/%.*$/, '')).split('::');
  const groupsOf = (part: string) => (part === '' ? [] : part.split(':').map((group) => parseInt(group, 16)));
  const before = groupsOf(head);
  const after = groupsOf(tail ?? '');
  before.forEach((group, index) => void bytes.writeUInt16BE(group, index * 2));
  after.forEach((group, index) => void bytes.writeUInt16BE(group, 16 - (after.length - index) * 2));
  return bytes;
}

/** `::ffff:10.0.0.1` ends in two groups. */
function withoutDots(address: string): string {
  return address.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, ...parts: string[]) => {
    const [a, b, c, d] = parts.map(Number);
    return `${((a! << 8) | b!).toString(16)}:${((c! << 8) | d!).toString(16)}`;
  });
}

/** IPv6 in full groups: canonicalAddress() is the same text. */
export function addressText(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.');
  const view = Buffer.from(bytes);
  return Array.from({ length: 8 }, (_, index) => view.readUInt16BE(index * 2).toString(16)).join(':');
}

/** One text for each address, so that two can be compared. */
export function canonicalAddress(address: string): string {
  return addressText(addressBytes(address.replace(/^::ffff:(?=\d+\.)/i, '')));
}
