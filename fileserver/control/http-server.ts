/** HTTP for people and machines: on a Unix socket everything, on a TCP port only reading. */

import { once } from 'node:events';
import { chmodSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { z } from 'zod';
import { createProbeServer, sparingly } from '../../kubernetes/probe-server.ts';
import { inBackground } from '../system/turns.ts';
import type { RequestResult } from '../witness/witness.ts';
import type { TokenFile } from './token-file.ts';

// The port is open to strangers, and the kubelet's probes come by it (kubernetes/probe-server.ts). What is asked often is worked
// out some times a second. With a token (listen.tokenFile), /status, /metrics and /check are told to who has it.
//
//   GET  /status    the server as JSON (agent/status.ts)
//   GET  /metrics   Prometheus text
//   GET  /healthz   200 while the process works: the agent and the threads that must never wait for a disk turn;
//                   otherwise 503 with a sentence
//   GET  /readyz    200 once it can do its part, otherwise 503 with a sentence
//   POST /takeover  {"home"?, "reason"?}   Unix socket only: hand the disk set over; answers when it is done
//   POST /giveback  {"home"?, "reason"?, "force"?, "override"?}
//   GET  /check     [?home=...] dry run: would a takeover by this server work now, and what is missing?
//   POST /maintenance {"on": true, "reason"} or {"on": false}: nothing moves by itself meanwhile; 200 once both Leases
//                   have it, otherwise 503 with a sentence

export interface ControlSurface {
  /** The disk sets that there are, by home. */
  readonly homes: readonly string[];
  readonly status: () => unknown;
  readonly metrics: () => Promise<string>;
  /** Null: works. */
  readonly whyNotHealthy: () => string | null;
  /** Null: ready. */
  readonly whyNotReady: () => string | null;
  /** `home` null: the disk set that the request usually means on this server. */
  readonly request: (
    kind: 'takeover' | 'giveback',
    home: string | null,
    words: { readonly reason: string; readonly force: boolean; readonly override: readonly string[] },
  ) => Promise<RequestResult>;
  /** Dry run of a takeover by this server. */
  readonly check: (home: string | null) => Promise<{ readonly possible: boolean }>;
  /** Null: it is in force for both servers. Otherwise why not, in a sentence. */
  readonly setMaintenance: (reason: string | null) => Promise<string | null>;
}

interface Answer {
  readonly status: number;
  readonly type: 'application/json' | typeof TEXT | 'text/plain; version=0.0.4';
  readonly body: string;
}

/** Bytes of a request's body, at most. */
const BODY_MAX = 4096;
const TEXT = 'text/plain; charset=utf-8';
const body = z.strictObject({
  home: z.string().min(1).max(253).optional(),
  reason: z.string().max(1000).optional(),
  force: z.boolean().default(false),
  override: z.array(z.string().max(100)).max(16).default([]),
});
const maintenanceBody = z.discriminatedUnion('on', [
  z.strictObject({ on: z.literal(true), reason: z.string().min(1).max(1000) }),
  z.strictObject({ on: z.literal(false) }),
]);

/** Listens on a Unix socket that only its owner may open. Removes one that an earlier run left behind. */
export async function listenOnSocket(path: string, surface: ControlSurface): Promise<Server> {
  rmSync(path, { force: true });
  const server = createServer((request, response) => inBackground(serve(request, response, surface, true)));
  server.listen(path);
  await once(server, 'listening');
  chmodSync(path, 0o600);
  return server;
}

/** Listens on a TCP port for everybody, to be read only. Resolves with the port. `token`: null where nothing is asked for. */
export async function listenOnPort(
  host: string,
  port: number,
  surface: ControlSurface,
  token: TokenFile | null,
): Promise<number> {
  const guarded = withEffort(surface);
  const server = createProbeServer((request, response) =>
    inBackground(serveStranger(request, response, guarded, token)),
  );
  server.listen(port, host);
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

async function serveStranger(
  request: IncomingMessage,
  response: ServerResponse,
  surface: ControlSurface,
  token: TokenFile | null,
): Promise<void> {
  // A body is of no use here, and is not waited for.
  if (request.method !== 'GET' && request.method !== 'HEAD') response.shouldKeepAlive = false;
  const path = (request.url ?? '/').split('?')[0]!;
  const open = token === null || path === '/healthz' || path === '/readyz';
  if (!open) {
    const objection = await token.objectionTo(request.headers.authorization);
    if (objection !== null) {
      response.writeHead(401, { 'content-type': TEXT, 'www-authenticate': 'Bearer' });
      response.end(`${objection}\n`);
      return;
    }
  }
  await serve(request, response, surface, false);
}

/** The same, with answers that take work from some a second on repeated instead of made anew. */
function withEffort(surface: ControlSurface): ControlSurface {
  return { ...surface, status: sparingly(surface.status), metrics: sparingly(surface.metrics) };
}

async function serve(
  request: IncomingMessage,
  response: ServerResponse,
  surface: ControlSurface,
  mayChange: boolean,
): Promise<void> {
  let answer: Answer;
  try {
    answer = await answerTo(request, surface, mayChange);
  } catch (error) {
    answer = text(500, (error as Error).message);
  }
  response.writeHead(answer.status, { 'content-type': answer.type });
  response.end(answer.body);
}

async function answerTo(
  request: IncomingMessage,
  surface: ControlSurface,
  mayChange: boolean,
): Promise<Answer> {
  const path = (request.url ?? '/').split('?')[0];
  const reading = request.method === 'GET' || request.method === 'HEAD';
  switch (path) {
    case '/status':
      return reading ? json(200, surface.status()) : notAllowed('GET');
    case '/metrics':
      return reading
        ? { status: 200, type: 'text/plain; version=0.0.4', body: await surface.metrics() }
        : notAllowed('GET');
    case '/healthz': {
      if (!reading) return notAllowed('GET');
      const reason = surface.whyNotHealthy();
      return reason === null ? text(200, 'ok') : text(503, reason);
    }
    case '/readyz': {
      const reason = surface.whyNotReady();
      return reason === null ? text(200, 'ok') : text(503, reason);
    }
    case '/check': {
      if (!reading) return notAllowed('GET');
      const home = new URL(request.url ?? '/', 'http://server').searchParams.get('home');
      if (home !== null && !surface.homes.includes(home))
        return text(404, `There is no disk set "${home}" here.`);
      return json(200, await surface.check(home));
    }
    case '/maintenance':
      if (!mayChange) return text(403, 'This port is for reading; use the control socket.');
      return request.method === 'POST' ? maintain(request, surface) : notAllowed('POST');
    case '/takeover':
    case '/giveback':
      if (!mayChange) return text(403, 'This port is for reading; use the control socket.');
      if (request.method !== 'POST') return notAllowed('POST');
      return ask(path === '/takeover' ? 'takeover' : 'giveback', request, surface);
    default:
      return text(404, 'There is /status, /metrics, /healthz, /readyz, /takeover and /giveback.');
  }
}

async function ask(
  kind: 'takeover' | 'giveback',
  request: IncomingMessage,
  surface: ControlSurface,
): Promise<Answer> {
  const read = await readBody(request);
  if (read === null) return text(413, `A request's body has ${BODY_MAX} bytes at most.`);
  let value: unknown = {};
  try {
    if (read.trim() !== '') value = JSON.parse(read);
  } catch {
    return text(400, 'The body is not JSON.');
  }
  const parsed = body.safeParse(value);
  if (!parsed.success) return text(400, 'The body is {"home"?: "...", "reason"?: "..."}.');
  const home = parsed.data.home ?? null;
  if (home !== null && !surface.homes.includes(home)) {
    return text(404, `There is no disk set "${home}" here; there are ${surface.homes.join(' and ')}.`);
  }
  const { reason = '', force, override } = parsed.data;
  if (force && reason === '') return text(400, 'Force needs a reason: it is recorded.');
  const result = await surface.request(kind, home, { reason, force, override });
  return json(result.result === 'done' ? 200 : 409, result);
}

async function maintain(request: IncomingMessage, surface: ControlSurface): Promise<Answer> {
  const read = await readBody(request);
  const parsed = maintenanceBody.safeParse(read === null ? null : parseJson(read));
  if (!parsed.success) return text(400, 'The body is {"on": true, "reason": "..."} or {"on": false}.');
  const reason = parsed.data.on ? parsed.data.reason : null;
  const missing = await surface.setMaintenance(reason);
  return missing === null ? json(200, { maintenance: reason }) : text(503, missing);
}

function parseJson(read: string): unknown {
  try {
    return JSON.parse(read);
  } catch {
    return undefined;
  }
}

async function readBody(request: IncomingMessage): Promise<string | null> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > BODY_MAX) return null;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function json(status: number, value: unknown): Answer {
  return { status, type: 'application/json', body: `${JSON.stringify(value, null, 2)}\n` };
}

function text(status: number, message: string): Answer {
  return { status, type: TEXT, body: `${message}\n` };
}

function notAllowed(method: string): Answer {
  return text(405, `Use ${method}.`);
}
