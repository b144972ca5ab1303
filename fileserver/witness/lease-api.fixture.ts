/**
 * Leases as an API server keeps them, over real HTTP, for the tests of what writes them: resourceVersion grows with every write,
 * a PUT with another one is a 409, watches deliver every change. The test gives faults.
 */

import type { ServerResponse } from 'node:http';
import { type HttpApi, json, type Seen, startHttpApi } from '../../kubernetes/http-api.fixture.ts';
import type { Lease } from '../../kubernetes/objects.ts';

/** What happens to a write: `lose` executes it and loses the answer, `drop` loses the request. */
export type Fault = 'lose' | 'drop' | 'forbid' | null;

export interface LeaseApi {
  readonly api: HttpApi;
  /** The Lease as it is now. */
  lease(name: string): Lease;
  /** A write by someone else, beside the servers. */
  annotate(name: string, annotations: Record<string, string>): void;
  /** Deleted by someone. */
  remove(name: string): void;
  /** Watches that are open. */
  watches(): number;
  /** Decides about each PUT. */
  fault: (seen: Seen) => Fault;
}

export async function startLeaseApi(names: readonly string[]): Promise<LeaseApi> {
  let version = 100;
  const leases = new Map<string, Lease>();
  const watchers = new Set<{ name: string; response: ServerResponse }>();
  const store = (lease: Lease): Lease => {
    const name = lease.metadata.name!;
    const stored = { ...lease, metadata: { ...lease.metadata, resourceVersion: String(++version) } };
    leases.set(name, stored);
    for (const watcher of watchers) {
      if (watcher.name === name)
        watcher.response.write(`${JSON.stringify({ type: 'MODIFIED', object: stored })}\n`);
    }
    return stored;
  };
  for (const name of names) {
    store({
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { name, namespace: 'storage', uid: `uid-${name}`, labels: { kept: 'yes' } },
      spec: { leaseTransitions: 0 },
    });
  }
  const api = await startHttpApi((seen, response) => {
    const name = seen.path.split('/').at(-1)!;
    if (seen.method === 'PUT') return replace(seen, response, name);
    if (seen.query.get('watch') === 'true') return watch(seen, response);
    const wanted = seen.query.get('fieldSelector')?.split('=')[1];
    if (wanted !== undefined) {
      return json(response, 200, {
        metadata: { resourceVersion: String(version) },
        items: [leases.get(wanted)],
      });
    }
    const lease = leases.get(name);
    if (lease === undefined) return json(response, 404, { reason: 'NotFound', message: 'no such Lease' });
    return json(response, 200, lease);
  });
  const watch = (seen: Seen, response: ServerResponse): void => {
    const watcher = { name: seen.query.get('fieldSelector')!.split('=')[1]!, response };
    response.writeHead(200, { 'content-type': 'application/json' });
    response.flushHeaders();
    watchers.add(watcher);
    response.on('close', () => watchers.delete(watcher));
  };
  const replace = (seen: Seen, response: ServerResponse, name: string): void => {
    const fault = leaseApi.fault(seen);
    const wanted = JSON.parse(seen.body) as Lease;
    if (fault === 'drop') {
      response.destroy();
    } else if (fault === 'forbid') {
      json(response, 403, { reason: 'Forbidden', message: 'not allowed' });
    } else if (wanted.metadata.resourceVersion !== leases.get(name)?.metadata.resourceVersion) {
      json(response, 409, { reason: 'Conflict', message: 'the object has been modified' });
    } else {
      const stored = store(wanted);
      if (fault === 'lose') response.destroy();
      else json(response, 200, stored);
    }
  };
  const leaseApi: LeaseApi = {
    api,
    lease: (name) => leases.get(name)!,
    annotate: (name, annotations) => {
      const lease = leases.get(name)!;
      const all = { ...lease.metadata.annotations, ...annotations };
      store({ ...lease, metadata: { ...lease.metadata, annotations: all } });
    },
    remove: (name) => {
      const object = leases.get(name)!;
      leases.delete(name);
      for (const watcher of watchers)
        if (watcher.name === name) watcher.response.write(`${JSON.stringify({ type: 'DELETED', object })}\n`);
    },
    watches: () => watchers.size,
    fault: () => null,
  };
  return leaseApi;
}
