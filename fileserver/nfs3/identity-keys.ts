/** Identity keys of objects in the journal's record of the state before an operation. */
import type { XdrReader, XdrWriter } from '../../protocol/xdr.ts';

const KEY_SIZE_MAX = 64;

export function encodeKey(w: XdrWriter, key: string): void {
  w.opaque(Buffer.from(key, 'latin1'));
}

export function decodeKey(r: XdrReader): string {
  return Buffer.from(r.opaque(KEY_SIZE_MAX)).toString('latin1');
}
