/**
 * HTTP on a port that anybody may reach, and by which the kubelet's probes and Prometheus come: strangers who hold connections open,
 * ask by half, read slowly or ask without end keep nobody out. Connections share their places by address (connection-places.ts), a
 * connection asks few things at a time and has seconds for it, and what is asked often is worked out some times a second.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { ConnectionPlaces } from './connection-places.ts';

/** Connections to the port at a time. The kubelet needs one, Prometheus another. */
const CONNECTIONS_MAX = 64;
/** Bytes of a request's first line and headers, on the port. */
const HEADERS_SIZE_MAX = 4096;
/** Ms from the opening of a connection to its first whole request, on the port. */
const REQUEST_MS = 2000;
/** Ms that an answer may take until the last byte is with the kernel; who reads more slowly is cut off. A dry run takes longest. */
const ANSWER_MS = 10_000;
/** Ms that a connection may rest between two questions. */
const IDLE_MS = 5000;
/**
 * Questions of one connection that are not answered yet. Nobody who means well asks several at once, and thousands fit into one
 * packet; but the next one may be read before the kernel's word that the last answer has left.
 */
const WAITING_MAX = 2;
/** Times a second that status and metrics are worked out for the port. */
const EFFORTS_MAX = 20;

/** It does not listen yet. `answer` is called for each question that is to be answered. */
export function createProbeServer(
  answer: (request: IncomingMessage, response: ServerResponse) => void,
): Server {
  const places = new ConnectionPlaces(CONNECTIONS_MAX);
  const asked = new WeakMap<Socket, number>();
  const receive = (request: IncomingMessage, response: ServerResponse): void => {
    const { socket } = request;
    const waiting = asked.get(socket) ?? 0;
    if (waiting === WAITING_MAX) {
      socket.destroy();
      return;
    }
    asked.set(socket, waiting + 1);
    const late = setTimeout(() => socket.destroy(), ANSWER_MS);
    response.once('close', () => {
      clearTimeout(late);
      asked.set(socket, asked.get(socket)! - 1);
    });
    answer(request, response);
  };
  const server = createServer(
    {
      maxHeaderSize: HEADERS_SIZE_MAX,
      headersTimeout: REQUEST_MS,
      requestTimeout: REQUEST_MS,
      keepAliveTimeout: IDLE_MS,
      connectionsCheckingInterval: 500,
    },
    receive,
  );
  server.setTimeout(ANSWER_MS, (socket) => socket.destroy());
  server.on('connection', (socket) => places.enter(socket)?.destroy());
  return server;
}

/** Repeats the result of frequent requests: it is worked out `EFFORTS_MAX` times a second. */
export function sparingly<T>(work: () => T): () => T {
  let secondBegan = Number.NEGATIVE_INFINITY;
  let made = 0;
  let last: T;
  return () => {
    const now = performance.now();
    if (now - secondBegan >= 1000) {
      secondBegan = now;
      made = 0;
    }
    if (made < EFFORTS_MAX) {
      last = work();
      made++;
    }
    return last;
  };
}
