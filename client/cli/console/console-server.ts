/** Serves the console to a browser of this machine: below a random path, which is the key, and to this machine alone. */
import { randomBytes, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { page, SCRIPT, STYLE } from './page.ts';
import type { ConsoleState } from './state.ts';
import { view } from './view.ts';

/** Browsers that watch at one time. */
const WATCHERS_MAX = 16;
const HOST = '127.0.0.1';

const HEADERS = {
  'cache-control': 'no-store',
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
};

export class ConsoleServer {
  /** To open in a browser. */
  readonly url: string;
  readonly #server: Server;
  readonly #watchers = new Set<ServerResponse>();
  readonly #firstWatcher = Promise.withResolvers<void>();
  #state: ConsoleState;
  #sent = '';

  private constructor(server: Server, key: string, state: ConsoleState) {
    this.#server = server;
    this.#state = state;
    this.url = `http://${HOST}:${(server.address() as AddressInfo).port}/${key}/`;
    server.on('request', (request, response) => this.#answer(request, response, key));
  }

  /** `port` 0: any free one. Rejects with the system's error if the port cannot be had. */
  static listen(state: ConsoleState, port: number): Promise<ConsoleServer> {
    const server = createServer({ requestTimeout: 10_000 });
    const key = randomBytes(24).toString('base64url');
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, HOST, () => resolve(new ConsoleServer(server, key, state)));
    });
  }

  /** Resolves when a browser watches. */
  get watched(): Promise<void> {
    return this.#firstWatcher.promise;
  }

  /** Shows this state as the present one; those who watch see it. */
  show(state: ConsoleState): void {
    this.#state = state;
    const html = JSON.stringify(view(state, Date.now()));
    if (html === this.#sent) return;
    this.#sent = html;
    for (const watcher of this.#watchers) watcher.write(`data: ${html}\n\n`);
  }

  async close(): Promise<void> {
    for (const watcher of this.#watchers) watcher.end();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #answer(request: IncomingMessage, response: ServerResponse, key: string): void {
    const port = (this.#server.address() as AddressInfo | null)?.port;
    // A name that a web page made to lead here is not this server's.
    const isHere = request.headers.host === `${HOST}:${port}`;
    const [, given = '', name = ''] = /^\/([^/]*)\/([^/?]*)$/.exec(request.url ?? '') ?? [];
    if (!isHere || request.method !== 'GET' || !isKey(given, key)) send(response, NOT_ALLOWED);
    else if (name !== 'events') send(response, this.#resource(name));
    else if (this.#watchers.size < WATCHERS_MAX) this.#watch(response);
    else send(response, [503, 'text/plain', 'too many browsers watch\n']);
  }

  #resource(name: string): Answer {
    switch (name) {
      case '':
        return [200, 'text/html', page(this.#state.title, view(this.#state, Date.now()))];
      case 'style.css':
        return [200, 'text/css', STYLE];
      case 'script.js':
        return [200, 'text/javascript', SCRIPT];
      default:
        return [404, 'text/plain', 'there is no such page\n'];
    }
  }

  #watch(response: ServerResponse): void {
    response.writeHead(200, { ...HEADERS, 'content-type': 'text/event-stream' });
    response.write(`data: ${JSON.stringify(view(this.#state, Date.now()))}\n\n`);
    this.#watchers.add(response);
    this.#firstWatcher.resolve();
    response.on('close', () => this.#watchers.delete(response));
  }
}

function isKey(given: string, key: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(key)];
  return a.length === b.length && timingSafeEqual(a, b);
}

type Answer = readonly [status: number, type: string, body: string];

const NOT_ALLOWED: Answer = [403, 'text/plain', 'not allowed\n'];

function send(response: ServerResponse, [status, type, body]: Answer): void {
  response.writeHead(status, { ...HEADERS, 'content-type': `${type}; charset=utf-8` });
  response.end(body);
}
