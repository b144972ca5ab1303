/** GET /metrics of a proxy, for Prometheus. */
import { createServer, type Server } from 'node:http';
import type { NfsProxy } from './proxy.ts';

/** A scrape is one short request; what takes longer is none. ms */
const REQUEST_MS = 5_000;
const CONNECTIONS_MAX = 16;

/**
 * Resolves when it can be scraped. Rejects with the system's error if the port cannot be had.
 *
 * @param server as the URL names it: the label of every series
 */
export function serveMetrics(proxy: NfsProxy, server: string, host: string, port: number): Promise<Server> {
  const listening = createServer({ requestTimeout: REQUEST_MS }, (request, response) => {
    const isMetrics = request.method === 'GET' && request.url === '/metrics';
    response.writeHead(isMetrics ? 200 : 404, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' });
    response.end(isMetrics ? proxy.figures.text(server, proxy, performance.now()) : 'there is /metrics\n');
  });
  listening.maxConnections = CONNECTIONS_MAX;
  return new Promise((resolve, reject) => {
    listening.once('error', reject);
    listening.listen(port, host, () => resolve(listening));
  });
}
