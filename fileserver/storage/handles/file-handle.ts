/** The NFS file handle: what a client keeps for a file, for years perhaps, across restarts and failovers. */
import { hash, timingSafeEqual } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { BytePool } from '../../system/byte-pool.ts';

//   0        1              2..5        6..21        22..        last 16
//   version  identity type  export id   volume UUID  identity    HMAC-SHA256 of all before, truncated
//
// At most 64 bytes (RFC 1813 §2.4 NFS3_FHSIZE): 46 on ext4, 58 on btrfs; 26 bytes of identity are the limit.
// Nothing in it depends on the server: any server that has the volume has its UUID and its keys (handle-keys.ts).
//
// Signed, because a volume is often a directory of a larger file system, and the kernel opens a guessed handle
// of any file on it. The export id is in it, because two exports of one volume give different rights.

export const HANDLE_SIZE_MAX = 64;
const VERSION = 1;
export const EXPORT_AT = 2;
export const UUID_AT = 6;
export const UUID_SIZE = 16;
export const IDENTITY_AT = 22;
export const MAC_SIZE = 16;
const HANDLE_SIZE_MIN = IDENTITY_AT + 1 + MAC_SIZE;

/** Number of an export in handles: from its path alone, so that every server computes the same. */
export function exportIdOf(path: string): number {
  return crc32(path);
}

/** Writes all but the HMAC; returns the size so far. `into` holds HANDLE_SIZE_MAX bytes. */
export function writeUnsigned(
  into: Uint8Array,
  exportId: number,
  uuid: Uint8Array,
  type: number,
  identity: Uint8Array,
  start: number,
  size: number,
): number {
  into[0] = VERSION;
  into[1] = type;
  into[EXPORT_AT] = exportId >>> 24;
  into[EXPORT_AT + 1] = exportId >>> 16;
  into[EXPORT_AT + 2] = exportId >>> 8;
  into[EXPORT_AT + 3] = exportId;
  for (let i = 0; i < 16; i++) into[UUID_AT + i] = uuid[i]!;
  for (let i = 0; i < size; i++) into[IDENTITY_AT + i] = identity[start + i]!;
  return IDENTITY_AT + size;
}

/** Of SHA-256. */
const BLOCK_SIZE = 64;
const DIGEST_SIZE = 32;

/**
 * HMAC-SHA256 (RFC 2104) with one secret: what is hashed before message and digest is prepared once. Two hashes of 100
 * bytes in one go each; createHmac(), with its objects, takes three times as long, and each new handle is signed.
 */
class Signer {
  readonly #inner: Uint8Array;
  readonly #outer: Uint8Array;
  /** The message of `inner` that was hashed last: most handles of a volume are of one size. */
  #message: Uint8Array;

  /** secret: at most BLOCK_SIZE bytes. */
  constructor(secret: Uint8Array) {
    if (secret.length > BLOCK_SIZE) throw new RangeError(`a secret of ${secret.length} bytes`);
    this.#inner = new Uint8Array(BLOCK_SIZE + HANDLE_SIZE_MAX).fill(0x36, 0, BLOCK_SIZE);
    this.#outer = new Uint8Array(BLOCK_SIZE + DIGEST_SIZE).fill(0x5c, 0, BLOCK_SIZE);
    for (let i = 0; i < secret.length; i++) {
      this.#inner[i]! ^= secret[i]!;
      this.#outer[i]! ^= secret[i]!;
    }
    this.#message = this.#inner;
  }

  /** Writes the signature of bytes[0 .. size) into `target`, MAC_SIZE bytes from `at` on. Digests as text: a Buffer is ten times as large. */
  sign(bytes: Uint8Array, size: number, target: Uint8Array, at: number): void {
    const inner = this.#inner;
    const outer = this.#outer;
    for (let i = 0; i < size; i++) inner[BLOCK_SIZE + i] = bytes[i]!;
    if (this.#message.length !== BLOCK_SIZE + size) this.#message = inner.subarray(0, BLOCK_SIZE + size);
    const digest = hash('sha256', this.#message, 'binary');
    for (let i = 0; i < DIGEST_SIZE; i++) outer[BLOCK_SIZE + i] = digest.charCodeAt(i);
    const signature = hash('sha256', outer, 'binary');
    for (let i = 0; i < MAC_SIZE; i++) target[at + i] = signature.charCodeAt(i);
  }
}

/** The signer of each volume's key, which is one object for as long as the volume is open. */
const signers = new WeakMap<Uint8Array, Signer>();

function signerWith(secret: Uint8Array): Signer {
  let signer = signers.get(secret);
  if (signer === undefined) {
    signer = new Signer(secret);
    signers.set(secret, signer);
  }
  return signer;
}

/** Handles that are kept as long as their files are in use. */
export const handleMemory = new BytePool();

/** The complete handle of unsigned[0 .. size), in memory of its own. */
export function sign(secret: Uint8Array, unsigned: Uint8Array, size = unsigned.length): Uint8Array {
  const handle = handleMemory.take(size + MAC_SIZE);
  for (let i = 0; i < size; i++) handle[i] = unsigned[i]!;
  signerWith(secret).sign(unsigned, size, handle, size);
  return handle;
}

/** Could these bytes be a handle of ours? Says nothing about the signature. */
export function isWellFormed(handle: Uint8Array): boolean {
  return handle.length >= HANDLE_SIZE_MIN && handle.length <= HANDLE_SIZE_MAX && handle[0] === VERSION;
}

/** The signature that a handle should have. */
const expected = new Uint8Array(MAC_SIZE);

/** One of the keys has signed the handle. */
export function isSigned(keys: readonly Uint8Array[], handle: Uint8Array): boolean {
  return signerOf(keys, handle) !== null;
}

/** The key with which it is signed; null: none of them. */
export function signerOf(keys: readonly Uint8Array[], handle: Uint8Array): Uint8Array | null {
  const at = handle.length - MAC_SIZE;
  for (const key of keys) {
    signerWith(key).sign(handle, at, expected, 0);
    if (timingSafeEqual(expected, handle.subarray(at))) return key;
  }
  return null;
}

/** The export id of a handle whose form was checked. */
export function exportIdIn(handle: Uint8Array): number {
  return (
    ((handle[EXPORT_AT]! << 24) |
      (handle[EXPORT_AT + 1]! << 16) |
      (handle[EXPORT_AT + 2]! << 8) |
      handle[EXPORT_AT + 3]!) >>>
    0
  );
}

/** Does this UUID begin at bytes[at]? */
export function isUuidAt(uuid: Uint8Array, bytes: Uint8Array, at: number): boolean {
  for (let i = 0; i < UUID_SIZE; i++) if (uuid[i] !== bytes[at + i]) return false;
  return true;
}

/** A view of the UUID of a handle whose form was checked. */
export function uuidIn(handle: Uint8Array): Uint8Array {
  return handle.subarray(UUID_AT, UUID_AT + 16);
}

/** The identity type of a handle whose form was checked: the kernel's handle type, or TYPE_INODE_AND_BIRTH. */
export function identityTypeIn(handle: Uint8Array): number {
  return handle[1]!;
}

/** A view of the identity's bytes. */
export function identityIn(handle: Uint8Array): Uint8Array {
  return handle.subarray(IDENTITY_AT, handle.length - MAC_SIZE);
}
