import { afterEach, describe, expect, test } from 'vitest';
import { ApiError, isAlreadyExists, isConflict, isNotFound } from './api-error.ts';
import { Connection } from './connection.ts';
import { failure, type Handler, type HttpApi, json, startHttpApi } from './http-api.fixture.ts';
import type { Lease } from './objects.ts';
import { resources } from './resource.ts';

let api: HttpApi | undefined;
afterEach(async () => {
  await api?.close();
  api = undefined;
});
const start = async (handler: Handler): Promise<HttpApi> => (api = await startHttpApi(handler));
const caught = async (promise: Promise<unknown>): Promise<ApiError> => {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(ApiError);
  return error as ApiError;
};
const at = { namespace: 'storage', name: 'home-filer-a' };

describe('requests', () => {
  test('carry the credentials, the path of the resource and the raw object, unknown fields included', async () => {
    const { client, seen } = await start((_, response) => json(response, 200, { metadata: { name: 'x' } }));
    const lease = {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { ...at, resourceVersion: '7' },
      spec: { renewTime: '2026-11-23T03:54:55.123456Z', futureField: { kept: true } },
    };
    await client.replace(resources.leases, lease);
    expect(seen[0]).toMatchObject({
      method: 'PUT',
      path: '/apis/coordination.k8s.io/v1/namespaces/storage/leases/home-filer-a',
    });
    expect(seen[0]!.headers.authorization).toBe('Bearer first');
    expect(JSON.parse(seen[0]!.body)).toEqual(lease);
  });

  test('merge patch, apply and delete name their content types and options', async () => {
    const { client, seen } = await start((_, response) => json(response, 200, { metadata: {} }));
    await client.mergePatch(resources.leases, at, { metadata: { annotations: { gone: null } } });
    await client.apply(resources.pods, { metadata: { name: 'p', namespace: 'n' } }, 'filerpair-operator');
    await client.apply(
      resources.filerPairs,
      { metadata: { name: 'p', namespace: 'n' } },
      'filerpair-operator',
      {
        subresource: 'status',
      },
    );
    await client.delete(resources.pods, { namespace: 'n', name: 'p' }, { uid: 'u1', gracePeriodSeconds: 0 });
    expect(seen.map((one) => [one.method, one.path, one.headers['content-type']])).toEqual([
      [
        'PATCH',
        '/apis/coordination.k8s.io/v1/namespaces/storage/leases/home-filer-a',
        'application/merge-patch+json',
      ],
      ['PATCH', '/api/v1/namespaces/n/pods/p', 'application/apply-patch+yaml'],
      [
        'PATCH',
        '/apis/filerpair.dev/v1beta1/namespaces/n/filerpairs/p/status',
        'application/apply-patch+yaml',
      ],
      ['DELETE', '/api/v1/namespaces/n/pods/p', 'application/json'],
    ]);
    expect(seen[1]!.query.get('fieldManager')).toBe('filerpair-operator');
    expect(seen[1]!.query.get('force')).toBe('true');
    expect(JSON.parse(seen[3]!.body)).toMatchObject({ preconditions: { uid: 'u1' }, gracePeriodSeconds: 0 });
  });

  test('reuse one connection', async () => {
    const { client, connections } = await start((_, response) => json(response, 200, { metadata: {} }));
    for (let i = 0; i < 5; i++) await client.get(resources.leases, at);
    expect(connections()).toBe(1);
  });

  test('a list follows its pages', async () => {
    const { client } = await start((seen, response) =>
      seen.query.get('continue') === 'page2'
        ? json(response, 200, { metadata: { resourceVersion: '9' }, items: [{ metadata: { name: 'b' } }] })
        : json(response, 200, {
            metadata: { resourceVersion: '9', continue: 'page2' },
            items: [{ metadata: { name: 'a' } }],
          }),
    );
    const list = await client.list(resources.pods, { namespace: 'n' });
    // With what the API leaves out of a list's items, so that they look like those of a watch.
    expect(list.items).toEqual([
      { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'a' } },
      { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'b' } },
    ]);
    expect(list.metadata.resourceVersion).toBe('9');
  });

  test('a replace without resourceVersion is no compare-and-swap and is not sent', async () => {
    const { client, seen } = await start((_, response) => json(response, 200, {}));
    await expect(client.replace(resources.leases, { metadata: at })).rejects.toThrow('resourceVersion');
    expect(seen).toHaveLength(0);
  });

  test('after a 401 the credentials are loaded again, once', async () => {
    const started = await start((seen, response) => {
      if (seen.headers.authorization === 'Bearer second') return json(response, 200, { metadata: {} });
      started.token = 'second';
      json(response, 401, failure(401, 'Unauthorized'));
    });
    await started.client.get(resources.leases, at);
    expect(started.seen.map((one) => one.headers.authorization)).toEqual(['Bearer first', 'Bearer second']);
  });

  test('the call after one that timed out goes over a new connection', async () => {
    const { client, freezeStanding } = await start((_, response) => json(response, 200, { metadata: {} }));
    await Promise.all([client.get(resources.leases, at), client.get(resources.leases, at)]);
    freezeStanding();
    expect((await caught(client.get(resources.leases, at, { timeoutMs: 50 }))).reason).toBe('Timeout');
    await client.get(resources.leases, at, { timeoutMs: 1000 });
  });

  test('connections that are exchanged end with their requests: what is under way is answered', async () => {
    const answers: (() => void)[] = [];
    const { client, connection, connections } = await start((_, response) => {
      answers.push(() => json(response, 200, { metadata: {} }));
    });
    const underWay = client.get(resources.leases, at);
    await expect.poll(() => answers.length).toBe(1);
    connection.renew();
    answers[0]!();
    await underWay;
    const next = client.get(resources.leases, at);
    await expect.poll(() => answers.length).toBe(2);
    answers[1]!();
    await next;
    expect(connections()).toBe(2);
  });
});

describe('a failure says whether the request can have been executed', () => {
  test('conflict: refused, and told apart from AlreadyExists', async () => {
    let reason = 'Conflict';
    const { client } = await start((_, response) => json(response, 409, failure(409, reason, 'modified')));
    const lease: Lease = { metadata: { ...at, resourceVersion: '1' } };
    const conflict = await caught(client.replace(resources.leases, lease));
    expect([conflict.outcome, isConflict(conflict), isAlreadyExists(conflict)]).toEqual([
      'refused',
      true,
      false,
    ]);
    reason = 'AlreadyExists';
    const exists = await caught(client.create(resources.leases, lease));
    expect([exists.outcome, isConflict(exists), isAlreadyExists(exists)]).toEqual(['refused', false, true]);
  });

  test('not found, and a throttled request with the time to wait', async () => {
    const { client } = await start((seen, response) =>
      seen.method === 'GET'
        ? json(response, 404, failure(404, 'NotFound'))
        : json(response, 429, failure(429, 'TooManyRequests'), { 'retry-after': '3' }),
    );
    expect(isNotFound(await caught(client.get(resources.leases, at)))).toBe(true);
    const throttled = await caught(client.mergePatch(resources.leases, at, {}));
    expect([throttled.outcome, throttled.retryAfterMs]).toEqual(['refused', 3000]);
  });

  test('5xx: unknown, since etcd may have taken the write', async () => {
    const { client } = await start((_, response) => {
      response.writeHead(504);
      response.end('<html>gateway</html>');
    });
    const error = await caught(client.mergePatch(resources.leases, at, {}));
    expect([error.outcome, error.status, error.reason]).toEqual(['unknown', 504, 'Http504']);
  });

  test('connection refused: not sent', async () => {
    const { client, close } = await startHttpApi(() => undefined);
    await close();
    const error = await caught(client.mergePatch(resources.leases, at, {}));
    expect([error.outcome, error.reason]).toEqual(['notSent', 'ECONNREFUSED']);
  });

  test('credentials that cannot be had: not sent', async () => {
    const { KubernetesClient } = await import('./client.ts');
    const client = new KubernetesClient(
      new Connection(() => Promise.reject(new Error('no such file: /kubeconfig'))),
    );
    const error = await caught(client.mergePatch(resources.leases, at, {}));
    expect(error.outcome).toBe('notSent');
    expect(error.message).toContain('no such file: /kubeconfig');
  });

  test('no answer in time: unknown', async () => {
    const { client } = await start(() => undefined);
    const error = await caught(client.mergePatch(resources.leases, at, {}, { timeoutMs: 50 }));
    expect([error.outcome, error.reason]).toEqual(['unknown', 'Timeout']);
  });

  test('an answer whose body stalls: unknown', async () => {
    const { client } = await start((_, response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.write('{"metadata":');
    });
    const error = await caught(client.mergePatch(resources.leases, at, {}, { timeoutMs: 80 }));
    expect([error.outcome, error.reason]).toEqual(['unknown', 'Timeout']);
  });

  test('connection reset after the request: unknown', async () => {
    const { client } = await start((_, response) => response.socket?.resetAndDestroy());
    expect(await caught(client.mergePatch(resources.leases, at, {}))).toMatchObject({ outcome: 'unknown' });
  });

  test('answer cut off: unknown', async () => {
    const { client } = await start((_, response) => {
      response.writeHead(200, { 'content-length': 100 });
      response.write('{"metadata":');
      setImmediate(() => response.socket?.destroy());
    });
    expect(await caught(client.mergePatch(resources.leases, at, {}))).toMatchObject({ outcome: 'unknown' });
  });

  test('a kept-alive connection that breaks: a read is repeated, a write is not', async () => {
    let breakNext = false;
    const { client, seen } = await start((_, response) => {
      if (breakNext) {
        breakNext = false;
        response.socket?.resetAndDestroy();
      } else json(response, 200, { metadata: {} });
    });
    await client.get(resources.leases, at);
    breakNext = true;
    await client.get(resources.leases, at);
    expect(seen).toHaveLength(3);
    breakNext = true;
    expect(await caught(client.mergePatch(resources.leases, at, {}))).toMatchObject({ outcome: 'unknown' });
    expect(seen).toHaveLength(4);
  });
});
