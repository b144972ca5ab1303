/**
 * Who is at the other end of a Unix socket, as the kernel recorded it when that end connected (SO_PEERCRED). What a
 * process says about itself proves nothing; and the number that it knows itself by may mean another process here, if
 * the two live in different PID namespaces. The kernel translates.
 */
import type { Socket } from 'node:net';
import koffi from 'koffi';
import { lastSystemCallError } from './errno.ts';

const SOL_SOCKET = 1;
const SO_PEERCRED = 17;

const libc = koffi.load('libc.so.6');
const getsockopt = libc.func('int getsockopt(int fd, int level, int name, void *value, void *length)') as (
  fd: number,
  level: number,
  name: number,
  value: Int32Array,
  length: Int32Array,
) => number;

/**
 * The pid, in this process's own namespace, of the process that connected the socket. 0: it cannot be seen from here
 * (another PID namespace). Throws SystemCallError, or Error if Node does not tell the socket's descriptor.
 */
export function peerPid(socket: Socket): number {
  // Not part of Node's documented interface, but the only way to the descriptor of a socket it has accepted.
  const fd = (socket as unknown as { readonly _handle?: { readonly fd?: number } })._handle?.fd;
  if (fd === undefined || fd < 0) throw new Error('the descriptor of the socket cannot be found out');
  // struct ucred: pid, uid, gid.
  const credentials = new Int32Array(new ArrayBuffer(12));
  const length = new Int32Array(new ArrayBuffer(4));
  length[0] = 12;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, credentials, length) !== 0) {
    throw lastSystemCallError('getsockopt');
  }
  return credentials[0]!;
}
