/**
 * The Kubernetes API as raw JSON: what we send is what arrives, what arrives is what we see. One method for each verb that
 * FilerPair uses; every failure is an ApiError that says whether the request can have been executed.
 */

import { ApiError, errorFromAnswer, errorFromStatus } from './api-error.ts';
import type { Connection } from './connection.ts';
import { LineSplitter } from './line-splitter.ts';
import type { KubernetesList, KubernetesObject, MergePatch } from './objects.ts';
import { apiVersionOf, pathOf, type Resource, resources } from './resource.ts';

export interface ObjectName {
  readonly namespace?: string | undefined;
  readonly name: string;
}

export interface CallOptions {
  /** ms until the whole answer is there; default 10,000. */
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly subresource?: 'status' | undefined;
  /** The API server does everything but store the result. */
  readonly dryRun?: boolean | undefined;
}

export interface Selection {
  /** Absent: all namespaces. */
  readonly namespace?: string | undefined;
  readonly labelSelector?: string | undefined;
  readonly fieldSelector?: string | undefined;
}

export type WatchEvent<T extends KubernetesObject> =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: T }
  | { readonly type: 'BOOKMARK'; readonly resourceVersion: string };

export interface WatchOptions extends Selection {
  readonly resourceVersion: string;
  /** The server ends the watch after this many seconds. */
  readonly timeoutSeconds: number;
  /** ms without a byte (the API sends a bookmark about once a minute) after which the connection counts as dead. */
  readonly idleMsMax: number;
  readonly signal: AbortSignal;
}

/** Told of every request that got an answer: its method (WATCH for a watch) and the HTTP status. */
export type OnAnswer = (verb: string, status: number) => void;

const TIMEOUT_MS_DEFAULT = 10_000;
const LIST_PAGE_SIZE = 500;
const WATCH_LINE_SIZE_MAX = 8 * 1024 * 1024;

export class KubernetesClient {
  readonly #connection: Connection;
  readonly #onAnswer: OnAnswer;

  constructor(connection: Connection, onAnswer: OnAnswer = () => undefined) {
    this.#connection = connection;
    this.#onAnswer = onAnswer;
  }

  /** Requests from now on go over new connections: see Connection.renew(). */
  renewConnections(): void {
    this.#connection.renew();
  }

  get<T extends KubernetesObject>(resource: Resource, at: ObjectName, options?: CallOptions): Promise<T> {
    return this.#call('GET', pathOf(resource, at.namespace, at.name, options?.subresource), options);
  }

  /** All pages of a list; `metadata.resourceVersion` is where a watch continues. */
  async list<T extends KubernetesObject>(
    resource: Resource,
    selection: Selection = {},
    options?: CallOptions,
  ): Promise<KubernetesList<T>> {
    const items: T[] = [];
    let metadata: KubernetesList<T>['metadata'] = {};
    for await (const page of this.pages<T>(resource, selection, options)) {
      items.push(...page.items);
      metadata = page.metadata;
    }
    return { metadata, items };
  }

  /** The same page by page, for who keeps a part of each object only. */
  async *pages<T extends KubernetesObject>(
    resource: Resource,
    selection: Selection = {},
    options?: CallOptions,
  ): AsyncGenerator<KubernetesList<T>, void, void> {
    let next: string | undefined;
    do {
      const query = selectionQuery(selection);
      query.set('limit', String(LIST_PAGE_SIZE));
      if (next) query.set('continue', next);
      const path = `${pathOf(resource, selection.namespace)}?${query}`;
      const { metadata, items } = await this.#call<KubernetesList<T>>('GET', path, options);
      // Items of a list come without what is the same for all of them; objects of a watch have it.
      const common = { apiVersion: apiVersionOf(resource), kind: resource.kind };
      yield { metadata, items: (items ?? []).map((item) => ({ ...common, ...item })) };
      next = metadata.continue;
    } while (next);
  }

  /** The resourceVersion of the whole store at this moment: a list of one object, since no other call tells it. */
  async versionNow(resource: Resource, selection: Selection, options?: CallOptions): Promise<string> {
    const query = selectionQuery(selection);
    query.set('limit', '1');
    const path = `${pathOf(resource, selection.namespace)}?${query}`;
    const { metadata } = await this.#call<KubernetesList<KubernetesObject>>('GET', path, options);
    return metadata.resourceVersion ?? '';
  }

  create<T extends KubernetesObject>(resource: Resource, object: T, options?: CallOptions): Promise<T> {
    const path = `${pathOf(resource, object.metadata.namespace)}${options?.dryRun ? '?dryRun=All' : ''}`;
    return this.#call('POST', path, options, JSON.stringify(object));
  }

  /** Compare-and-swap: `metadata.resourceVersion` has to be there, a 409 (`isConflict`) says that another was first. */
  async replace<T extends KubernetesObject>(
    resource: Resource,
    object: T,
    options?: CallOptions,
  ): Promise<T> {
    const { name, namespace, resourceVersion } = object.metadata;
    if (name === undefined || resourceVersion === undefined)
      throw new Error('replace is a compare-and-swap: it needs metadata.name and metadata.resourceVersion');
    const path = pathOf(resource, namespace, name, options?.subresource);
    return this.#call('PUT', path, options, JSON.stringify(object));
  }

  /** RFC 7386; with `metadata.resourceVersion` inside the patch it is a compare-and-swap too. */
  mergePatch<T extends KubernetesObject>(
    resource: Resource,
    at: ObjectName,
    patch: MergePatch,
    options?: CallOptions,
  ): Promise<T> {
    const object = pathOf(resource, at.namespace, at.name, options?.subresource);
    const path = `${object}${options?.dryRun ? '?dryRun=All' : ''}`;
    return this.#call('PATCH', path, options, JSON.stringify(patch), 'application/merge-patch+json');
  }

  /**
   * Server-side apply: the object holds exactly the fields that `fieldManager` wants to own; fields of others stay.
   * Forced, as a controller must: it is the one that knows what these fields should be.
   */
  apply<T extends KubernetesObject>(
    resource: Resource,
    object: T,
    fieldManager: string,
    options?: CallOptions,
  ): Promise<T> {
    const { name, namespace } = object.metadata;
    if (name === undefined) throw new Error(`apply ${resource.kind}: metadata.name is needed`);
    const query = new URLSearchParams({ fieldManager, force: 'true' });
    const path = `${pathOf(resource, namespace, name, options?.subresource)}?${query}`;
    // The content type says YAML; JSON is YAML, and every API server since 1.16 takes it.
    return this.#call('PATCH', path, options, JSON.stringify(object), 'application/apply-patch+yaml');
  }

  /** The log of a container, as text. */
  async log(of: {
    readonly namespace: string;
    readonly name: string;
    readonly container: string;
    /** The log is that of the run before the present one. */
    readonly previous?: boolean | undefined;
    readonly tailLines?: number | undefined;
  }): Promise<string> {
    const query = new URLSearchParams({ container: of.container });
    if (of.previous === true) query.set('previous', 'true');
    if (of.tailLines !== undefined) query.set('tailLines', String(of.tailLines));
    const path = `${pathOf(resources.pods, of.namespace, of.name, 'log')}?${query}`;
    const answer = await this.#connection.send({ method: 'GET', path, timeoutMs: TIMEOUT_MS_DEFAULT });
    this.#onAnswer('GET', answer.status);
    if (answer.status === 200) return answer.body;
    throw errorFromAnswer(`GET ${path}`, answer.status, answer.body, answer.headers['retry-after']);
  }

  /** Metrics that a pod has for Prometheus, through the API server: the right to get pods/proxy. */
  async podMetrics(of: {
    readonly namespace: string;
    readonly name: string;
    readonly port: number;
  }): Promise<string> {
    const path = `${pathOf(resources.pods, of.namespace, `${of.name}:${of.port}`, 'proxy')}/metrics`;
    const answer = await this.#connection.send({ method: 'GET', path, timeoutMs: TIMEOUT_MS_DEFAULT });
    this.#onAnswer('GET', answer.status);
    if (answer.status === 200) return answer.body;
    throw errorFromAnswer(`GET ${path}`, answer.status, answer.body, answer.headers['retry-after']);
  }

  /** Deletes the very object that was seen, if `uid` is given, and not a namesake made since. */
  async delete(
    resource: Resource,
    at: ObjectName,
    preconditions: {
      readonly uid?: string | undefined;
      readonly gracePeriodSeconds?: number | undefined;
    } = {},
    options?: CallOptions,
  ): Promise<void> {
    const { uid, gracePeriodSeconds } = preconditions;
    const body = {
      kind: 'DeleteOptions',
      apiVersion: 'v1',
      propagationPolicy: 'Background',
      ...(uid === undefined ? {} : { preconditions: { uid } }),
      ...(gracePeriodSeconds === undefined ? {} : { gracePeriodSeconds }),
    };
    await this.#call('DELETE', pathOf(resource, at.namespace, at.name), options, JSON.stringify(body));
  }

  /**
   * Events after `resourceVersion`, until the server ends the watch (the iterator then ends), the signal is aborted
   * (it ends too), or something fails: an {@link ApiError}; `isGone` asks for a new list.
   */
  async *watch<T extends KubernetesObject>(
    resource: Resource,
    options: WatchOptions,
  ): AsyncGenerator<WatchEvent<T>, void, void> {
    const query = selectionQuery(options);
    query.set('watch', 'true');
    query.set('allowWatchBookmarks', 'true');
    query.set('resourceVersion', options.resourceVersion);
    query.set('timeoutSeconds', String(options.timeoutSeconds));
    const path = `${pathOf(resource, options.namespace)}?${query}`;
    const what = `watch ${resource.plural}`;
    const response = await this.#connection.open({
      method: 'GET',
      path,
      timeoutMs: TIMEOUT_MS_DEFAULT,
      signal: options.signal,
    });
    this.#onAnswer('WATCH', response.statusCode ?? 0);
    const stop = (): void => {
      response.destroy();
    };
    options.signal.addEventListener('abort', stop, { once: true });
    response.socket?.setNoDelay(true);
    const idle = setTimeout(() => {
      response.destroy(new Error(`silent for ${options.idleMsMax} ms`));
    }, options.idleMsMax);
    try {
      if (response.statusCode !== 200)
        throw errorFromAnswer(
          what,
          response.statusCode ?? 0,
          await readShort(response),
          response.headers['retry-after'],
        );
      const lines = new LineSplitter(WATCH_LINE_SIZE_MAX);
      for await (const chunk of response as AsyncIterable<Buffer>) {
        idle.refresh();
        for (const line of lines.push(chunk)) yield parseEvent<T>(what, line);
      }
      // A cut line is a broken connection, and its event comes again after the last complete one.
    } catch (error) {
      if (options.signal.aborted) return;
      if (error instanceof ApiError) throw error;
      throw new ApiError({
        outcome: 'unknown',
        reason: 'WatchBroken',
        message: `${what}: ${error instanceof Error ? error.message : String(error)}`,
        cause: error,
      });
    } finally {
      clearTimeout(idle);
      options.signal.removeEventListener('abort', stop);
      response.destroy();
    }
  }

  async #call<T>(
    method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE',
    path: string,
    options: CallOptions | undefined,
    body?: string,
    contentType?: string,
  ): Promise<T> {
    const answer = await this.#connection.send({
      method,
      path,
      body,
      contentType,
      timeoutMs: options?.timeoutMs ?? TIMEOUT_MS_DEFAULT,
      signal: options?.signal,
    });
    this.#onAnswer(method, answer.status);
    const what = `${method} ${path}`;
    if (answer.status < 200 || answer.status > 299)
      throw errorFromAnswer(what, answer.status, answer.body, answer.headers['retry-after']);
    try {
      return JSON.parse(answer.body) as T;
    } catch (cause) {
      throw new ApiError({
        outcome: 'unknown',
        status: answer.status,
        reason: 'NotJson',
        message: `${what}: the answer is not JSON`,
        cause,
      });
    }
  }
}

function selectionQuery(selection: Selection): URLSearchParams {
  const query = new URLSearchParams();
  if (selection.labelSelector !== undefined) query.set('labelSelector', selection.labelSelector);
  if (selection.fieldSelector !== undefined) query.set('fieldSelector', selection.fieldSelector);
  return query;
}

function parseEvent<T extends KubernetesObject>(what: string, line: string): WatchEvent<T> {
  let event: { readonly type?: unknown; readonly object?: unknown };
  try {
    event = JSON.parse(line) as typeof event;
  } catch (cause) {
    throw new ApiError({
      outcome: 'unknown',
      reason: 'NotJson',
      message: `${what}: a line that is not JSON: ${line.slice(0, 200)}`,
      cause,
    });
  }
  const object = event.object as T | undefined;
  switch (event.type) {
    case 'ADDED':
    case 'MODIFIED':
    case 'DELETED':
      if (object?.metadata === undefined) break;
      return { type: event.type, object };
    case 'BOOKMARK':
      if (object?.metadata?.resourceVersion === undefined) break;
      return { type: 'BOOKMARK', resourceVersion: object.metadata.resourceVersion };
    case 'ERROR':
      throw errorFromStatus(what, event.object);
  }
  throw new ApiError({
    outcome: 'unknown',
    reason: 'UnknownEvent',
    message: `${what}: an event that makes no sense: ${line.slice(0, 200)}`,
  });
}

/** The text of an error answer, as far as one wants to see it. */
async function readShort(response: AsyncIterable<Buffer>): Promise<string> {
  let text = '';
  for await (const chunk of response) {
    text += chunk.toString('utf8');
    if (text.length > 64 * 1024) break;
  }
  return text;
}
