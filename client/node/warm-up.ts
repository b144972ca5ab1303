/**
 * Runs once what a failover runs, so that its code is compiled when it is needed: in a network namespace of its own, with a server of
 * its own. A director that waits for its turn does it; nothing of this machine changes.
 */
import { createServer, type Server, type Socket } from 'node:net';
import { setTimeout as elapsed } from 'node:timers/promises';
import { Resolver } from '../resolver.ts';
import { parseNfsUrl } from '../url.ts';
import { KernelPath } from './kernel-path.ts';
import { openListeningSocket } from './listening-socket.ts';
import { inScratchNamespace } from './netlink/socket.ts';

const VIRTUAL = '169.254.77.1';
/** The namespace has no link that is up: only this address is there. */
const ANY = '0.0.0.0';
const POLL_MS = 10;
/** On a machine that is too busy for it, there are other things to do. Ms. */
const MS_MAX = 10_000;

/**
 * True: all of it has run. `isNeeded`: it ends early when it returns false. Rejects where something of it is not possible; that is of no
 * consequence.
 */
export async function warmUp(isNeeded: () => boolean): Promise<boolean> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => answer(socket, sockets));
  const path = inScratchNamespace(
    () =>
      new KernelPath({
        namespace: null,
        holders: [openListeningSocket(ANY, null)],
        onRestored: () => {},
        onError: () => {},
      }),
  );
  try {
    const port = await listening(server);
    const parsed = parseNfsUrl(`nfs://127.0.0.1:${port}/?alone`);
    if (!parsed.ok) return false;
    path.add([{ virtual: VIRTUAL, index: 0, url: parsed.url, resolver: new Resolver(), onEvent: () => {} }]);
    const endMs = performance.now() + MS_MAX;
    const reaches = async (phase: string) => {
      while (path.addresses.get(VIRTUAL)?.state.phase !== phase) {
        if (!isNeeded() || performance.now() > endMs) return false;
        await elapsed(POLL_MS);
      }
      return true;
    };
    if (!(await reaches('serve'))) return false;
    for (const socket of sockets) socket.resetAndDestroy();
    server.close();
    return await reaches('hold');
  } finally {
    path.close();
    for (const socket of sockets) socket.destroy();
    server.close();
  }
}

function listening(server: Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port));
  });
}

/** Every call succeeds, and has no results: it is NULL that matters. */
function answer(socket: Socket, sockets: Set<Socket>): void {
  sockets.add(socket);
  socket.on('error', () => {});
  socket.on('data', (call: Buffer) => {
    if (call.length < 8) return;
    const reply = Buffer.alloc(28);
    reply.writeUInt32BE(0x8000_0018, 0);
    call.copy(reply, 4, 4, 8);
    reply.writeUInt32BE(1, 8);
    socket.write(reply);
  });
}
