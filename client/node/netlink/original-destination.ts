/** Where a translated connection was made to, as the kernel's table of tracked connections has it. */
import type { Socket } from 'node:net';
import koffi from 'koffi';
import { addressText } from './address.ts';

const SOL_IP = 0;
const SOL_IPV6 = 41;
const SO_ORIGINAL_DST = 80;
/** struct sockaddr_in and sockaddr_in6: where the address is. */
const V4 = { level: SOL_IP, at: 4, size: 4 };
const V6 = { level: SOL_IPV6, at: 8, size: 16 };
/** struct sockaddr_in6. Bytes. */
const SIZE_MAX = 28;

type GetOption = (fd: number, level: number, name: number, value: Buffer, size: Buffer) => number;
let getsockopt: GetOption | null = null;

/** Null: the connection is not translated, or has ended. */
export function originalDestination(socket: Socket): string | null {
  // Node has no public way to the descriptor of a socket.
  const { _handle } = socket as Socket & { readonly _handle?: { readonly fd?: number } };
  const fd = _handle?.fd ?? -1;
  if (fd < 0) return null;
  getsockopt ??= koffi
    .load('libc.so.6')
    .func('int getsockopt(int fd, int level, int name, void *value, void *size)') as GetOption;
  const { level, at, size } = socket.remoteFamily === 'IPv6' ? V6 : V4;
  const value = Buffer.alloc(SIZE_MAX);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(SIZE_MAX);
  if (getsockopt(fd, level, SO_ORIGINAL_DST, value, length) !== 0) return null;
  return addressText(value.subarray(at, at + size));
}
