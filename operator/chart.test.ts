/**
 * The chart against the operator's code: what it renders is what the program reads, and the rights that it grants are those
 * that plans need, no fewer. Needs helm, on the PATH or as the e2e tests have built it; skipped without it.
 */

import { execFileSync } from 'node:child_process';
import { existsSync, globSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadAllYaml } from '@kubernetes/client-node';
import { describe, expect, test } from 'vitest';
import { limitPolicy } from '../crds/class-limits.ts';
import { filerPairClassSpec } from '../crds/filer-pair-class.ts';
import { kinds } from '../crds/kinds.ts';
import { resources } from '../kubernetes/resource.ts';
import { access } from './desired/access.ts';
import type { Action } from './model/action.ts';
import { watchedKinds } from './model/watched-kinds.ts';
import { ask } from './plan/operations.fixture.ts';
import { spec, World } from './plan/world.fixture.ts';
import { readSettings } from './runtime/settings.ts';

const chart = fileURLToPath(new URL('../helm/filerpair', import.meta.url));
const helm = [
  ...(process.env['PATH'] ?? '').split(':').map((directory) => join(directory, 'helm')),
  ...globSync(join(homedir(), '.cache/filerpair/helm-*/helm')),
].find((path) => existsSync(path));

interface PolicyRule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
  readonly resourceNames?: readonly string[];
}
interface Rendered {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly rules?: readonly PolicyRule[];
  readonly spec?: { readonly template?: { readonly spec: PodSpec } };
}
interface PodSpec {
  readonly imagePullSecrets?: readonly object[];
  readonly containers: readonly {
    readonly image: string;
    readonly command: readonly string[];
    readonly env: readonly { readonly name: string; readonly value?: string }[];
  }[];
}

const run = (...args: string[]): string => execFileSync(helm!, args, { encoding: 'utf8', stdio: 'pipe' });
const template = (...settings: string[]): Rendered[] => {
  const flags = settings.flatMap((one) => ['--set', one]);
  const text = run('template', 'filerpair', chart, '--namespace', 'system', ...flags);
  return loadAllYaml(text) as unknown as Rendered[];
};
/** As of a release that was published there. */
const REGISTRY = 'registry.example.org/filerpair';
const render = (...settings: string[]): Rendered[] => template(`image.registry=${REGISTRY}`, ...settings);
const operatorOf = (objects: readonly Rendered[]): PodSpec =>
  objects.find(({ kind }) => kind === 'Deployment')!.spec!.template!.spec;
/** With everything that the operator can do. */
const ALL = ['certManager.enabled=true', 'nodes.mayMarkOutOfService=true'];
const rulesOf = (settings: string[] = []): readonly PolicyRule[] =>
  render(...settings).find(({ kind }) => kind === 'ClusterRole')!.rules!;
const allows = (rules: readonly PolicyRule[], group: string, resource: string, verb: string): boolean =>
  rules.some(
    (rule) =>
      rule.apiGroups.includes(group) && rule.resources.includes(resource) && rule.verbs.includes(verb),
  );

describe.skipIf(helm === undefined)('the chart', () => {
  test('passes helm lint', () => {
    expect(run('lint', chart)).toContain('0 chart(s) failed');
  });

  test('starts the operator with an environment that it understands', () => {
    const { containers } = operatorOf(render());
    const environment = Object.fromEntries(
      containers[0]!.env.map(({ name, value }) => [name, value ?? 'from-pod']),
    );
    expect(readSettings(environment)).toMatchObject({ FILESERVER_IMAGE: `${REGISTRY}/fileserver:0.1.0` });
    expect(containers[0]).toMatchObject({
      image: `${REGISTRY}/operator:0.1.0`,
      command: ['node', '--max-semi-space-size=4', '--optimize-for-size', '/app/dist/operator/main.js'],
    });
  });

  test('names images by digest if it is told one, as a whole if it is told that, and never guesses where they are', () => {
    const images = (...settings: string[]) => {
      const { containers } = operatorOf(template(...settings));
      const { value } = containers[0]!.env.find(({ name }) => name === 'FILESERVER_IMAGE')!;
      return [containers[0]!.image, value];
    };
    const [one, two] = ['1', '2'].map((digit) => `sha256:${digit.repeat(64)}`);
    const digests = [`image.digests.operator=${one}`, `image.digests.fileserver=${two}`];
    expect(images(`image.registry=${REGISTRY}/`, ...digests)).toEqual([
      `${REGISTRY}/operator:0.1.0@${one}`,
      `${REGISTRY}/fileserver:0.1.0@${two}`,
    ]);
    expect(images('image.operator=one:1', 'image.fileserver=two:2')).toEqual(['one:1', 'two:2']);
    expect(() => images()).toThrow('image.registry is empty: say where the images are');
    expect(() => images(`image.registry=${REGISTRY}`, 'image.digests.operator=sha256:1')).toThrow('digests');
  });

  test('gives the secrets of its registry to the operator and, by the default class, to every pod of a pair', () => {
    const secrets = ['imagePullSecrets[0].name=registry'];
    const classOf = (objects: readonly Rendered[]) =>
      filerPairClassSpec.parse(objects.find(({ kind }) => kind === 'FilerPairClass')!.spec);
    expect(operatorOf(render(...secrets)).imagePullSecrets).toEqual([{ name: 'registry' }]);
    expect(classOf(render(...secrets)).podTemplate).toEqual({
      spec: { imagePullSecrets: [{ name: 'registry' }] },
    });
    const own = [
      'defaultClass.podTemplate.spec.imagePullSecrets[0].name=own',
      'defaultClass.podTemplate.spec.priorityClassName=storage',
    ];
    expect(classOf(render(...secrets, ...own)).podTemplate).toEqual({
      spec: { imagePullSecrets: [{ name: 'own' }, { name: 'registry' }], priorityClassName: 'storage' },
    });
  });

  test('lets a drain take one of several operators at a time, and the only one at once', () => {
    const budgets = (...settings: string[]) =>
      render(...settings).filter(({ kind }) => kind === 'PodDisruptionBudget');
    expect(budgets()).toMatchObject([
      { metadata: { name: 'filerpair-operator', namespace: 'system' }, spec: { maxUnavailable: 1 } },
    ]);
    expect(budgets('replicas=1')).toEqual([]);
    expect(budgets('podDisruptionBudget.enabled=false')).toEqual([]);
  });

  test('has the policy of limits as it follows from their rules, with the classes as parameters', () => {
    const named = (kind: string) =>
      render().find(
        (one) => one.kind === kind && one.metadata.name === 'filerpair-operator-class-limits',
      ) as unknown as {
        spec: object;
      };
    expect(named('ValidatingAdmissionPolicy').spec).toMatchObject({
      paramKind: { apiVersion: 'filerpair.dev/v1beta1', kind: 'FilerPairClass' },
      ...limitPolicy(),
    });
    expect(named('ValidatingAdmissionPolicyBinding').spec).toMatchObject({
      paramRef: { selector: {}, parameterNotFoundAction: 'Allow' },
      validationActions: ['Deny'],
    });
  });

  test('has a default class that allows what its values say: by themselves nothing', () => {
    const specOf = (settings: string[]) =>
      (
        render(...settings).find(({ kind }) => kind === 'FilerPairClass') as unknown as
          | { spec: object }
          | undefined
      )?.spec;
    expect(filerPairClassSpec.parse(specOf([]))).toEqual({
      allowedNamespaces: { from: 'All' },
      images: {},
      storage: [],
      podTemplate: {},
      limits: {},
    });
    const some = ['defaultClass.limits.storageTypes={Reattach}', 'defaultClass.allowedNamespaces.from=Names'];
    expect(specOf([...some, 'defaultClass.allowedNamespaces.names={storage}'])).toMatchObject({
      allowedNamespaces: { from: 'Names', names: ['storage'] },
      limits: { storageTypes: ['Reattach'] },
    });
    expect(specOf(['defaultClass.enabled=false'])).toBeUndefined();
    expect(() => render('defaultClass.limits.storageType={Reattach}')).toThrow('storageType');
  });

  test('lets only images that it names run privileged', () => {
    const images = (settings: string[]) =>
      (
        render(...settings).find(
          ({ metadata }) => metadata.name === 'filerpair-operator-itself',
        ) as unknown as {
          spec: { variables: { name: string; expression: string }[] };
        }
      ).spec.variables.find(({ name }) => name === 'images')!.expression;
    const own = `${REGISTRY}/fileserver:0.1.0`;
    expect(JSON.parse(images([]))).toEqual([own]);
    const more = ['defaultClass.images.server=one:1', 'image.otherFileservers={two:2}'];
    expect(JSON.parse(images(more))).toEqual([own, 'one:1', 'two:2']);
  });

  test('may mark nodes as out of service only where a class may let it', () => {
    const may = (...settings: string[]) => allows(rulesOf(settings), '', 'nodes', 'patch');
    expect([
      may(),
      may('nodes.mayMarkOutOfService=true'),
      may('defaultClass.limits.lostNodes.policies={Confirmed}'),
    ]).toEqual([false, true, true]);
  });

  test('may ask cert-manager only where that is said, and looks for it only then', () => {
    const asks = (settings: string[]) => {
      const { containers } = operatorOf(render(...settings));
      return containers[0]!.env.find(({ name }) => name === 'CERT_MANAGER')!.value;
    };
    for (const [settings, answer] of [
      [[], false],
      [['certManager.enabled=true'], true],
    ] as const) {
      expect(allows(rulesOf([...settings]), 'cert-manager.io', 'certificates', 'create')).toBe(answer);
      expect(asks([...settings])).toBe(String(answer));
    }
  });

  test('bounds the operator to namespaces where it is told to: there alone it has Secrets and pods', () => {
    const objects = render('watchNamespaces={a,b}');
    const cluster = objects.find(({ kind }) => kind === 'ClusterRole')!.rules!;
    for (const resource of ['secrets', 'pods', 'persistentvolumeclaims', 'services', 'configmaps'])
      for (const verb of ['get', 'list', 'create', 'patch', 'delete'])
        expect(allows(cluster, '', resource, verb), `${verb} ${resource}`).toBe(false);
    const roles = objects.filter(({ kind }) => kind === 'Role');
    expect(roles.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`).toSorted()).toEqual([
      'a/filerpair-operator',
      'b/filerpair-operator',
      'system/filerpair-operator-election',
    ]);
    const all = rulesOf();
    // Together they are what the operator has without the bound.
    const inOne = [...cluster, ...roles.find(({ metadata }) => metadata.namespace === 'a')!.rules!];
    expect(new Set(inOne.map((rule) => JSON.stringify(rule)))).toEqual(
      new Set(all.map((rule) => JSON.stringify(rule))),
    );
    const { containers } = operatorOf(objects);
    const environment = Object.fromEntries(containers[0]!.env.map(({ name, value }) => [name, value ?? 'x']));
    expect(readSettings(environment)).toMatchObject({ WATCH_NAMESPACES: ['a', 'b'] });
  });

  test('lets only named namespaces read metrics', () => {
    const ingress = (settings: string[]) =>
      (
        render(...settings).find(({ kind }) => kind === 'NetworkPolicy') as unknown as {
          spec: { policyTypes: string[]; ingress?: object[] };
        }
      )?.spec;
    expect(ingress([])).toMatchObject({ policyTypes: ['Ingress'] });
    expect(ingress([])).not.toHaveProperty('ingress');
    expect(ingress(['networkPolicies.metricsFrom={monitoring}'])!.ingress).toHaveLength(1);
    expect(ingress(['networkPolicies.enabled=false'])).toBeUndefined();
  });

  test('refuses several operators without an election', () => {
    expect(() => render('replicas=2', 'leaderElection.enabled=false')).toThrow(
      'leaderElection.enabled must stay true',
    );
  });

  test('installs the definitions unless told not to, and keeps them on uninstall unless told not to', () => {
    const definitions = (...settings: string[]) =>
      render(...settings).filter(({ kind }) => kind === 'CustomResourceDefinition') as unknown as {
        metadata: { annotations: Record<string, string> };
      }[];
    const policies = (...settings: string[]) =>
      definitions(...settings).map(({ metadata }) => metadata.annotations['helm.sh/resource-policy']);
    expect(policies()).toEqual(kinds.map(() => 'keep'));
    expect(policies('crds.keep=false')).toEqual(kinds.map(() => undefined));
    expect(definitions('crds.enabled=false')).toEqual([]);
  });

  test('watches the operator and the servers, alerts and draws, where that is asked for', () => {
    const kinds = (settings: string[]) => render(...settings).map(({ kind }) => kind);
    expect(kinds([])).not.toContain('PrometheusRule');
    const all = [
      'metrics.monitors.enabled=true',
      'metrics.rules.enabled=true',
      'metrics.dashboard.enabled=true',
    ];
    expect(kinds(all)).toEqual(
      expect.arrayContaining(['PodMonitor', 'PodMonitor', 'PrometheusRule', 'ConfigMap', 'Service']),
    );
    const dashboard = render(...all).find(({ kind }) => kind === 'ConfigMap') as unknown as {
      data: Record<string, string>;
    };
    const { panels } = JSON.parse(dashboard.data['filerpair.json']!) as { panels: unknown[] };
    expect(panels.length).toBeGreaterThan(10);
  });

  test('lets the operator do what its plans contain', () => {
    const rules = rulesOf(ALL);
    const verbs = {
      apply: ['get', 'create', 'patch'],
      applyStatus: ['get', 'patch'],
      create: ['create'],
      createSecret: ['get', 'create'],
      makeAuthority: ['get', 'create', 'patch'],
      issueCertificate: ['get', 'create', 'patch'],
      patch: ['patch'],
      delete: ['delete'],
      check: ['create'],
      confirm: ['get'],
      confirmKept: ['get'],
      confirmNodeGone: ['get'],
      confirmReleased: ['get'],
      confirmUnended: ['get'],
      confirmDetached: ['list'],
    };
    const missing = plannedActions().flatMap(({ kind, resource }) => {
      const { group, plural } = resources[resource];
      return verbs[kind]
        .map(
          (verb) => [verb, kind === 'applyStatus' && verb === 'patch' ? `${plural}/status` : plural] as const,
        )
        .filter(([verb, of]) => !allows(rules, group, of, verb))
        .map(([verb, of]) => `${verb} ${of}`);
    });
    expect([...new Set(missing)]).toEqual([]);
  });

  test('lets the operator watch the kinds of its table, and no others', () => {
    const rules = rulesOf(ALL);
    for (const { resource } of Object.values(watchedKinds))
      for (const verb of ['get', 'list', 'watch'])
        expect(allows(rules, resource.group, resource.plural, verb), `${verb} ${resource.plural}`).toBe(true);
    const known = Object.values(watchedKinds).map(({ resource }) => `${resource.group}/${resource.plural}`);
    const granted = rules
      .filter(({ verbs }) => verbs.includes('watch'))
      .flatMap(({ apiGroups, resources: names }) =>
        apiGroups.flatMap((group) => names.map((name) => `${group}/${name}`)),
      );
    const definitions = 'apiextensions.k8s.io/customresourcedefinitions';
    expect(granted.filter((one) => one !== definitions).toSorted()).toEqual(known.toSorted());
    // The definitions of the optional kinds, which may be installed later.
    const { resourceNames } = rules.find(({ apiGroups }) => apiGroups.includes('apiextensions.k8s.io'))!;
    const optional = Object.values(watchedKinds).flatMap((kind) =>
      'optional' in kind ? [`${kind.resource.plural}.${kind.resource.group}`] : [],
    );
    expect(resourceNames?.toSorted()).toEqual(optional.toSorted());
  });

  test('gives the operator every right that it grants to servers: no account may grant more than it has', () => {
    const rules = rulesOf();
    const view = World.running().view();
    const role = access(view, view.servers[0]).find(({ resource }) => resource === 'roles')!;
    for (const { apiGroups, resources: names, verbs } of (role.object as unknown as Rendered).rules!)
      for (const verb of verbs)
        expect(allows(rules, apiGroups[0]!, names[0]!, verb), `${verb} ${names[0]}`).toBe(true);
  });

  test('gives no right on everything, none to list Secrets, and none on records if names are not published', () => {
    const rules = rulesOf(['dns.externalDNS=false']);
    for (const rule of rules)
      expect([...rule.apiGroups, ...rule.resources, ...rule.verbs]).not.toContain('*');
    expect(allows(rules, '', 'secrets', 'list')).toBe(false);
    expect(allows(rules, 'externaldns.k8s.io', 'dnsendpoints', 'get')).toBe(false);
  });
});

/** Everything that happens in a pair's life, as far as the other tests know it. */
function plannedActions(): Action[] {
  const world = new World({
    ...spec,
    names: { domain: 'nas.example.org' },
    interconnect: { tls: { source: 'CertManager', issuerRef: { name: 'storage' } } },
  });
  world.observed.dnsEndpointsServed = true;
  world.observed.certificatesServed = true;
  const offered = { 'home.a.interconnect': 'offered', 'home.b.interconnect': 'offered' } as const;
  world.observed.credentials = { ...world.observed.credentials, offered };
  const actions = [...world.settle()];
  for (const server of ['a', 'b']) {
    world.runs(server);
    world.claims(server, server, 1);
  }
  actions.push(...world.settle());
  ask(world, 'takeover', { type: 'Takeover', takeover: { server: 'a' } });
  actions.push(...world.settle());
  const pod = world.pod('a');
  world.changePod(pod, { status: { ...pod.status, phase: 'Failed' } });
  actions.push(...world.settle());
  return [...actions, ...world.plan().actions];
}
