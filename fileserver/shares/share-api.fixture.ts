/**
 * FilerShares as an API server keeps them, over real HTTP: lists in pages, watches with a field selector, statuses by server-side
 * apply. The test creates, changes and deletes.
 */

import type { ServerResponse } from 'node:http';
import { failure, type HttpApi, json, type Seen, startHttpApi } from '../../kubernetes/http-api.fixture.ts';
import type { ShareObject, ShareStatus } from './share-object.ts';

export class ShareApi {
  readonly api: HttpApi;
  readonly shares: Map<string, ShareObject>;
  /** Names, in the order of the writes of their statuses. */
  readonly statusWrites: string[];
  /** Writes of statuses that are not answered yet, and how many those were at most. */
  inFlight = 0;
  inFlightMax = 0;
  /** Of each write of a status, ms. */
  statusDelayMs = 0;
  /** HTTP status of every answer until it is 200 again. */
  answers = 200;
  #version = 1000;
  /** What watches that come later have to be told. */
  readonly #events: { readonly version: number; readonly pair: string; readonly line: string }[];
  readonly #watchers: Set<{ pair: string; response: ServerResponse }>;

  private constructor(api: HttpApi) {
    this.api = api;
    this.shares = new Map();
    this.statusWrites = [];
    this.#events = [];
    this.#watchers = new Set();
  }

  static async start(): Promise<ShareApi> {
    const handlers: ((seen: Seen, response: ServerResponse) => void)[] = [];
    const api = await startHttpApi((seen, response) => handlers[0]?.(seen, response));
    const shares = new ShareApi(api);
    handlers.push((seen, response) => shares.#answer(seen, response));
    return shares;
  }

  async close(): Promise<void> {
    await this.api.close();
  }

  /** Ends all watches, as an API server that goes away. */
  cut(): void {
    for (const { response } of this.#watchers) response.destroy();
  }

  put(name: string, spec: Partial<ShareObject['spec']> = {}, metadata: object = {}): ShareObject {
    const before = this.shares.get(name);
    const share: ShareObject = {
      apiVersion: 'filerpair.dev/v1beta1',
      kind: 'FilerShare',
      metadata: {
        namespace: 'storage',
        name,
        uid: before?.metadata.uid ?? `uid-${name}-${this.#version}`,
        generation: (before?.metadata.generation ?? 0) + 1,
        creationTimestamp: before?.metadata.creationTimestamp ?? '2026-11-30T12:00:00Z',
        managedFields: [{ manager: 'kubectl' }],
        ...metadata,
      } as ShareObject['metadata'],
      spec: { pairRef: { name: 'nas' }, server: 'filer-a', clients: ['127.0.0.0/8'], ...spec },
      ...(before?.status === undefined ? {} : { status: before.status }),
    };
    return this.#store(share);
  }

  /** With a finalizer it stays, marked. */
  delete(name: string): void {
    const share = this.shares.get(name)!;
    const { metadata } = share;
    if ((metadata.finalizers ?? []).length > 0) {
      const deletionTimestamp = '2026-11-30T13:00:00Z';
      this.#store({ ...share, metadata: { ...metadata, deletionTimestamp } });
      return;
    }
    this.shares.delete(name);
    this.#tell('DELETED', { ...share, metadata: { ...metadata, resourceVersion: String(++this.#version) } });
  }

  /** By the operator; the last one lets a deleted share go. */
  removeFinalizers(name: string): void {
    const share = this.shares.get(name)!;
    const { finalizers: _, ...metadata } = share.metadata;
    this.shares.set(name, { ...share, metadata });
    if (metadata.deletionTimestamp !== undefined) this.delete(name);
  }

  condition(name: string, type: string): string {
    const found = this.shares.get(name)?.status?.conditions?.find((one) => one.type === type);
    return found === undefined ? '' : `${found.status} ${found.reason}`;
  }

  message(name: string, type: string): string {
    return this.shares.get(name)?.status?.conditions?.find((one) => one.type === type)?.message ?? '';
  }

  setStatus(name: string, status: ShareStatus): void {
    this.#store({ ...this.shares.get(name)!, status });
  }

  #store(share: ShareObject): ShareObject {
    const metadata = { ...share.metadata, resourceVersion: String(++this.#version) };
    const stored = { ...share, metadata };
    const isNew = !this.shares.has(share.metadata.name!);
    this.shares.set(share.metadata.name!, stored);
    this.#tell(isNew ? 'ADDED' : 'MODIFIED', stored);
    return stored;
  }

  #tell(type: string, object: ShareObject): void {
    const line = `${JSON.stringify({ type, object })}\n`;
    const of = object.spec.pairRef.name;
    this.#events.push({ version: this.#version, pair: of, line });
    for (const { pair, response } of this.#watchers) if (of === pair) response.write(line);
  }

  #answer(seen: Seen, response: ServerResponse): void {
    if (this.answers !== 200) {
      json(response, this.answers, failure(this.answers, 'Unavailable'));
      return;
    }
    const pair = (seen.query.get('fieldSelector') ?? '').replace('spec.pairRef.name=', '');
    if (seen.method === 'PATCH') {
      this.#apply(seen, response);
      return;
    }
    if (seen.query.get('watch') === 'true') {
      const watcher = { pair, response };
      response.writeHead(200, { 'content-type': 'application/json' });
      response.flushHeaders();
      const from = Number(seen.query.get('resourceVersion'));
      for (const event of this.#events)
        if (event.pair === pair && event.version > from) response.write(event.line);
      this.#watchers.add(watcher);
      response.on('close', () => this.#watchers.delete(watcher));
      return;
    }
    const all = [...this.shares.values()].filter(({ spec }) => spec.pairRef.name === pair);
    const from = Number(seen.query.get('continue') ?? 0);
    const to = from + Number(seen.query.get('limit'));
    const metadata = {
      resourceVersion: String(this.#version),
      ...(to < all.length ? { continue: String(to) } : {}),
    };
    json(response, 200, { metadata, items: all.slice(from, to) });
  }

  #apply(seen: Seen, response: ServerResponse): void {
    const [name, subresource] = seen.path.split('/').slice(-2);
    const sent = JSON.parse(seen.body) as ShareObject;
    this.inFlight += 1;
    this.inFlightMax = Math.max(this.inFlightMax, this.inFlight);
    setTimeout(() => {
      this.inFlight -= 1;
      const share = this.shares.get(name!);
      if (subresource !== 'status' || seen.query.get('fieldManager') !== 'filerpair-server')
        return json(response, 403, failure(403, 'Forbidden'));
      if (share === undefined) return json(response, 404, failure(404, 'NotFound'));
      if (sent.metadata.uid !== share.metadata.uid) return json(response, 409, failure(409, 'Conflict'));
      this.statusWrites.push(name!);
      return json(response, 200, this.#store({ ...share, status: sent.status! }));
    }, this.statusDelayMs);
  }
}
