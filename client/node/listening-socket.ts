/** A listening socket that this process opens and does not accept from: it is handed to another process. Linux only. */
import { closeSync } from 'node:fs';
import { isIPv6 } from 'node:net';
import koffi from 'koffi';
import { addressBytes } from './netlink/address.ts';
import { errnoName, inNamespace } from './netlink/socket.ts';
import type { AddressAndPort } from './ruleset.ts';

const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_STREAM = 1;
const SOCK_CLOEXEC = 0o2000000;
/** As many as may wait while a process is replaced. */
const BACKLOG = 4096;

export interface ListeningSocket {
  readonly descriptor: number;
  readonly address: AddressAndPort;
}

/** At a port that the kernel chooses. `namespace`: the file of a network namespace; null: this process's own. Throws. */
export function openListeningSocket(address: string, namespace: string | null): ListeningSocket {
  const libc = koffi.load('libc.so.6');
  const socket = libc.func('int socket(int domain, int type, int protocol)');
  const bind = libc.func('int bind(int fd, void *address, uint size)');
  const listen = libc.func('int listen(int fd, int backlog)');
  const getsockname = libc.func('int getsockname(int fd, void *address, void *size)');
  const isV6 = isIPv6(address);
  const descriptor = inNamespace(
    namespace,
    () => socket(isV6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) as number,
  );
  const check = (result: number, what: string) => {
    if (result >= 0) return;
    const error = new Error(`${what} ${address}: ${errnoName(koffi.errno())}`);
    if (descriptor >= 0) closeSync(descriptor);
    throw error;
  };
  check(descriptor, 'socket');
  const name = Buffer.alloc(isV6 ? 28 : 16);
  name.writeUInt16LE(isV6 ? AF_INET6 : AF_INET, 0);
  name.set(addressBytes(address), isV6 ? 8 : 4);
  check(bind(descriptor, name, name.length) as number, 'bind');
  check(listen(descriptor, BACKLOG) as number, 'listen');
  const size = Buffer.alloc(4);
  size.writeUInt32LE(name.length);
  check(getsockname(descriptor, name, size) as number, 'getsockname');
  return { descriptor, address: { address, port: name.readUInt16BE(2) } };
}
