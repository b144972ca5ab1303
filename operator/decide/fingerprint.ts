// A short name for a piece of data, the same every time. Not for security: it tells versions apart.

/** FNV-1a over the JSON text, 64 bits in two halves, as 13 characters of [0-9a-v]. Key order counts. */
export function fingerprint(value: unknown): string {
  const bytes = new TextEncoder().encode(JSON.stringify(value));
  let hash = 0xcbf29ce484222325n;
  for (const byte of bytes) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  return hash.toString(32).padStart(13, '0');
}
