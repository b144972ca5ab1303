/** Which port of this machine leads to which pair, for mounts through the proxy: one proxy serves all mounts of a pair. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { pairOf } from '../node/state.ts';

// A file for each port, in a directory that is empty after a start of the machine (/run): no mount outlives that. It stays when
// the proxy has ended. The next mount of the pair finds its port by it, and one of another pair never gets it.

const PORTS = { first: 20_500, count: 500 };
/** Content of the file of a port that another program has. */
const TAKEN = 'another program';

const fileOf = (directory: string, port: number): string => join(directory, `mounts-${port}`);

/** The port of the URL's pair, the one that it has or a free one. Rejects if there is none. */
export async function claimPort(directory: string, url: string): Promise<number> {
  mkdirSync(directory, { recursive: true, mode: 0o755 });
  const pair = pairOf(url);
  const hash = createHash('sha256').update(pair).digest().readUInt32BE(0);
  for (let step = 0; step < PORTS.count; step++) {
    const port = PORTS.first + ((hash + step) % PORTS.count);
    const claim = claimedBy(fileOf(directory, port), pair);
    if (claim.by !== pair) continue;
    if (!claim.isNew || !(await accepts(port))) return port;
    writeFileSync(fileOf(directory, port), TAKEN);
  }
  throw new Error(`each port from ${PORTS.first} on belongs to another pair: ${directory}`);
}

/** A proxy of a mount listens at this port, or has listened there. */
export function isClaimed(directory: string, port: number): boolean {
  return existsSync(fileOf(directory, port));
}

function claimedBy(path: string, pair: string): { readonly by: string; readonly isNew: boolean } {
  try {
    writeFileSync(path, pair, { flag: 'wx', mode: 0o644 });
    return { by: pair, isNew: true };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    return { by: readFileSync(path, 'utf8'), isNew: false };
  }
}

/** Whether a program listens at the port. A proxy with --while-mounted checks its mount after each connection. */
export function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
