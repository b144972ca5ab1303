import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { RecordConnection } from './record-connection.ts';

const cleanUp: (() => unknown)[] = [];
afterEach(async () => {
  for (const each of cleanUp.splice(0).reverse()) await each();
});

const MIB = 1024 * 1024;

it('is reset when the server hangs up first, so that nothing on the way is delivered late', async () => {
  // The server ends its own direction and reads on later, as a relay does that lost what is behind it.
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  cleanUp.push(() => server.close());
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const { port } = server.address() as { port: number };
  let ended: (reason: string) => void;
  const end = new Promise<string>((resolve) => {
    ended = resolve;
  });
  const connection = new RecordConnection(1, '127.0.0.1', port, {
    onOpen: () => connection.send(Array.from({ length: 24 }, () => Buffer.alloc(MIB))),
    onBytes: () => {},
    onRecord: () => {},
    onEnd: (_, reason) => ended(reason),
  });
  const [socket] = await accepted;
  cleanUp.push(() => socket.destroy());
  const outcome = new Promise<string>((resolve) => {
    socket.on('end', () => resolve('all that was sent is there, and then an end'));
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code!));
  });
  socket.end();
  expect(await end).toBe('the server closed the connection');
  socket.resume();
  expect(await outcome).toBe('ECONNRESET');
});
