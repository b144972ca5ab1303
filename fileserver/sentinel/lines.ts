/** Messages between server and sentinel over the Unix socket: one JSON object a line. */
import type { Socket } from 'node:net';
import { z } from 'zod';
import { type Incarnation, parseIncarnation } from '../../pair/incarnation.ts';

//   server                                        sentinel
//     register {incarnation}               ->       opens a pidfd of the process that the kernel says has connected
//            <- prove {token}
//     proof {token, holdings}              ->       the answer shows that this process was alive after the pidfd was
//            <- watching {pid}                      opened, so the pidfd is its own and no later namesake's
//     holdings {holdings}                  ->       whenever they change
//            <- refused {reason}

const holdings = z.array(z.object({ home: z.string().min(1).max(253), epoch: z.int().min(0) })).max(2);
const incarnation = z
  .string()
  .refine((text) => parseIncarnation(text) !== null)
  .transform((text) => text as Incarnation);

const toSentinel = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('register'), incarnation }),
  z.object({ kind: z.literal('proof'), token: z.string().max(100), holdings }),
  z.object({ kind: z.literal('holdings'), holdings }),
]);
export type ToSentinel = z.infer<typeof toSentinel>;

const toServer = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('prove'), token: z.string().max(100) }),
  z.object({ kind: z.literal('watching'), pid: z.int() }),
  z.object({ kind: z.literal('refused'), reason: z.string() }),
]);
export type ToServer = z.infer<typeof toServer>;

/** Characters of one line, at most. */
const LINE_MAX = 4096;

/** Calls `receive` for each line that is a message; destroys the socket at the first one that is not. */
function readLines<T>(socket: Socket, schema: z.ZodType<T>, receive: (message: T) => void): void {
  let rest = '';
  socket.setEncoding('utf8');
  socket.on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop()!;
    for (const line of lines) {
      const message = schema.safeParse(parseJson(line));
      if (!message.success) {
        socket.destroy();
        return;
      }
      receive(message.data);
    }
    if (rest.length > LINE_MAX) socket.destroy();
  });
}

export function readLinesOfServer(socket: Socket, receive: (message: ToSentinel) => void): void {
  readLines(socket, toSentinel, receive);
}

export function readLinesOfSentinel(socket: Socket, receive: (message: ToServer) => void): void {
  readLines(socket, toServer, receive);
}

export function writeLine(socket: Socket, message: ToSentinel | ToServer): void {
  socket.write(`${JSON.stringify(message)}\n`);
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
