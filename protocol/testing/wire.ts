/** Expected bytes for tests, written down independently of the codecs: the layout of an RFC as a list. */

/** number: 32 bits · bigint: 64 bits · string: variable opaque (length, bytes, padding) · bytes: fixed opaque. */
export type WireItem = number | bigint | string | Uint8Array;

export function wire(...items: WireItem[]): Uint8Array {
  const bytes: number[] = [];
  for (const item of items) append(bytes, item);
  return Uint8Array.from(bytes);
}

function append(bytes: number[], item: WireItem): void {
  if (typeof item === 'string') {
    append(bytes, item.length);
    append(bytes, ascii(item));
  } else if (item instanceof Uint8Array) {
    for (const byte of item) bytes.push(byte);
    while (bytes.length % 4 !== 0) bytes.push(0);
  } else {
    const digits = item.toString(16).padStart(typeof item === 'number' ? 8 : 16, '0');
    for (let at = 0; at < digits.length; at += 2) bytes.push(Number.parseInt(digits.slice(at, at + 2), 16));
  }
}

/** One byte for each character; characters above 255 have no place in a test. */
export function ascii(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}
