/**
 * HTTP to one API server: addresses, TLS and authentication come from @kubernetes/client-node's KubeConfig (service account,
 * client certificate, token file, exec plug-in, OIDC, proxy); requests, time-outs, limits and the question "can it have been
 * executed?" are ours.
 */

import { createHash } from 'node:crypto';
import http from 'node:http';
import https from 'node:https';
import type { KubeConfig } from '@kubernetes/client-node';
import { ApiError } from './api-error.ts';

export interface RequestOptions {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Path and query. */
  readonly path: string;
  readonly body?: string | undefined;
  readonly contentType?: string | undefined;
  /** Time in ms until the answer's head; for {@link Connection.send} until its last byte. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

export interface Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
}

/** Where addresses and credentials come from. Called again after a 401, so that replaced credentials are found. */
export type LoadKubeConfig = () => Promise<KubeConfig>;

/** The service account of the pod we run in. */
export const inCluster: LoadKubeConfig = async () => {
  const { KubeConfig } = await import('@kubernetes/client-node');
  const config = new KubeConfig();
  config.loadFromCluster();
  return config;
};

/** A kubeconfig file; `context` other than the current one if given. */
export const fromKubeconfig =
  (file: string, context?: string): LoadKubeConfig =>
  async () => {
    const { KubeConfig } = await import('@kubernetes/client-node');
    const config = new KubeConfig();
    config.loadFromFile(file);
    if (context !== undefined) config.setCurrentContext(context);
    return config;
  };

/** As kubectl finds it: KUBECONFIG with one or more files, else ~/.kube/config. */
export const defaultKubeconfig =
  (context?: string): LoadKubeConfig =>
  async () => {
    const { KubeConfig } = await import('@kubernetes/client-node');
    const config = new KubeConfig();
    config.loadFromDefault();
    if (context !== undefined) config.setCurrentContext(context);
    return config;
  };

/** Lists are fetched in pages and a Lease is small: an answer larger than this is not one of ours. */
const ANSWER_SIZE_MAX = 64 * 1024 * 1024;
/**
 * Ms without a byte after which the kernel asks whether the other end is still there, and then each second, ten times. So a watch
 * or an idle connection whose API server is gone without a word is closed some 11 s later.
 */
const KEEP_ALIVE_MS = 1000;

interface Target {
  readonly secure: boolean;
  readonly host: string;
  readonly port: number;
  /** Path in front of /api, for API servers behind a proxy. */
  readonly prefix: string;
  readonly agent: http.Agent;
  readonly headers: http.OutgoingHttpHeaders;
  readonly auth: string | undefined;
}

export class Connection {
  readonly #load: LoadKubeConfig;
  #config: Promise<KubeConfig> | undefined;
  readonly #agents = new Map<string, http.Agent>();

  constructor(load: LoadKubeConfig) {
    this.#load = load;
  }

  /** The namespace of the current context or service account, if there is one. */
  async namespace(): Promise<string | undefined> {
    const config = await this.#kubeConfig();
    return config.getContextObject(config.getCurrentContext())?.namespace ?? undefined;
  }

  /** Sends a request and reads its whole answer, whatever its status. Throws {@link ApiError} without an answer. */
  async send(options: RequestOptions): Promise<Answer> {
    const deadline = AbortSignal.timeout(options.timeoutMs);
    const response = await this.open(options);
    const signal = options.signal === undefined ? deadline : AbortSignal.any([options.signal, deadline]);
    try {
      return {
        status: response.statusCode ?? 0,
        headers: response.headers,
        body: await readWhole(response, signal),
      };
    } catch (error) {
      response.destroy();
      if (deadline.aborted) this.renew();
      throw new ApiError({
        outcome: 'unknown',
        reason: deadline.aborted ? 'Timeout' : codeOf(error),
        message: `${options.method} ${options.path}: the answer was cut off: ${textOf(error)}`,
        cause: error,
      });
    }
  }

  /**
   * Sends a request and returns its answer's head with the body unread. The caller reads it to its end or destroys
   * it. A 401 is answered by loading the credentials again and one more attempt: it was refused for sure.
   */
  async open(options: RequestOptions): Promise<http.IncomingMessage> {
    const first = await this.#attempt(options);
    if (first.statusCode !== 401) return first;
    first.resume();
    this.#config = undefined;
    return this.#attempt(options);
  }

  /**
   * Idle connections are closed, those in use end with their requests: what is sent from now on goes over new ones. For
   * credentials that are replaced, and after a time-out. The API server behind a connection may be gone without a word, and then
   * the other connections to it are as dead as the one that was tried.
   */
  renew(): void {
    for (const agent of this.#agents.values()) retire(agent);
    this.#agents.clear();
  }

  /** Closes all connections, those in use as well. */
  close(): void {
    for (const agent of this.#agents.values()) agent.destroy();
    this.#agents.clear();
  }

  async #attempt(options: RequestOptions): Promise<http.IncomingMessage> {
    const target = await this.#target();
    try {
      return await request(target, options);
    } catch (error) {
      // A kept-alive connection that the server closed at the same moment: nothing to read is lost by asking again.
      if (options.method === 'GET' && error instanceof StaleConnection) return request(target, options);
      if (error instanceof ApiError && error.reason === 'Timeout') this.renew();
      throw error;
    }
  }

  #kubeConfig(): Promise<KubeConfig> {
    this.#config ??= this.#load().catch((error: unknown) => {
      this.#config = undefined;
      throw error;
    });
    return this.#config;
  }

  async #target(): Promise<Target> {
    try {
      const config = await this.#kubeConfig();
      const cluster = config.getCurrentCluster();
      if (!cluster) throw new Error('the kubeconfig has no cluster for its current context');
      const url = new URL(cluster.server);
      const options: https.RequestOptions = {};
      await config.applyToHTTPSOptions(options);
      const secure = url.protocol === 'https:';
      return {
        secure,
        host: url.hostname.replace(/^\[|\]$/g, ''),
        port: Number(url.port) || (secure ? 443 : 80),
        prefix: url.pathname.replace(/\/$/, ''),
        agent: cluster.proxyUrl ? (options.agent as http.Agent) : this.#agent(secure, options),
        headers: { ...(options.headers as http.OutgoingHttpHeaders | undefined) },
        auth: typeof options.auth === 'string' ? options.auth : undefined,
      };
    } catch (error) {
      throw new ApiError({
        outcome: 'notSent',
        reason: 'NoCredentials',
        message: `cannot prepare requests to the Kubernetes API: ${textOf(error)}`,
        cause: error,
      });
    }
  }

  /** KubeConfig keeps its agent forever; ours is another one as soon as a certificate or the CA is replaced. */
  #agent(secure: boolean, options: https.RequestOptions): http.Agent {
    const { ca, cert, key, pfx, passphrase, rejectUnauthorized, servername } = options;
    const material = [ca, cert, key, pfx, passphrase, rejectUnauthorized, servername].map((part) =>
      part === undefined ? null : String(part),
    );
    const id = createHash('sha256')
      .update(JSON.stringify([secure, material]))
      .digest('hex');
    const known = this.#agents.get(id);
    if (known !== undefined) return known;
    this.renew();
    const keepAlive = { keepAlive: true, keepAliveMsecs: KEEP_ALIVE_MS, scheduling: 'lifo' as const };
    const agent = secure
      ? new https.Agent({
          ...keepAlive,
          ...definedOnly({ ca, cert, key, pfx, passphrase, rejectUnauthorized, servername }),
        })
      : new http.Agent(keepAlive);
    this.#agents.set(id, agent);
    return agent;
  }
}

function retire(agent: http.Agent): void {
  // destroy() would also break the connections on which an answer is awaited.
  agent.maxFreeSockets = 0;
  for (const sockets of Object.values(agent.freeSockets))
    for (const socket of sockets ?? []) socket.destroy();
}

/** The connection was a kept-alive one and broke before an answer: probably closed by the server while idle. */
class StaleConnection extends ApiError {}

function request(target: Target, options: RequestOptions): Promise<http.IncomingMessage> {
  return new Promise((resolve, reject) => {
    let sent = false;
    const headers: http.OutgoingHttpHeaders = { ...target.headers, accept: 'application/json' };
    if (options.body !== undefined) {
      headers['content-type'] = options.contentType ?? 'application/json';
      headers['content-length'] = Buffer.byteLength(options.body);
    }
    const send = target.secure ? https.request : http.request;
    const outgoing = send({
      host: target.host,
      port: target.port,
      method: options.method,
      path: target.prefix + options.path,
      headers,
      agent: target.agent,
      ...(target.auth === undefined ? {} : { auth: target.auth }),
    });
    const fail = (error: unknown, reason = codeOf(error)): void => {
      stop();
      const fields = {
        outcome: sent ? ('unknown' as const) : ('notSent' as const),
        reason,
        message: `${options.method} ${options.path}: ${textOf(error)}`,
        cause: error,
      };
      const stale = sent && outgoing.reusedSocket && ['ECONNRESET', 'EPIPE'].includes(reason);
      reject(stale ? new StaleConnection(fields) : new ApiError(fields));
    };
    const timer = setTimeout(() => {
      fail(new Error(`no answer within ${options.timeoutMs} ms`), 'Timeout');
      outgoing.destroy();
    }, options.timeoutMs);
    const abort = (): void => {
      fail(new Error('given up by the caller'), 'Aborted');
      outgoing.destroy();
    };
    const stop = (): void => {
      clearTimeout(timer);
      options.signal?.removeEventListener('abort', abort);
    };
    outgoing.on('socket', (socket) => {
      // Until the (TLS) connection stands, no byte of the request has left.
      if (outgoing.reusedSocket) sent = true;
      else
        socket.once(target.secure ? 'secureConnect' : 'connect', () => {
          sent = true;
          socket.setKeepAlive(true, KEEP_ALIVE_MS);
        });
    });
    outgoing.on('error', fail);
    outgoing.on('response', (response) => {
      stop();
      resolve(response);
    });
    options.signal?.addEventListener('abort', abort, { once: true });
    if (options.signal?.aborted) abort();
    else outgoing.end(options.body);
  });
}

async function readWhole(response: http.IncomingMessage, signal: AbortSignal): Promise<string> {
  const abort = (): void => {
    response.destroy(new Error('time is up'));
  };
  if (signal.aborted) abort();
  signal.addEventListener('abort', abort, { once: true });
  try {
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of response as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > ANSWER_SIZE_MAX) throw new Error(`an answer of more than ${ANSWER_SIZE_MAX} bytes`);
      chunks.push(chunk);
    }
    return Buffer.concat(chunks).toString('utf8');
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

const definedOnly = (options: https.AgentOptions): https.AgentOptions =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));

const textOf = (error: unknown): string =>
  error instanceof Error ? error.message || error.name : String(error);
const codeOf = (error: unknown): string =>
  typeof (error as { code?: unknown } | null)?.code === 'string'
    ? (error as { code: string }).code
    : 'Failed';
