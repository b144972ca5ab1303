/** A server for tests that answers as the port of a pair does to those who search: NULL succeeds, and there is no other procedure. */
import { createServer, type Server, type Socket } from 'node:net';

/** It says its name to a connection that asks for it (`who`). */
export async function nullServer(
  name: string | ((socket: Socket) => string),
  host: string,
  port: number,
): Promise<{ stop: () => void }> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => {
      if (chunk.toString('latin1').startsWith('who'))
        socket.write(typeof name === 'string' ? name : name(socket));
      else socket.write(repliesTo(chunk));
    });
  });
  await new Promise<void>((resolve) => server.listen(port, host, resolve));
  return {
    stop() {
      server.close();
      for (const socket of sockets) socket.resetAndDestroy();
    },
  };
}

/** Each call is one record. */
function repliesTo(calls: Buffer): Buffer {
  const replies: Buffer[] = [];
  for (let at = 0; at + 28 <= calls.length; ) {
    const isNull = calls.readUInt32BE(at + 16) === 100_003 && calls.readUInt32BE(at + 24) === 0;
    const reply = Buffer.alloc(28);
    reply.writeUInt32BE(0x8000_0018, 0);
    calls.copy(reply, 4, at + 4, at + 8);
    reply.writeUInt32BE(1, 8);
    reply.writeUInt32BE(isNull ? 0 : 3, 24);
    replies.push(reply);
    at += 4 + (calls.readUInt32BE(at) & 0x7fff_ffff);
  }
  return Buffer.concat(replies);
}
