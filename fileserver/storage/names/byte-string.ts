/** Bytes as a string, one character for each: for keys of maps, which a byte array can't be. */

/** Works on any byte array; Buffer.from() and toString() would make a Buffer around it first. */
const { latin1Slice } = Buffer.prototype as unknown as {
  latin1Slice: (this: Uint8Array, start: number, end: number) => string;
};

/** String with one character for each of bytes[start .. end). */
export function byteString(bytes: Uint8Array, start: number, end: number): string {
  return latin1Slice.call(bytes, start, end);
}
