/**
 * What the chart's other policies refuse: moves by force without the permission for it, writes to the records of disk sets,
 * older definitions over newer ones. And what its roles give to whom.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { customResourceDefinition } from '../../crds/custom-resource-definition.ts';
import { apiVersion, BUNDLE_VERSION, bundleVersionAnnotation } from '../../crds/group.ts';
import { kinds } from '../../crds/kinds.ts';
import type { KubernetesClient } from '../../kubernetes/client.ts';
import type { KubernetesObject } from '../../kubernetes/objects.ts';
import { resources } from '../../kubernetes/resource.ts';
import { eventually } from '../../testing/eventually.ts';
import { ApiServer } from './api-server.ts';
import { install, KNOWN_MS_MAX, makeNamespace, refusal, rendered } from './installed-chart.ts';

const API_GROUP = 'rbac.authorization.k8s.io';
const OPERATOR = 'filerpair-operator';

let server: ApiServer;
let admin: KubernetesClient;
let operator: KubernetesClient;
let tenant: KubernetesClient;

const object = (kind: string, metadata: object, spec: object) =>
  ({ apiVersion, kind, metadata, spec }) as unknown as KubernetesObject;
/** For its validation alone. */
const asTenant = { dryRun: true };

/** Gives a tenant a role in a namespace. */
const bind = (role: string, namespace: string, kind = 'ClusterRole'): Promise<unknown> =>
  admin.create(resources.roleBindings, {
    apiVersion: `${API_GROUP}/v1`,
    kind: 'RoleBinding',
    metadata: { name: role.replaceAll(':', '-'), namespace },
    subjects: [{ kind: 'User', name: 'tenant', apiGroup: API_GROUP }],
    roleRef: { kind, name: role, apiGroup: API_GROUP },
  } as KubernetesObject);

const pair = (namespace: string) =>
  object(
    'FilerPair',
    { name: 'nas', namespace },
    {
      storage: { type: 'SharedCoherent' },
      volumes: [{ name: 'data', claimTemplate: { spec: { resources: { requests: { storage: '1Gi' } } } } }],
    },
  );
const share = (namespace: string) =>
  object(
    'FilerShare',
    { name: 'home', namespace },
    { pairRef: { name: 'nas' }, server: 'a', clients: ['10.8.0.0/24'] },
  );
const move = (namespace: string, force?: object, type = 'Takeover', of = 'nas') =>
  object(
    'FilerPairOperation',
    { name: 'one', namespace },
    {
      pairRef: { name: of },
      type,
      [type.toLowerCase()]: { server: 'a', ifEpoch: 7, ...(force && { force }) },
    },
  );
const dead = { deadIncarnation: 'a/9f3c/2' };
const diskSet = (epochFloor: number, name = 'nas.a') =>
  object(
    'FilerDiskSet',
    { name, namespace: 'storage' },
    { pairRef: { name: 'nas' }, server: 'a', epochFloor },
  );

beforeAll(async () => {
  server = await ApiServer.start();
  admin = server.client('admin');
  operator = server.client('operator');
  tenant = server.client('tenant');
  for (const name of ['storage', 'viewing', 'editing', 'operating', 'forcing', 'everything'])
    await makeNamespace(admin, name);
  await install(server, {});
  await eventually('the operator has its rights', KNOWN_MS_MAX, async () =>
    refusal(operator.list(resources.filerPairs)).then((said) => said === null),
  );
}, 400_000);

afterAll(() => server?.stop());

describe('users, by the roles of a namespace', () => {
  beforeAll(async () => {
    // What a controller gathers into view and edit, of which there is none here.
    await bind(`${OPERATOR}-view`, 'viewing');
    await bind(`${OPERATOR}-edit`, 'editing');
    await bind(`${OPERATOR}-operate`, 'operating');
    await eventually('they are in force', KNOWN_MS_MAX, async () =>
      refusal(tenant.create(resources.filerPairOperations, move('operating'), asTenant)).then(
        (said) => said === null,
      ),
    );
  });

  test('who may view sees the kinds and writes none of them', async () => {
    for (const resource of [
      resources.filerPairs,
      resources.filerShares,
      resources.filerPairOperations,
      resources.filerDiskSets,
    ])
      expect(await refusal(tenant.list(resource, { namespace: 'viewing' }))).toBeNull();
    expect(await refusal(tenant.create(resources.filerPairs, pair('viewing'), asTenant))).toContain(
      'forbidden',
    );
    expect(await refusal(tenant.create(resources.filerShares, share('viewing'), asTenant))).toContain(
      'forbidden',
    );
  });

  test('who may edit makes pairs and shares, and no operations', async () => {
    expect(await refusal(tenant.create(resources.filerPairs, pair('editing'), asTenant))).toBeNull();
    expect(await refusal(tenant.create(resources.filerShares, share('editing'), asTenant))).toBeNull();
    expect(await refusal(tenant.create(resources.filerPairOperations, move('editing'), asTenant))).toContain(
      'forbidden',
    );
  });

  test('built-in roles gather these: operations with admin, force and records of disk sets with none', async () => {
    const roles = (await rendered({})).filter(({ kind }) => kind === 'ClusterRole');
    const into = (name: string) =>
      Object.keys(roles.find(({ metadata }) => metadata.name === name)!.metadata.labels!)
        .filter((label) => label.includes('/aggregate-to-'))
        .map((label) => label.split('aggregate-to-')[1]);
    expect(into(`${OPERATOR}-view`)).toEqual(['view', 'edit', 'admin']);
    expect(into(`${OPERATOR}-edit`)).toEqual(['edit', 'admin']);
    expect(into(`${OPERATOR}-operate`)).toEqual(['admin']);
    expect(into(`${OPERATOR}-force`)).toEqual([]);
    expect(into(OPERATOR)).toEqual([]);
    const none = (await rendered({ rbac: { aggregateClusterRoles: false } })).flatMap(({ metadata }) =>
      Object.keys(metadata.labels ?? {}),
    );
    expect(none.filter((label) => label.includes('aggregate'))).toEqual([]);
  });
});

describe('a move by force', () => {
  const asked = (namespace: string, ...of: [object?, string?, string?]) =>
    refusal(tenant.create(resources.filerPairOperations, move(namespace, ...of), asTenant));

  test('needs the verb force on the pair, besides the right to create operations', async () => {
    await bind(`${OPERATOR}-operate`, 'forcing');
    await bind(`${OPERATOR}-force`, 'forcing');
    await eventually('both are in force', KNOWN_MS_MAX, async () => (await asked('forcing', dead)) === null);
    expect(await asked('forcing', dead, 'Giveback')).toBeNull();
    await bind(`${OPERATOR}-operate`, 'storage');
    await eventually('operations are', KNOWN_MS_MAX, async () => (await asked('storage')) === null);
    for (const type of ['Takeover', 'Giveback'])
      expect(await asked('storage', dead, type)).toContain(
        `force needs the permission for the verb force on filerpairs nas: an administrator binds the ClusterRole ${OPERATOR}-force`,
      );
  });

  test('is allowed for single pairs', async () => {
    await admin.create(resources.roles, {
      apiVersion: `${API_GROUP}/v1`,
      kind: 'Role',
      metadata: { name: 'force-one', namespace: 'storage' },
      rules: [
        { apiGroups: ['filerpair.dev'], resources: ['filerpairs'], verbs: ['force'], resourceNames: ['one'] },
      ],
    } as KubernetesObject);
    await bind('force-one', 'storage', 'Role');
    await eventually(
      'it is in force',
      KNOWN_MS_MAX,
      async () => (await asked('storage', dead, 'Takeover', 'one')) === null,
    );
    expect(await asked('storage', dead)).toContain('verb force on filerpairs nas');
  });
});

describe('the record of a disk set', () => {
  const at = { namespace: 'storage', name: 'nas.a' };
  const patch = (client: KubernetesClient, body: object, options = {}) =>
    refusal(client.mergePatch(resources.filerDiskSets, at, { ...body }, options));
  const status = { status: { epoch: 8, owner: 'b' } };

  beforeAll(async () => {
    await admin.create(resources.roles, {
      apiVersion: `${API_GROUP}/v1`,
      kind: 'Role',
      metadata: { name: 'everything', namespace: 'storage' },
      rules: [{ apiGroups: ['*'], resources: ['*'], verbs: ['*'] }],
    } as KubernetesObject);
    await bind('everything', 'storage', 'Role');
  });

  test('is the operator’s', async () => {
    expect(await refusal(operator.create(resources.filerDiskSets, diskSet(7)))).toBeNull();
    expect(await patch(operator, { spec: { epochFloor: 8 } })).toBeNull();
    expect(await patch(operator, status, { subresource: 'status' })).toBeNull();
    expect(await refusal(operator.delete(resources.filerDiskSets, at))).toBeNull();
  });

  test('is nobody else’s to change, whatever a role of the namespace says', async () => {
    await operator.create(resources.filerDiskSets, diskSet(7));
    for (const client of [tenant, admin]) {
      expect(await patch(client, { spec: { epochFloor: 9 } })).toContain('that only the operator changes');
      expect(await patch(client, { spec: { claims: [] } })).toContain('that only the operator changes');
      expect(await patch(client, status, { subresource: 'status' })).toContain(
        'that only the operator changes',
      );
      // Its labels are not what is remembered.
      expect(await patch(client, { metadata: { labels: { team: 'storage' } } })).toBeNull();
    }
    expect(await refusal(tenant.delete(resources.filerDiskSets, at))).toContain('verb restore');
    expect(await refusal(tenant.create(resources.filerDiskSets, diskSet(1, 'nas.b')))).toContain(
      'verb restore',
    );
  });

  test('is restored and deleted by who may do so in the whole cluster', async () => {
    await admin.delete(resources.filerDiskSets, at);
    expect(await refusal(admin.create(resources.filerDiskSets, diskSet(7)))).toBeNull();
  });
});

describe('the definitions', () => {
  const [kind] = kinds;
  const name = `${kind!.plural}.filerpair.dev`;
  /** Applies the definition with a version and a changed text, as an installation of another release does. */
  const applied = (version: string | null, description = `of ${version}`) => {
    const { metadata, ...others } = customResourceDefinition(kind!);
    const { [bundleVersionAnnotation]: _, ...annotations } = metadata.annotations;
    const changed = structuredClone(others);
    changed.spec.versions[0]!.schema.openAPIV3Schema.description = description;
    const its = version === null ? annotations : { ...annotations, [bundleVersionAnnotation]: version };
    const definition = { ...changed, metadata: { name, annotations: its } };
    // As a whole: what is not in it is taken off.
    return admin
      .get(resources.customResourceDefinitions, { name })
      .then(({ metadata: { resourceVersion = '' } }) =>
        refusal(
          admin.replace(resources.customResourceDefinitions, {
            ...definition,
            metadata: { ...definition.metadata, resourceVersion },
          } as unknown as KubernetesObject),
        ),
      );
  };

  test('get newer, never older: fields that an older one does not know would be dropped', async () => {
    await eventually('the policy is in force', KNOWN_MS_MAX, async () =>
      (await applied('0.0.9'))?.includes('an older definition'),
    );
    expect(await applied(BUNDLE_VERSION, 'the same version')).toBeNull();
    expect(await applied('0.10.0-rc.1')).toBeNull();
    for (const older of ['0.9.9', '0.2.0', BUNDLE_VERSION, null])
      expect(await applied(older), String(older)).toContain('crds.enabled=false');
    expect(await applied('0.10.0')).toBeNull();
    expect(await applied('1.0.0')).toBeNull();
    expect(await applied('0.11.0')).toContain('an older definition');
  });

  test('of the chart are those of the schemas, and carry its version', async () => {
    const text = await rendered({});
    const names = text
      .filter(({ kind: one }) => one === 'CustomResourceDefinition')
      .map(({ metadata }) => [metadata.name, metadata.annotations?.[bundleVersionAnnotation]]);
    expect(names).toEqual(kinds.map(({ plural }) => [`${plural}.filerpair.dev`, BUNDLE_VERSION]));
  });
});
