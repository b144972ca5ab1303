/**
 * HTTP for the kubelet and Prometheus: /healthz (the event loop turns), /readyz (every cache has been listed once), /metrics.
 */

import type { Server } from 'node:http';
import { createProbeServer, sparingly } from '../../kubernetes/probe-server.ts';

export interface HealthOptions {
  readonly port: number;
  readonly isReady: () => boolean;
  /** In Prometheus' text format. */
  readonly metrics: () => Promise<string>;
}

export function startHealth({ port, isReady, metrics }: HealthOptions): Promise<Server> {
  const lately = sparingly(metrics);
  const server = createProbeServer((request, response) => {
    // A body is of no use here, and is not waited for.
    if (request.method !== 'GET' && request.method !== 'HEAD') response.shouldKeepAlive = false;
    if (request.url === '/metrics') {
      lately().then(
        (text) => response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4' }).end(text),
        (error: unknown) => response.writeHead(500).end(`${String(error)}\n`),
      );
      return;
    }
    const ready = isReady();
    const answers: Readonly<Record<string, readonly [number, string]>> = {
      '/healthz': [200, 'alive\n'],
      '/readyz': ready ? [200, 'ready\n'] : [503, 'the caches are not filled yet\n'],
    };
    const [status, body] = answers[request.url ?? ''] ?? [404, 'there is /healthz, /readyz and /metrics\n'];
    response.writeHead(status, { 'content-type': 'text/plain' }).end(body);
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, () => resolve(server));
  });
}
