/** How actions become requests, and which refusals are told instead of tried again. Against a real HTTP server. */

import { afterEach, describe, expect, test } from 'vitest';
import { ApiError, isConflict } from '../../kubernetes/api-error.ts';
import {
  failure,
  type Handler,
  type HttpApi,
  json,
  startHttpApi,
} from '../../kubernetes/http-api.fixture.ts';
import type { Action } from '../model/action.ts';
import type { AuthorityFacts, ServerCertificateFacts } from '../model/certificate-upkeep.ts';
import { authorityFacts, type Secret, serverCertificateFacts } from '../watch/certificates.ts';
import { ExecutionProblem, Executor } from './executor.ts';

let api: HttpApi;
afterEach(() => api.close());
const start = async (handler: Handler): Promise<Executor> => {
  api = await startHttpApi(handler);
  return new Executor(api.client, 'operator-1');
};
const caught = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  );
const service: Action = {
  kind: 'apply',
  resource: 'services',
  expect: 'absent',
  why: 'it is missing',
  object: { metadata: { name: 'a', namespace: 'n', labels: { 'filerpair.dev/pair': 'home' } } },
};
const pod: Action & { kind: 'create' } = {
  kind: 'create',
  resource: 'pods',
  why: 'there is none',
  object: { metadata: { name: 'home-a-1', namespace: 'n' } },
};

test('a Service with a port that somebody has edited gets its ports whole, and is applied again', async () => {
  const ports = [{ name: 'nfs-2050', port: 2050 }];
  const portsAlone = JSON.stringify({ spec: { ports } });
  let valid = false;
  const executor = await start((seen, response) => {
    if (seen.method !== 'PATCH') return json(response, 500, failure(500, 'Unexpected'));
    if (seen.body === portsAlone) valid = true;
    return valid ? json(response, 200, { metadata: {} }) : json(response, 422, failure(422, 'Invalid'));
  });
  const object = { ...service.object, spec: { ports } };
  await executor.execute({ ...service, object, expect: 'ours' });
  expect(api.seen.map(({ body }) => body === portsAlone)).toEqual([false, true, false]);
});

test('another object that is not valid is told, not tried in another way', async () => {
  const executor = await start((_, response) => json(response, 422, failure(422, 'Invalid')));
  expect(await caught(executor.execute({ ...service, expect: 'ours' }))).toBeInstanceOf(ExecutionProblem);
  expect(api.seen).toHaveLength(1);
});

describe('apply of what was not seen', () => {
  test('looks first, and applies when there is nothing', async () => {
    const executor = await start((seen, response) =>
      seen.method === 'GET'
        ? json(response, 404, failure(404, 'NotFound'))
        : json(response, 201, { metadata: {} }),
    );
    await executor.execute(service);
    expect(api.seen.map(({ method }) => method)).toEqual(['GET', 'PATCH']);
  });

  test('takes back what lost its label: the owner reference says whose it is', async () => {
    const ownerReferences = [{ apiVersion: 'v1', kind: 'FilerPair', name: 'home', uid: 'pair-1' }];
    const executor = await start((_, response) =>
      json(response, 200, { metadata: { name: 'a', ownerReferences } }),
    );
    const { object } = service;
    const owned = { ...object, metadata: { ...object.metadata, ownerReferences } };
    await executor.execute({ ...service, object: owned });
    expect(api.seen.map(({ method }) => method)).toEqual(['GET', 'PATCH']);
  });

  test.each([
    [{}, 'was not made for a FilerPair'],
    [{ 'filerpair.dev/pair': 'other' }, 'belongs to FilerPair other'],
  ])('takes nothing over from others: %j', async (labels, says) => {
    const executor = await start((_, response) => json(response, 200, { metadata: { name: 'a', labels } }));
    const error = await caught(executor.execute(service));
    expect(error).toBeInstanceOf(ExecutionProblem);
    expect((error as ExecutionProblem).problem).toMatchObject({
      reason: 'NameTaken',
      message: expect.stringContaining(`Service a exists in namespace n and ${says}`),
    });
    expect(api.seen).toHaveLength(1);
  });

  test('goes on if it turns out to be ours: the cache was behind', async () => {
    const labels = { 'filerpair.dev/pair': 'home' };
    const executor = await start((_, response) => json(response, 200, { metadata: { labels } }));
    await executor.execute(service);
    expect(api.seen.map(({ method }) => method)).toEqual(['GET', 'PATCH']);
  });
});

describe('a refusal', () => {
  test.each([
    [403, 'Forbidden', 'Forbidden'],
    [422, 'Invalid', 'Rejected'],
  ])('%d %s has to be told', async (status, reason, told) => {
    const executor = await start((_, response) => json(response, status, failure(status, reason, 'not so')));
    const error = await caught(executor.execute(pod));
    expect(error).toBeInstanceOf(ExecutionProblem);
    expect((error as ExecutionProblem).problem).toMatchObject({
      reason: told,
      message: expect.stringContaining('Could not create Pod n/home-a-1'),
    });
  });

  test.each([
    [409, 'Conflict', 'the object has been modified'],
    [429, 'TooManyRequests', 'slow down'],
    [500, 'InternalError', 'etcd'],
    [403, 'Forbidden', 'unable to create new content in namespace n because it is being terminated'],
  ])('%d %s (%s) passes: tried again', async (status, reason, message) => {
    const executor = await start((_, response) => json(response, status, failure(status, reason, message)));
    expect(await caught(executor.execute(pod))).toBeInstanceOf(ApiError);
  });
});

test('creating a pod that an earlier attempt has made is success', async () => {
  const object = {
    ...pod.object,
    metadata: { ...pod.object.metadata, labels: { 'filerpair.dev/pair': 'home' } },
  };
  const executor = await start((seen, response) =>
    seen.method === 'GET' ? json(response, 200, object) : json(response, 409, failure(409, 'AlreadyExists')),
  );
  await executor.execute({ ...pod, object });
});

test('what somebody else has made under the name is no success', async () => {
  const object = {
    ...pod.object,
    metadata: { ...pod.object.metadata, labels: { 'filerpair.dev/pair': 'home' } },
  };
  for (const labels of [{}, { 'filerpair.dev/pair': 'other' }]) {
    const executor = await start((seen, response) =>
      seen.method === 'GET'
        ? json(response, 200, { ...object, metadata: { ...object.metadata, labels } })
        : json(response, 409, failure(409, 'AlreadyExists')),
    );
    expect(await caught(executor.execute({ ...pod, object }))).toMatchObject({
      problem: { reason: 'NameTaken' },
    });
    await api.close();
  }
});

test('a deletion names the object that was seen; one that is gone already is success', async () => {
  const executor = await start((_, response) => json(response, 404, failure(404, 'NotFound')));
  await executor.execute({
    kind: 'delete',
    resource: 'pods',
    namespace: 'n',
    name: 'p',
    uid: 'u-1',
    why: 'old',
  });
  expect(JSON.parse(api.seen[0]!.body)).toMatchObject({ preconditions: { uid: 'u-1' } });
});

test('the interconnect’s secret is random and of the size asked for', async () => {
  const executor = await start((_, response) => json(response, 201, { metadata: {} }));
  const action: Action = {
    kind: 'createSecret',
    resource: 'secrets',
    object: { metadata: { name: 'home-interconnect', namespace: 'n' } },
    key: 'secret',
    size: 32,
    why: 'it is missing',
  };
  await executor.execute(action);
  await executor.execute(action);
  const secrets = api.seen.map(({ body }) => (JSON.parse(body) as { data: { secret: string } }).data.secret);
  expect(secrets.map((text) => Buffer.from(text, 'base64').length)).toEqual([32, 32]);
  expect(secrets[0]).not.toBe(secrets[1]);
});

test('an event has the same name when it is told twice, so that the API keeps one', async () => {
  const executor = await start((seen, response) =>
    api.seen.length > 1
      ? json(response, 409, failure(409, 'AlreadyExists'))
      : json(response, 201, JSON.parse(seen.body)),
  );
  const pair = { metadata: { name: 'home', namespace: 'n', uid: 'u' }, spec: {} as never };
  const event = { key: 'a/2', type: 'Warning' as const, reason: 'Takeover', note: 'b owns it.' };
  await executor.recordEvent(pair, event);
  await executor.recordEvent(pair, event);
  const names = api.seen.map(
    ({ body }) => (JSON.parse(body) as { metadata: { name: string } }).metadata.name,
  );
  expect(names[0]).toBe(names[1]);
});

test('the note of an event has as many bytes as the API allows, whatever people write, and whole characters', async () => {
  const executor = await start((seen, response) => json(response, 201, JSON.parse(seen.body)));
  const pair = { metadata: { name: 'home', namespace: 'n', uid: 'u' }, spec: {} as never };
  const told = async (note: string): Promise<string> => {
    await executor.recordEvent(pair, { key: '1', type: 'Normal', reason: 'Maintenance', note });
    return (JSON.parse(api.seen.at(-1)!.body) as { note: string }).note;
  };
  expect(await told('x'.repeat(1024))).toHaveLength(1024);
  expect(await told(`x${'я'.repeat(1024)}`)).toBe(`x${'я'.repeat(511)}`);
  expect(await told('€'.repeat(1024))).toBe('€'.repeat(341));
});

describe('certificates', () => {
  /** An API that keeps Secrets: POST makes one, a merge patch changes data, with compare-and-swap. */
  const secrets = new Map<string, Secret>();
  const keepSecrets: Handler = (seen, response) => {
    const sent = seen.body === '' ? null : (JSON.parse(seen.body) as Secret);
    const name = sent?.metadata.name ?? seen.path.split('/').at(-1)!;
    const at = seen.method === 'POST' ? name : seen.path.split('/').at(-1)!;
    const stored = secrets.get(at);
    const version = String(Number(stored?.metadata.resourceVersion ?? '0') + 1);
    if (seen.method === 'GET')
      return stored ? json(response, 200, stored) : json(response, 404, failure(404, 'NotFound'));
    if (seen.method === 'POST' && stored) return json(response, 409, failure(409, 'AlreadyExists'));
    const wanted = sent?.metadata.resourceVersion;
    if (seen.method === 'PATCH' && wanted !== undefined && wanted !== stored?.metadata.resourceVersion)
      return json(response, 409, failure(409, 'Conflict'));
    const metadata = { ...stored?.metadata, ...sent?.metadata, name: at, resourceVersion: version };
    secrets.set(at, { ...stored, ...sent, metadata, data: { ...stored?.data, ...sent?.data } });
    return json(response, 200, secrets.get(at)!);
  };
  const object = (name: string) => ({
    metadata: { name, namespace: 'n', labels: { 'filerpair.dev/pair': 'home' } },
  });
  const authority = (replaces: string | null): Action => ({
    kind: 'makeAuthority',
    resource: 'secrets',
    object: object('home-interconnect-ca'),
    replaces,
    name: 'home.n',
    lifetimeMs: 1e9,
    previous: replaces === null ? [] : 'the one that signs now',
    why: '',
  });
  const certificate = (by: 'newest' | 'previous', replaces: string | null): Action => ({
    kind: 'issueCertificate',
    resource: 'secrets',
    object: object('home-a-tls'),
    replaces,
    authority: 'home-interconnect-ca',
    by,
    dnsName: 'home-a-interconnect.n.svc',
    lifetimeMs: 1e8,
    why: '',
  });
  const factsOf = () => {
    const made = authorityFacts(secrets.get('home-interconnect-ca')!) as AuthorityFacts;
    const known = [made.newest, ...made.previous];
    const own = serverCertificateFacts(secrets.get('home-a-tls')!, 'home-a-interconnect.n.svc', known);
    return { made, own: own as ServerCertificateFacts };
  };

  test('are made as they are read again, before, in and after a change of authority', async () => {
    secrets.clear();
    const executor = await start(keepSecrets);
    await executor.execute(authority(null));
    await executor.execute(certificate('newest', null));
    const first = factsOf();
    expect(first.made).toMatchObject({ previous: [], previousSigns: false });
    expect(first.own).toMatchObject({ issuer: first.made.newest.fingerprint, named: true });
    expect(first.own.trusts).toEqual([first.made.newest]);
    expect(first.own.notAfter - Date.now()).toBeGreaterThan(1e8 - 60_000);

    await executor.execute(authority('1'));
    await executor.execute(certificate('previous', '1'));
    const between = factsOf();
    expect(between.made).toMatchObject({ previous: [first.made.newest], previousSigns: true });
    expect(between.own.issuer).toBe(first.made.newest.fingerprint);
    expect(between.own.trusts).toEqual([between.made.newest, first.made.newest]);

    await executor.execute(certificate('newest', '2'));
    expect(factsOf().own.issuer).toBe(between.made.newest.fingerprint);
  });

  test('are not replaced by one who saw an older version, nor taken from others', async () => {
    secrets.clear();
    const executor = await start(keepSecrets);
    await executor.execute(authority(null));
    await executor.execute(certificate('newest', null));
    const before = secrets.get('home-a-tls');
    expect(await caught(executor.execute(certificate('newest', '7')))).toBeInstanceOf(ApiError);
    await executor.execute(certificate('newest', null));
    expect(secrets.get('home-a-tls')).toBe(before);
    secrets.set('home-a-tls', { ...before!, metadata: { ...before!.metadata, labels: {} } });
    const error = await caught(executor.execute(certificate('newest', null)));
    expect(error).toMatchObject({ problem: { reason: 'NameTaken' } });
  });

  test('that cannot be used are known for it', () => {
    const spoilt = (data: Record<string, string>) => ({ metadata: { resourceVersion: '5' }, data });
    expect(authorityFacts(spoilt({}))).toEqual({ unusable: '5' });
    const { data = {} } = secrets.get('home-interconnect-ca')!;
    const other = { ...data, 'tls.key': secrets.get('home-a-tls')!.data!['tls.key']! };
    expect(authorityFacts(spoilt(other))).toEqual({ unusable: '5' });
    expect(serverCertificateFacts(spoilt({ 'tls.crt': 'eA==' }), 'x', [])).toEqual({ unusable: '5' });
  });
});

describe('before a plan goes on that rests on who owns a disk set', () => {
  const confirm = (holder: string | null): Action => ({
    kind: 'confirm',
    resource: 'leases',
    namespace: 'n',
    name: 'home-a',
    holder,
    epoch: 3,
    why: 'it rests on it',
  });
  const lease = (spec: object) => start((_seen, response) => json(response, 200, { spec }));

  test('the Lease is read past the cache: holder and epoch have to be those of the plan', async () => {
    await (await lease({ holderIdentity: 'h', leaseTransitions: 3 })).execute(confirm('h'));
    await (await lease({ leaseTransitions: 3 })).execute(confirm(null));
    for (const [spec, holder] of [
      [{ holderIdentity: 'h', leaseTransitions: 4 }, 'h'],
      [{ holderIdentity: 'other', leaseTransitions: 3 }, 'h'],
      [{ leaseTransitions: 4 }, null],
      [{ leaseTransitions: 3 }, 'h'],
      [{ holderIdentity: 'h', leaseTransitions: 3 }, null],
    ] as const)
      expect(isConflict(await caught((await lease(spec)).execute(confirm(holder))))).toBe(true);
  });
});

describe('before a pod goes that may be the last one of a claim', () => {
  const kept: Action = {
    kind: 'confirmKept',
    resource: 'persistentVolumeClaims',
    namespace: 'n',
    name: 'home.a.data',
    why: 'its last pod',
  };
  const answers = (status: number, body: object) => start((_seen, response) => json(response, status, body));

  test('the claim is read past the cache: one that is being deleted ends the plan', async () => {
    const metadata = { name: 'home.a.data', deletionTimestamp: '2026-11-23T12:00:00Z' };
    const error = await caught((await answers(200, { metadata })).execute(kept));
    expect(isConflict(error)).toBe(true);
    expect(String(error)).toContain('home.a.data');
  });

  test('one that is kept, or is not there, lets it go on', async () => {
    await (await answers(200, { metadata: { name: 'home.a.data' } })).execute(kept);
    await (await answers(404, failure(404, 'NotFound'))).execute(kept);
  });

  test('an API that does not answer is no permission', async () => {
    const error = await caught((await answers(500, failure(500, 'InternalError'))).execute(kept));
    expect(error).toBeInstanceOf(ApiError);
  });
});

describe('before a server goes whose node is said to be gone', () => {
  const gone: Action = { kind: 'confirmNodeGone', resource: 'nodes', name: 'node-1', why: 'it is gone' };
  const answers = (status: number, body: object) => start((_seen, response) => json(response, status, body));

  test('the Node is asked for past the cache: one that has registered again ends the plan', async () => {
    const error = await caught((await answers(200, { metadata: { name: 'node-1' } })).execute(gone));
    expect(isConflict(error)).toBe(true);
    expect(api.seen.map(({ path }) => path)).toEqual(['/api/v1/nodes/node-1']);
  });

  test('none lets it go on, and an API that does not answer is no permission', async () => {
    await (await answers(404, failure(404, 'NotFound'))).execute(gone);
    await api.close();
    const executor = await answers(500, failure(500, 'InternalError'));
    expect(await caught(executor.execute(gone))).toBeInstanceOf(ApiError);
  });
});

describe('before it is forgotten which node had the disks', () => {
  const volume = 'kubernetes.io/csi/disks.csi.example.org^handle';
  const released: Action = {
    kind: 'confirmReleased',
    resource: 'nodes',
    name: 'node-1',
    volumes: [volume],
    why: 'they were there',
  };
  const answers = (status: number, body: object) => start((_seen, response) => json(response, status, body));
  const node = (ready: string, inUse: readonly string[], taints: readonly object[] = []) => ({
    metadata: { name: 'node-1' },
    spec: { taints },
    status: { conditions: [{ type: 'Ready', status: ready }], volumesInUse: inUse },
  });

  test.each([
    ['has them in use', node('True', [volume]), `has not unmounted ${volume}`],
    ['is not ready', node('False', []), 'is not ready'],
    ['is silent', node('Unknown', []), 'is not ready'],
  ])('the Node is read past the cache: one that %s ends the plan', async (_what, object, says) => {
    const error = await caught((await answers(200, object)).execute(released));
    expect(isConflict(error)).toBe(true);
    expect(String(error)).toContain(says);
    expect(api.seen.map(({ path }) => path)).toEqual(['/api/v1/nodes/node-1']);
  });

  test('one that is ready and has let go, is marked, or is no more, lets it go on', async () => {
    await (await answers(200, node('True', ['kubernetes.io/csi/other^handle']))).execute(released);
    await api.close();
    const mark = { key: 'node.kubernetes.io/out-of-service', value: 'nodeshutdown', effect: 'NoExecute' };
    await (await answers(200, node('Unknown', [volume], [mark]))).execute(released);
    await api.close();
    await (await answers(404, failure(404, 'NotFound'))).execute(released);
  });

  test('an API that does not answer is no permission', async () => {
    const executor = await answers(500, failure(500, 'InternalError'));
    expect(await caught(executor.execute(released))).toBeInstanceOf(ApiError);
  });
});

describe('before disks are mounted on another node', () => {
  const action: Action = {
    kind: 'confirmDetached',
    resource: 'volumeAttachments',
    namespace: 'n',
    name: 'home-a-disks-1',
    claims: ['data'],
    volumes: ['pv-1'],
    node: 'node-2',
    why: 'they must be nowhere else',
  };
  const user = (nodeName: string | undefined, metadata: object = {}, status: object = {}) => ({
    metadata: { name: 'user', namespace: 'n', ...metadata },
    spec: { ...(nodeName && { nodeName }), volumes: [{ persistentVolumeClaim: { claimName: 'data' } }] },
    status,
  });
  const ours = { labels: { 'filerpair.dev/attachment': 'a' } };
  const attachedTo = (nodeName: string) => ({
    metadata: { name: 'va' },
    spec: { nodeName, source: { persistentVolumeName: 'pv-1' } },
  });
  const answering = (pods: readonly object[], attachments: readonly object[]) =>
    start((seen, response) =>
      json(response, 200, {
        metadata: { resourceVersion: '1' },
        items: seen.path.endsWith('/pods') ? pods : attachments,
      }),
    );

  test('nothing elsewhere lets the plan go on', async () => {
    const pods = [user('node-2'), user(undefined), user('node-1', {}, { phase: 'Failed' })];
    const executor = await answering(pods, [attachedTo('node-2')]);
    expect(await caught(executor.execute(action))).toBeUndefined();
    // Without a resourceVersion a list is what is stored, not what a cache of the API server has.
    expect(api.seen.map(({ query }) => query.get('resourceVersion'))).toEqual([null, null]);
  });

  test('many pairs that ask at once share the lists: none has begun before its pair asked', async () => {
    const executor = await answering([], []);
    await Promise.all(Array.from({ length: 16 }, () => executor.execute(action)));
    expect(api.seen.length).toBeLessThanOrEqual(4);
  });

  test('a volume that is attached elsewhere, or a pod of ours there, ends the plan: it is decided again', async () => {
    const annotations = { 'filerpair.dev/node': 'node-1' };
    for (const [pods, attachments] of [
      [[], [attachedTo('node-1')]],
      [[user('node-1', ours)], []],
      [[user(undefined, { ...ours, annotations })], []],
    ] as const) {
      const executor = await answering(pods, attachments);
      const error = await caught(executor.execute(action));
      expect(error).toBeInstanceOf(ApiError);
      expect(error).toMatchObject({ status: 409 });
      await api.close();
    }
  });

  test('a pod of somebody else is told, since nobody else would end it', async () => {
    const executor = await answering([user('node-1')], []);
    expect(await caught(executor.execute(action))).toMatchObject({
      problem: { reason: 'ClaimInUse', message: expect.stringContaining('Pod user, on node node-1') },
    });
  });

  test('an API that does not answer is no permission', async () => {
    const executor = await start((_, response) => json(response, 500, failure(500, 'InternalError')));
    expect(await caught(executor.execute(action))).toBeInstanceOf(ApiError);
  });
});

describe('before an operation is passed on to the servers', () => {
  const unended: Action = {
    kind: 'confirmUnended',
    resource: 'filerPairOperations',
    namespace: 'n',
    name: 'update',
    uid: 'uid-1',
    why: 'it must not have ended',
  };
  const stored = (uid: string, type?: string, status?: string) => ({
    metadata: { name: 'update', uid },
    ...(type === undefined ? {} : { status: { conditions: [{ type, status }] } }),
  });
  const answers = (status: number, body: object) => start((_seen, response) => json(response, status, body));

  test.each([
    ['was not seen to', stored('uid-1')],
    ['waits', stored('uid-1', 'Complete', 'False')],
  ])('it is read: it %s end, so it acts', async (_what, body) => {
    await (await answers(200, body)).execute(unended);
    expect(api.seen.map(({ method, path }) => `${method} ${path.split('/').at(-1)}`)).toEqual(['GET update']);
  });

  test.each([
    ['is complete', 200, stored('uid-1', 'Complete', 'True')],
    ['has failed', 200, stored('uid-1', 'Failed', 'True')],
    ['is another one of this name', 200, stored('uid-2')],
    ['is gone', 404, failure(404, 'NotFound')],
  ])('it is read: it %s, so it does not act again', async (_what, status, body) => {
    expect(await caught((await answers(status, body)).execute(unended))).toBeInstanceOf(ApiError);
  });
});
