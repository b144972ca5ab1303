/**
 * An object that may have lost its last name, as a volume thread tells connection threads: they have to close what they have open
 * of it, or its space is not free. It travels among the replies of the same turn, as an entry without a call.
 */
import type { XdrWriter } from '../../../protocol/xdr.ts';
import type { FileIdentity } from './file-identity.ts';

//   volume's UUID   identity type   identity
//   16 bytes        1 byte          the rest

/** In place of a call's number: those begin at 1. */
export const NO_CALL = 0;
const UUID_SIZE = 16;
const IDENTITY_AT = UUID_SIZE + 1;

/** @param uuid of the volume, 16 bytes */
export function encodeForgotten(
  w: XdrWriter,
  uuid: Uint8Array,
  { type, bytes, start, size }: FileIdentity,
): void {
  w.ensure(IDENTITY_AT + size);
  const { bytes: to, position } = w;
  for (let i = 0; i < UUID_SIZE; i++) to[position + i] = uuid[i]!;
  to[position + UUID_SIZE] = type;
  for (let i = 0; i < size; i++) to[position + IDENTITY_AT + i] = bytes[start + i]!;
  w.position = position + IDENTITY_AT + size;
}

/** Identity of the object at bytes[start .. end): a view. */
export function forgottenIdentity(bytes: Uint8Array, start: number, end: number): FileIdentity {
  const at = start + IDENTITY_AT;
  return { type: bytes[start + UUID_SIZE]!, bytes, start: at, size: end - at };
}
