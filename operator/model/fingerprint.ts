/** A short name for a piece of data, the same every time. Not for security: it tells versions apart. */

/** FNV-1a over the JSON text, 64 bits in two halves, as 13 characters of [0-9a-v]. Key order counts. */
export function fingerprint(value: unknown): string {
  const bytes = new TextEncoder().encode(JSON.stringify(value));
  let high = 0xcbf29ce4;
  let low = 0x84222325;
  for (const byte of bytes) {
    low ^= byte;
    // Times the prime 2^40 + 0x1b3, modulo 2^64, in integers of 32 bits: BigInt takes fifty times as long.
    const lower = (low & 0xffff) * 0x1b3;
    const upper = (low >>> 16) * 0x1b3 + (lower >>> 16);
    high = Math.imul(high, 0x1b3) + (upper >>> 16) + (low << 8);
    low = (upper << 16) | (lower & 0xffff);
  }
  const hash = (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
  return hash.toString(32).padStart(13, '0');
}
