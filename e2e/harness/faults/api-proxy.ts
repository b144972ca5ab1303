/** A proxy in front of the API server for a client that a test wants to end between two of its writes. */
import { writeFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { KubeConfig } from '@kubernetes/client-node';
import { eventually } from '../../../testing/eventually.ts';

export class ApiProxy {
  readonly #server: http.Server;
  readonly #upstream: https.RequestOptions & { readonly host: string };
  readonly #token: string;
  readonly #sockets = new Set<Socket>();
  #lastWriteAt = performance.now();
  /** Writes that still pass; undefined: all. */
  #left: number | undefined;
  #stopped: (() => void) | undefined;

  private constructor(upstream: https.RequestOptions & { readonly host: string }, token: string) {
    this.#upstream = upstream;
    this.#token = token;
    this.#server = http.createServer((request, response) => this.#pass(request, response));
    this.#server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
  }

  /** @param through file to be written: a kubeconfig that leads through the proxy, with the rights of `token` */
  static async start(kubeconfig: string, through: string, token: string): Promise<ApiProxy> {
    const config = new KubeConfig();
    config.loadFromFile(kubeconfig);
    const { hostname, port } = new URL(config.getCurrentCluster()!.server);
    const options: https.RequestOptions = {};
    await config.applyToHTTPSOptions(options);
    const agent = new https.Agent({ keepAlive: true, ca: options.ca });
    const proxy = new ApiProxy({ host: hostname, port, agent }, token);
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
    const server = `http://127.0.0.1:${(proxy.#server.address() as AddressInfo).port}`;
    const name = 'proxy';
    writeFileSync(
      through,
      JSON.stringify({
        apiVersion: 'v1',
        kind: 'Config',
        clusters: [{ name, cluster: { server, 'insecure-skip-tls-verify': true } }],
        users: [{ name, user: {} }],
        contexts: [{ name, context: { cluster: name, user: name } }],
        'current-context': name,
      }),
    );
    return proxy;
  }

  /**
   * The API server carries out so many more writes. The answer to the last one is not passed on, and nothing else passes.
   * Resolves when that has happened.
   */
  stopAfter(writes: number): Promise<void> {
    this.#left = writes;
    return new Promise((resolve) => {
      this.#stopped = resolve;
    });
  }

  /** Everything passes again. */
  goOn(): void {
    this.#left = undefined;
  }

  /** Waits until nothing has been written for so long, ms. */
  async quiet(ms: number, msMax: number): Promise<void> {
    await eventually('nothing is written', msMax, () => performance.now() - this.#lastWriteAt > ms);
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
    (this.#upstream.agent as https.Agent).destroy();
  }

  #pass(request: http.IncomingMessage, response: http.ServerResponse): void {
    // Nothing depends on an event.
    const writes = request.method !== 'GET' && !/[?&]dryRun=|\/events/.test(request.url ?? '');
    if (this.#left !== undefined && (this.#left <= 0 || (writes && --this.#left < 0))) {
      request.socket.destroy();
      return;
    }
    const last = writes && this.#left === 0;
    if (writes) this.#lastWriteAt = performance.now();
    const { host: _, connection: __, authorization: ___, ...headers } = request.headers;
    const up = https.request({
      ...this.#upstream,
      method: request.method,
      path: request.url,
      headers: { ...headers, authorization: `Bearer ${this.#token}` },
    });
    up.on('response', (answer) => {
      if (!last) {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(response);
        answer.on('error', () => response.destroy());
        response.flushHeaders();
        return;
      }
      answer.resume();
      answer.on('end', () => {
        for (const socket of this.#sockets) socket.destroy();
        this.#stopped?.();
      });
    });
    up.on('error', () => response.destroy());
    response.on('close', () => up.destroy());
    request.pipe(up);
  }
}
