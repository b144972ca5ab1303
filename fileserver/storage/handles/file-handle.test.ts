import { createHmac, randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { HANDLE_SIZE_MAX, isSigned, MAC_SIZE, sign } from './file-handle.ts';

test('the signature is HMAC-SHA256 (RFC 2104), truncated, for secrets and handles of every length', () => {
  for (let size = 1; size <= HANDLE_SIZE_MAX - MAC_SIZE; size++) {
    const secret = randomBytes(size % 3 === 0 ? 64 : 32);
    // Twice with one secret: what was left of the longer one must not count.
    for (const length of [size, HANDLE_SIZE_MAX - MAC_SIZE - size + 1]) {
      const unsigned = randomBytes(length);
      const expected = createHmac('sha256', secret).update(unsigned).digest().subarray(0, MAC_SIZE);
      const handle = sign(secret, unsigned);
      expect(Buffer.compare(handle.subarray(0, length), unsigned)).toBe(0);
      expect(Buffer.compare(handle.subarray(length), expected)).toBe(0);
      expect(isSigned([secret], handle)).toBe(true);
    }
  }
});

test('no handle with any single bit changed, and none of another secret, is signed', () => {
  const secret = randomBytes(32);
  const handle = sign(secret, randomBytes(30));
  expect(isSigned([randomBytes(32)], handle)).toBe(false);
  for (let bit = 0; bit < handle.length * 8; bit++) {
    const changed = Uint8Array.from(handle);
    changed[bit >> 3]! ^= 1 << (bit & 7);
    expect(isSigned([secret, randomBytes(32)], changed)).toBe(false);
  }
});

test('a handle counts with each of the keys', () => {
  const [current, previous] = [randomBytes(32), randomBytes(32)];
  const handle = sign(previous, randomBytes(30));
  expect(isSigned([current, previous], handle)).toBe(true);
  expect(isSigned([current], handle)).toBe(false);
});
