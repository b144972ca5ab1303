/** TCP ports of 127.0.0.1 for servers that have to know theirs before they start, and keep them while they are down. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';

// Not from the range that the kernel takes source ports from: it would give them to an outgoing connection of another process
// while the server is down. A client that calls a closed port there may even be connected to itself (both ends the same port),
// and then the server can't have it.

const LOWEST = 10_240;
/** Where the kernel's own range begins, unless it says otherwise. */
const EPHEMERAL_BY_DEFAULT = 32_768;
/** Between the first ports of two processes with successive numbers: each of them uses fewer. */
const STRIDE = 331;

/** Taken in turn, so that one process never gets a port twice. */
let next: number | null = null;

/** Ports on which nobody listens now; all different from each other, and from those of other calls. */
export async function freePorts(count: number): Promise<number[]> {
  const beyond = beginOfEphemeralPorts();
  next ??= LOWEST + ((process.pid * STRIDE) % (beyond - LOWEST));
  const ports: number[] = [];
  while (ports.length < count) {
    const port = next;
    next = next + 1 < beyond ? next + 1 : LOWEST;
    if (await isFree(port)) ports.push(port);
  }
  return ports;
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  server.listen(port, '127.0.0.1');
  try {
    await once(server, 'listening');
  } catch {
    return false;
  }
  await closed(server);
  return true;
}

function closed(server: Server): Promise<unknown> {
  const end = once(server, 'close');
  server.close();
  return end;
}

function beginOfEphemeralPorts(): number {
  try {
    const begin = Number.parseInt(readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8'), 10);
    return begin > LOWEST + 1000 ? begin : EPHEMERAL_BY_DEFAULT;
  } catch {
    return EPHEMERAL_BY_DEFAULT;
  }
}
