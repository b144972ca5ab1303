// HTTP for the kubelet: /healthz (the event loop turns), /readyz (every cache has been listed once).

import { createServer, type Server } from 'node:http';

export function startHealth(port: number, isReady: () => boolean): Promise<Server> {
  const server = createServer((request, response) => {
    const ready = isReady();
    const answers: Readonly<Record<string, readonly [number, string]>> = {
      '/healthz': [200, 'alive\n'],
      '/readyz': ready ? [200, 'ready\n'] : [503, 'the caches are not filled yet\n'],
    };
    const [status, body] = answers[request.url ?? ''] ?? [404, 'there is /healthz and /readyz\n'];
    response.writeHead(status, { 'content-type': 'text/plain' }).end(body);
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, () => resolve(server));
  });
}
