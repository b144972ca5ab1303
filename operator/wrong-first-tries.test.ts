/**
 * What somebody is told whose first try goes wrong: one sentence, with the way out, from the API server (schemas and policies) or in
 * a condition. docs/operator.md lists them. That the API server says the same: e2e/admission.
 */

import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, test } from 'vitest';
import { notAllowed } from '../crds/class-limits.ts';
import type { Condition } from '../crds/condition.ts';
import { explain } from '../crds/explain.ts';
import { filerPairClassSpec } from '../crds/filer-pair-class.ts';
import { kinds } from '../crds/kinds.ts';
import { filerPairSpec } from '../crds/pair/spec.ts';
import { type AnyObject, example, set } from '../crds/testing/examples.ts';
import type { ShareObject } from '../fileserver/shares/share-object.ts';
import { ShareTable } from '../fileserver/shares/share-table.ts';
import { failure, type HttpApi, json, startHttpApi } from '../kubernetes/http-api.fixture.ts';
import { ExecutionProblem, Executor } from './apply/executor.ts';
import type { Action } from './model/action.ts';
import type { Claim, FilerPairOperationObject, FilerShareObject } from './model/objects.ts';
import { claimTemplate, spec, World } from './plan/world.fixture.ts';

const MINIMAL = 'minimal';
const table = readFileSync(new URL('../docs/operator.md', import.meta.url), 'utf8');
const tried = new Set<string>();

/** The sentence has these words, and the table tells of the try. */
function told(what: string, sentence: string | undefined, ...words: readonly string[]): void {
  for (const word of words) expect(sentence).toContain(word);
  expect(table, 'docs/operator.md').toContain(`| ${what} |`);
  tried.add(what);
}

/** What the schema says to an example with one member changed. */
function refusal(kind: 'FilerPair' | 'FilerShare', path: string, value: unknown): string {
  const object: AnyObject = set(example(MINIMAL, kind), path, value);
  const { schema } = kinds.find((one) => one.kind === kind)!;
  const { error } = schema.safeParse(object);
  return error === undefined ? '' : explain(error, '');
}

describe('the API server refuses', () => {
  test.each([
    ['a name that is too long', 'FilerPair', 'metadata.name', 'n'.repeat(41), 'at most 40'],
    [
      'a network of clients that is none',
      'FilerShare',
      'spec.clients',
      ['10.8.0.0/33'],
      'must be an IP address or a range such as 10.20.0.0/24',
    ],
    [
      'a host name as a client',
      'FilerShare',
      'spec.clients',
      ['pc1.example.org'],
      'must be an IP address or a range such as 10.20.0.0/24',
    ],
    [
      'a path that is not absolute',
      'FilerShare',
      'spec.path',
      'home',
      'must be an absolute path such as /home',
    ],
    [
      'half a byte',
      'FilerPair',
      'spec.volumes.0.claimTemplate.spec.resources.requests.storage',
      '500m',
      'storage',
    ],
    [
      'a port of nodes out of range',
      'FilerPair',
      'spec.servers',
      [{ name: 'a', nodePorts: [{ listener: 'nfs', port: 80 }] }, { name: 'b' }],
      '>=1024',
    ],
    [
      'a server’s name with a dash',
      'FilerPair',
      'spec.servers',
      [{ name: 'filer-a' }, { name: 'b' }],
      'servers',
    ],
  ] as const)('%s', (what, kind, path, value, words) => {
    told(what, refusal(kind, path, value), words);
  });

  test.each([
    [
      'Reattach, which the class does not allow',
      { storage: { type: 'Reattach' } },
      ['spec.storage.type', 'limits.storageTypes'],
    ],
    [
      'a load balancer, which the class does not allow',
      { exposure: { type: 'LoadBalancer' } },
      ['spec.exposure.type', 'limits.exposureTypes'],
    ],
  ] as const)('%s', (what, changes, words) => {
    const strict = filerPairClassSpec.parse({ allowedNamespaces: { from: 'All' } });
    const [sentence] = notAllowed(
      filerPairSpec.parse({ ...spec, ...changes }),
      { name: 'storage', labels: {} },
      strict,
    );
    told(what, sentence, ...words, 'FilerPairClass');
  });

  test('a namespace that is none of the class', () => {
    const its = filerPairClassSpec.parse({ allowedNamespaces: { from: 'Names', names: ['other'] } });
    const [sentence] = notAllowed(filerPairSpec.parse(spec), { name: 'storage', labels: {} }, its);
    told('a namespace that is none of the class', sentence, 'spec.allowedNamespaces of the FilerPairClass');
  });
});

describe('the pair says', () => {
  const says = (world: World, type: string): string | undefined => {
    world.settle();
    return world.observed.pair!.status!.conditions!.find((one) => one.type === type)?.message;
  };

  test('that there is no such class', () => {
    const world = new World({ ...spec, className: 'gold' });
    world.observed.pairClass = 'absent';
    told(
      'a class that does not exist',
      says(world, 'Accepted'),
      'FilerPairClass gold does not exist',
      'administrator has to create it',
    );
  });

  test('that nobody has said what holds for the volumes', () => {
    const { storage: _, ...without } = spec;
    const world = new World(without);
    world.observed.pairClass = null;
    told('neither a storage type nor a class', says(world, 'Ready'), 'set spec.storage.type');
  });

  test('that a claim of the wrong access mode cannot be shared', () => {
    const volumes = [{ name: 'data', claimRef: { name: 'old' } }];
    const world = new World({ ...spec, servers: [{ name: 'a', volumes }, { name: 'b' }] });
    world.withClaim('old', {
      metadata: {
        name: 'old',
        namespace: 'storage',
        uid: 'old',
        labels: { 'filerpair.dev/offered-to': 'home' },
      },
      spec: { accessModes: ['ReadWriteOnce'] },
      status: { phase: 'Bound' },
    });
    told(
      'a ReadWriteOnce claim for two servers',
      says(world, 'Ready'),
      'Use a ReadWriteMany claim; or storage type Reattach',
    );
  });

  test('that a claim is not offered to it', () => {
    const volumes = [{ name: 'data', claimRef: { name: 'old' } }];
    const world = new World({ ...spec, servers: [{ name: 'a', volumes }, { name: 'b' }] });
    world.withClaim('old', { metadata: { name: 'old', namespace: 'storage', uid: 'old' }, spec: {} });
    told('a claim that is not offered', says(world, 'Ready'), 'kubectl', 'filerpair.dev/offered-to=home');
  });

  test('that the cluster has no default StorageClass', () => {
    const world = new World();
    world.settle();
    for (const [name, claim] of Object.entries(world.observed.claims))
      world.withClaim(name, { ...(claim as Claim), spec: {}, status: { phase: 'Pending' } });
    told(
      'no default StorageClass',
      says(world, 'Ready'),
      'names no StorageClass',
      'set storageClassName in spec.volumes[data].claimTemplate.spec',
    );
  });
});

describe('the pair says, of what the API server answers to the operator,', () => {
  let api: HttpApi;
  afterEach(() => api.close());
  const service: Action = {
    kind: 'apply',
    resource: 'services',
    expect: 'absent',
    why: 'it is missing',
    object: { metadata: { name: 'nas-a', namespace: 'storage', labels: { 'filerpair.dev/pair': 'nas' } } },
  };
  const pod: Action = { ...service, kind: 'create', resource: 'pods' } as Action;
  const problem = async (action: Action, status: number, body: object): Promise<string> => {
    api = await startHttpApi((_seen, response) => json(response, status, body));
    const error = await new Executor(api.client, 'operator')
      .execute(action)
      .catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(ExecutionProblem);
    return (error as ExecutionProblem).problem.message;
  };
  const forbidden = (message: string) => ({ ...failure(403, 'Forbidden'), message });

  test('that a name is taken', async () => {
    const theirs = { metadata: { name: 'nas-a', labels: { 'filerpair.dev/pair': 'other' } } };
    told(
      'a Service name that another pair has',
      await problem(service, 200, theirs),
      'belongs to FilerPair other',
      'Rename the server, or remove that Service',
    );
  });

  test('that the namespace is restricted', async () => {
    const said = await problem(
      pod,
      403,
      forbidden('pods "nas-a" is forbidden: violates PodSecurity "restricted:latest": privileged'),
    );
    told(
      'a namespace with a strict Pod Security level',
      said,
      'kubectl label --overwrite namespace storage pod-security.kubernetes.io/enforce=privileged',
    );
  });

  test('that a quota is used up', async () => {
    const said = await problem(
      pod,
      403,
      forbidden('pods "nas-a" is forbidden: exceeded quota: small, requested: pods=1'),
    );
    told(
      'a quota that is used up',
      said,
      'exceeded quota: small',
      'Have the ResourceQuota of namespace storage raised',
    );
  });

  test('that the operator lacks a right', async () => {
    const said = await problem(
      pod,
      403,
      forbidden(
        'pods is forbidden: User "system:serviceaccount:filerpair-system:filerpair-operator" cannot create resource "pods" in API group "" in the namespace "storage"',
      ),
    );
    told('a right that the operator lacks', said, 'cannot create resource "pods"');
  });
});

describe('a share says', () => {
  const share = (changes: Partial<FilerShareObject['spec']> = {}): FilerShareObject => ({
    metadata: { name: 'home', namespace: 'storage', uid: 'share-1', generation: 1, resourceVersion: '1' },
    spec: { pairRef: { name: 'home' }, server: 'a', volume: 'data', deletionPolicy: 'Retain', ...changes },
  });
  const says = (world: World, one: FilerShareObject): string | undefined => {
    world.observed.filerShares = [one];
    const action = world.plan().actions.find(({ resource }) => resource === 'filerShares');
    const told = (action as { object: FilerShareObject } | undefined)?.object.status?.conditions?.[0];
    return (told as Condition | undefined)?.message;
  };

  test('that there is no such pair, also after the pair was deleted', () => {
    const world = new World();
    world.observed.pair = null;
    told(
      'a share of a pair that does not exist',
      says(world, share()),
      'There is no FilerPair home',
      'Create it, or delete this FilerShare',
    );
    told('a pair that is deleted before its shares', says(world, share()), 'There is no FilerPair home');
  });

  test('that the pair has no such server or volume', () => {
    told(
      'a share of a server that does not exist',
      says(World.running(), share({ server: 'c' })),
      'it has a and b',
      'Create another FilerShare',
    );
    told(
      'a share of a volume that does not exist',
      says(World.running(), share({ volume: 'more' })),
      'it has data',
      'Add the volume',
    );
  });

  test('that another one has the path', () => {
    const made = new ShareTable(new Map([['a', ['data']]]));
    const of = (name: string, created: string): ShareObject => ({
      metadata: { name, uid: name, creationTimestamp: created },
      spec: { pairRef: { name: 'nas' }, server: 'a', path: '/home', clients: ['10.0.0.0/8'] },
    });
    made.put(of('first', '2026-11-23T12:00:00Z'));
    made.put(of('second', '2026-11-23T12:00:01Z'));
    const { verdict } = made.get('second')!;
    told(
      'two shares with one path',
      verdict.accepted ? '' : verdict.message,
      'that of FilerShare "first", which is older; choose another path',
    );
  });
});

test('an operation on a pair that does not exist waits for it, and says so', () => {
  const world = new World();
  world.observed.pair = null;
  const operation: FilerPairOperationObject = {
    metadata: { name: 'move', namespace: 'storage', uid: 'operation-1', generation: 1 },
    spec: { pairRef: { name: 'home' }, type: 'Takeover', takeover: { server: 'a' } },
  };
  world.observed.filerPairOperations = [operation];
  world.settle();
  const message = world.observed.filerPairOperations[0]!.status!.conditions![0]!.message;
  told(
    'an operation on a pair that does not exist',
    message,
    'There is no FilerPair home in namespace storage',
  );
});

test('two pairs in one namespace have no name in common', () => {
  const names = (name: string) => {
    const world = new World({ ...spec, volumes: [{ name: 'data', claimTemplate }] });
    world.observed.pair = { ...world.observed.pair!, metadata: { ...world.observed.pair!.metadata, name } };
    world.observed.name = name;
    return world
      .plan()
      .actions.flatMap((action) =>
        'object' in action ? [`${action.resource} ${action.object.metadata.name}`] : [],
      );
  };
  const [first, second] = [names('home'), names('home-a')];
  expect(first.length).toBeGreaterThan(5);
  expect(first.filter((name) => second.includes(name))).toEqual([]);
});

test('the table tells of what is tried here, and of nothing else', () => {
  const [, rows = ''] = table.split('### First tries that go wrong');
  const listed = [...rows.split('\n#')[0]!.matchAll(/^\| ([^|]+) \| [^|]+ \|$/gm)].map(([, what]) =>
    what!.trim(),
  );
  expect(new Set(listed.filter((what) => what !== 'try' && what !== '---'))).toEqual(tried);
});
