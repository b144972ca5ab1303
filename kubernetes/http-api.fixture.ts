/** A real HTTP server for the transport's tests: each test says what the "API server" sends, byte by byte where needed. */

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { KubeConfig } from '@kubernetes/client-node';
import { KubernetesClient } from './client.ts';
import { Connection } from './connection.ts';

export interface Seen {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}
export type Handler = (seen: Seen, response: ServerResponse) => void;

export interface HttpApi {
  readonly client: KubernetesClient;
  readonly connection: Connection;
  readonly seen: Seen[];
  /** How many TCP connections were accepted. */
  connections(): number;
  /** What comes over the connections that stand is not answered from now on; over new ones it is. */
  freezeStanding(): void;
  /** Replaces the token that the next loading of credentials finds. */
  token: string;
  close(): Promise<void>;
}

export async function startHttpApi(handler: Handler): Promise<HttpApi> {
  const seen: Seen[] = [];
  let connections = 0;
  const standing = new Set<Socket>();
  const frozen = new Set<Socket>();
  const server = createServer((request, response) => {
    if (frozen.has(request.socket)) return;
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const url = new URL(request.url ?? '/', 'http://api');
      const one = {
        method: request.method ?? '',
        path: url.pathname,
        query: url.searchParams,
        headers: request.headers,
        body: Buffer.concat(chunks).toString('utf8'),
      };
      seen.push(one);
      handler(one, response);
    });
  });
  server.on('connection', (socket: Socket) => {
    connections += 1;
    standing.add(socket);
    socket.on('close', () => standing.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const port = (server.address() as AddressInfo).port;
  const connection = new Connection(async () => {
    const config = new KubeConfig();
    config.loadFromOptions({
      clusters: [{ name: 'test', server: `http://127.0.0.1:${port}`, skipTLSVerify: true }],
      users: [{ name: 'user', token: api.token }],
      contexts: [{ name: 'test', cluster: 'test', user: 'user', namespace: 'storage' }],
      currentContext: 'test',
    });
    return config;
  });
  const api: HttpApi = {
    client: new KubernetesClient(connection),
    connection,
    seen,
    connections: () => connections,
    freezeStanding() {
      for (const socket of standing) frozen.add(socket);
    },
    token: 'first',
    async close() {
      connection.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return api;
}

export const json = (response: ServerResponse, status: number, body: unknown, headers = {}): void => {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify(body));
};

export const failure = (code: number, reason: string, message = reason) => ({
  kind: 'Status',
  apiVersion: 'v1',
  status: 'Failure',
  code,
  reason,
  message,
});
