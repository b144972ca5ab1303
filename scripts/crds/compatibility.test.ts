import { describe, expect, test } from 'vitest';
import { customResourceDefinition } from '../../crds/custom-resource-definition.ts';
import { kinds } from '../../crds/kinds.ts';
import { type Definition, incompatibilities } from './compatibility.ts';

type Node = Record<string, unknown>;

const definitionOf = (kind: string): Definition =>
  structuredClone(customResourceDefinition(kinds.find((one) => one.kind === kind)!)) as unknown as Definition;
const schemaOf = (definition: Definition): Node =>
  definition.spec.versions[0]!.schema.openAPIV3Schema as unknown as Node;

/** What `spec.a.b` and `spec.list[]` lead to. */
function at(definition: Definition, path: string): Node {
  let node = schemaOf(definition);
  for (const part of path === '' ? [] : path.split('.')) {
    const name = part.replace('[]', '');
    node = (node['properties'] as Record<string, Node>)[name]!;
    if (part.endsWith('[]')) node = node['items'] as Node;
  }
  return node;
}
const propertiesOf = (node: Node): Record<string, Node> => node['properties'] as Record<string, Node>;

const changed = (kind: string, change: (definition: Definition) => void): string[] => {
  const now = definitionOf(kind);
  change(now);
  return incompatibilities(definitionOf(kind), now);
};

test.each(kinds.map(({ kind }) => kind))('%s can replace itself', (kind) => {
  expect(changed(kind, () => undefined)).toEqual([]);
});

const LEASE = 'spec.failover.leaseDuration';

describe('refuses', () => {
  test.each<[string, string, (definition: Definition) => void, string]>([
    [
      'a field less',
      'FilerPair',
      (one) => delete propertiesOf(at(one, 'spec.failover'))['guardDuration'],
      'spec.failover.guardDuration: the field is gone',
    ],
    [
      'a field of a list less',
      'FilerPair',
      (one) => delete propertiesOf(at(one, 'spec.servers[]'))['serviceName'],
      'spec.servers[].serviceName: the field is gone',
    ],
    [
      'a field of a status less',
      'FilerPair',
      (one) => delete propertiesOf(at(one, 'status'))['summary'],
      'status.summary: the field is gone',
    ],
    [
      'a field that is required now',
      'FilerShare',
      (one) => (at(one, 'spec')['required'] as string[]).push('path'),
      'spec: path is required now',
    ],
    [
      'a new field that is required',
      'FilerShare',
      (one) => {
        propertiesOf(at(one, 'spec'))['quota'] = { type: 'string' };
        (at(one, 'spec')['required'] as string[]).push('quota');
      },
      'spec: quota is required now',
    ],
    [
      'a value less',
      'FilerPair',
      (one) => (at(one, 'spec.exposure.type')['enum'] as string[]).pop(),
      'spec.exposure.type: values are gone: HostNetwork',
    ],
    [
      'values where all were allowed',
      'FilerPair',
      (one) => (at(one, 'spec.maintenance.reason')['enum'] = ['x']),
      'spec.maintenance.reason: only some values',
    ],
    [
      'another pattern',
      'FilerPair',
      (one) => (at(one, LEASE)['pattern'] = '^[0-9]+s$'),
      `${LEASE}: pattern was`,
    ],
    [
      'a pattern where there was none',
      'FilerPair',
      (one) => (at(one, 'spec.maintenance.reason')['pattern'] = '^x$'),
      'pattern was absent',
    ],
    [
      'a higher minimum',
      'FilerPair',
      (one) => (at(one, 'spec.interconnect.port')['minimum'] = 1024),
      'spec.interconnect.port: minimum was 1 and is 1024',
    ],
    [
      'a lower maximum',
      'FilerPair',
      (one) => (at(one, 'spec.giveback.automatic.maxRetries')['maximum'] = 10),
      'maximum was 100 and is 10',
    ],
    [
      'a shorter text',
      'FilerPair',
      (one) => (at(one, 'spec.servers[].name')['maxLength'] = 5),
      'maxLength was 7 and is 5',
    ],
    [
      'a shorter list',
      'FilerShare',
      (one) => (at(one, 'spec.clients')['maxItems'] = 64),
      'spec.clients: maxItems was 256 and is 64',
    ],
    [
      'fewer entries of a map',
      'FilerPairClass',
      (one) => (at(one, 'spec.allowedNamespaces.matchLabels')['maxProperties'] = 1),
      'maxProperties was 16 and is 1',
    ],
    [
      'another default',
      'FilerShare',
      (one) => (at(one, 'spec.access')['default'] = 'ReadOnly'),
      'spec.access: default was "ReadWrite" and is "ReadOnly"',
    ],
    [
      'a default where there was none',
      'FilerPair',
      (one) => (at(one, LEASE)['default'] = '3s'),
      `${LEASE}: default was absent and is "3s"`,
    ],
    [
      'a default less',
      'FilerShare',
      (one) => delete at(one, 'spec.volume')['default'],
      'spec.volume: default was "data" and is absent',
    ],
    [
      'another type',
      'FilerPair',
      (one) => (at(one, 'spec.rollout.paused')['type'] = 'string'),
      'spec.rollout.paused: type was "boolean"',
    ],
    [
      'another key of a list',
      'FilerPair',
      (one) => (at(one, 'spec.listeners')['x-kubernetes-list-map-keys'] = ['port']),
      'spec.listeners: the keys of the list',
    ],
    [
      'another merge of a list',
      'FilerShare',
      (one) => (at(one, 'spec.clients')['x-kubernetes-list-type'] = 'atomic'),
      'x-kubernetes-list-type was "set"',
    ],
    [
      'a new rule',
      'FilerShare',
      (one) =>
        (at(one, 'spec')['x-kubernetes-validations'] as object[]).push({ rule: 'size(self.clients) < 9' }),
      'a new rule could refuse what was accepted: size(self.clients) < 9',
    ],
    [
      'another scope',
      'FilerPair',
      (one) => ((one.spec as { scope: string }).scope = 'Cluster'),
      'it was Namespaced FilerPair and is Cluster FilerPair',
    ],
    [
      'a version that is not served',
      'FilerPair',
      (one) => ((one.spec.versions[0] as { served: boolean }).served = false),
      'version v1beta1 is not served any more',
    ],
  ])('%s', (_title, kind, change, sentence) => {
    expect(changed(kind, change).join('\n')).toContain(sentence);
  });

  test('a kind less', () => {
    expect(incompatibilities(definitionOf('FilerShare'), undefined)).toEqual([
      'filershares.filerpair.dev: the definition is gone',
    ]);
  });

  test('a field less by which objects are selected', () => {
    const old = definitionOf('FilerShare');
    const [version] = old.spec.versions as unknown as [{ selectableFields?: object[] }];
    version.selectableFields = [{ jsonPath: '.spec.other' }];
    expect(incompatibilities(old, definitionOf('FilerShare')).join()).toContain(
      '.spec.other is not selectable',
    );
  });
});

describe('accepts', () => {
  test.each<[string, (definition: Definition) => void]>([
    [
      'a new field, with a default and a rule about it',
      (one) => {
        propertiesOf(at(one, 'spec'))['quota'] = { type: 'string', default: '1Gi', pattern: '^[0-9]+Gi$' };
        (at(one, 'spec')['x-kubernetes-validations'] as object[]).push({
          rule: "!has(self.quota) || self.quota != '0Gi'",
        });
      },
    ],
    ['a new value', (one) => (at(one, 'spec.access')['enum'] as string[]).push('WriteOnce')],
    ['wider bounds', (one) => (at(one, 'spec.clients')['maxItems'] = 512)],
    ['a rule less', (one) => (at(one, 'spec')['x-kubernetes-validations'] as object[]).pop()],
    ['a field that is not required any more', (one) => (at(one, 'spec')['required'] = [])],
    ['a pattern less', (one) => delete at(one, 'spec.path')['pattern']],
    ['another description', (one) => (at(one, 'spec.path')['description'] = 'A path.')],
  ])('%s', (_title, change) => {
    expect(changed('FilerShare', change)).toEqual([]);
  });
});

/** Fields that docs/api-design.md has room for ("Growing"): each can be added to `v1beta1` as it is. */
describe('has room for', () => {
  const text: Node = { type: 'string', maxLength: 63 };
  const object = (properties: Record<string, Node>): Node => ({ type: 'object', properties });
  const words = (...words: string[]): Node => ({
    type: 'array',
    'x-kubernetes-list-type': 'set',
    items: { type: 'string', enum: words },
    maxItems: words.length,
  });
  const add = (one: Definition, path: string, fields: Record<string, Node>): void => {
    for (const [name, schema] of Object.entries(fields)) {
      expect(propertiesOf(at(one, path)), `${path}.${name}`).not.toHaveProperty(name);
      propertiesOf(at(one, path))[name] = schema;
    }
  };

  test.each<[string, string, (definition: Definition) => void]>([
    [
      'TLS, with server names, on several listeners',
      'FilerPair',
      (one) => {
        at(one, 'spec.listeners')['maxItems'] = 8;
        add(one, 'spec.listeners[]', {
          tls: object({
            mode: { type: 'string', enum: ['StartTLS', 'Direct'] },
            certificateRef: object({ name: text }),
            serverNames: { type: 'array', items: text, maxItems: 16 },
          }),
        });
      },
    ],
    [
      'the transport security of a share',
      'FilerShare',
      (one) => add(one, 'spec', { transportSecurity: words('TLS', 'MutualTLS') }),
    ],
    [
      'NFS versions of a pair',
      'FilerPair',
      (one) => add(one, 'spec', { nfs: object({ versions: words('3', '4.1') }) }),
    ],
    [
      'NFS versions and a quota of a share',
      'FilerShare',
      (one) =>
        add(one, 'spec', { nfsVersions: words('3', '4.1'), quota: object({ storage: text, inodes: text }) }),
    ],
    [
      'the consent to shares from other namespaces',
      'FilerPair',
      (one) =>
        add(one, 'spec', {
          shares: object({
            allowedNamespaces: object({ from: { type: 'string', enum: ['Same', 'All'], default: 'Same' } }),
          }),
        }),
    ],
    [
      'a share of a pair in another namespace',
      'FilerShare',
      (one) => add(one, 'spec.pairRef', { namespace: text }),
    ],
    [
      'the volume of a CSI driver',
      'FilerShare',
      (one) => add(one, 'spec', { persistentVolume: object({ volumeHandle: text }) }),
    ],
  ])('%s', (_title, kind, change) => {
    expect(changed(kind, change)).toEqual([]);
  });
});
