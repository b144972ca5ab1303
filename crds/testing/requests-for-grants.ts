// FilerPairs that ask for more than their own namespace, each with the grant that it needs and with grants that are not enough:
// for the rules in TypeScript and, on an API server, in CEL.

import type { FilerPairSpecInput } from '../filerpair.ts';

export interface RequestForGrant {
  readonly spec: FilerPairSpecInput;
  /** Field of the spec that is refused without the grant; null: none. */
  readonly field: string | null;
  readonly granted: object;
  /** Not enough. */
  readonly short: readonly object[];
}

type Placement = NonNullable<FilerPairSpecInput['servers'][number]['placement']>;

const pair = (change: Partial<FilerPairSpecInput> = {}, placement?: Placement): FilerPairSpecInput => ({
  servers: [
    { name: 'filer-a', volumes: [{ name: 'data', claim: { size: '1Gi' } }] },
    {
      name: 'filer-b',
      volumes: [{ name: 'data', claim: { size: '1Gi' } }],
      ...(placement === undefined ? {} : { placement }),
    },
  ],
  storage: { lateWrites: 'Coherent' },
  ...change,
});

const reattach = (lostNodes?: FilerPairSpecInput['storage']['lostNodes']): FilerPairSpecInput => {
  const moving = (name: string) => ({
    name,
    volumes: [{ name: 'data', claim: { size: '1Gi', accessMode: 'ReadWriteOnce' as const } }],
  });
  return pair({
    servers: [moving('filer-a'), moving('filer-b')],
    storage: { transfer: 'Reattach', ...(lostNodes === undefined ? {} : { lostNodes }) },
  });
};

const others = { images: ['*'], features: ['HostNetwork'], tolerations: ['*'], nodeSelectors: ['*'] };

export const requests = {
  nothing: { spec: pair(), field: null, granted: {}, short: [] },
  'names that somebody else publishes': {
    spec: pair({ dns: { domain: 'nas.example.org', publish: false } }),
    field: null,
    granted: {},
    short: [],
  },
  'an image': {
    spec: pair({ image: 'registry.example.org/filerpair/fileserver:1' }),
    field: 'image',
    granted: { images: ['registry.example.org/filerpair/'] },
    short: [
      { images: ['registry.example.org/filerpair'] },
      { images: ['registry.example.org/f'] },
      { ...others, images: ['example.org/', 'fileserver:1'] },
    ],
  },
  'the network of nodes': {
    spec: pair({ hostNetwork: true }),
    field: 'hostNetwork',
    granted: { features: ['HostNetwork'] },
    short: [{ features: ['Reattach'] }],
  },
  'disks that move': {
    spec: reattach(),
    field: 'storage.transfer',
    granted: { features: ['Reattach'] },
    short: [others],
  },
  'nodes without disks as soon as they are silent': {
    spec: reattach({ policy: 'Silent', after: '45s' }),
    field: 'storage.lostNodes',
    granted: { features: ['Reattach'], lostNodes: ['Silent'], lostNodesSilentMin: ['45s'] },
    short: [
      { features: ['Reattach'], lostNodes: ['Silent'] },
      { features: ['Reattach'], lostNodes: ['Silent'], lostNodesSilentMin: ['46s'] },
      { features: ['Reattach'], lostNodes: ['Confirmed'], lostNodesSilentMin: ['1s'] },
    ],
  },
  'nodes without disks on the word of somebody': {
    spec: reattach({ policy: 'Confirmed' }),
    field: 'storage.lostNodes',
    granted: { features: ['Reattach'], lostNodes: ['Confirmed'] },
    short: [{ features: ['Reattach'], lostNodes: ['Silent'] }],
  },
  'certain nodes': {
    spec: pair({}, { nodeSelector: { 'topology.kubernetes.io/zone': 'a' } }),
    field: 'servers[].placement.nodeSelector',
    granted: { nodeSelectors: ['topology.kubernetes.io/'] },
    short: [{ nodeSelectors: ['topology.kubernetes.io/region', 'topology.kubernetes.io'] }],
  },
  'nodes with a taint': {
    spec: pair({}, { tolerations: [{ key: 'dedicated', operator: 'Exists' }] }),
    field: 'servers[].placement.tolerations',
    granted: { tolerations: ['dedicated'] },
    short: [{ tolerations: ['node-role.kubernetes.io/'] }],
  },
  'nodes with any taint': {
    spec: pair({}, { tolerations: [{ operator: 'Exists' }] }),
    field: 'servers[].placement.tolerations',
    granted: { tolerations: ['*'] },
    short: [{ tolerations: ['dedicated', 'node-role.kubernetes.io/'] }],
  },
  'a priority': {
    spec: pair({}, { priorityClassName: 'system-node-critical' }),
    field: 'servers[].placement.priorityClassName',
    granted: { priorityClasses: ['system-node-critical'] },
    short: [{ priorityClasses: ['system'] }],
  },
  'annotations of Services': {
    spec: pair({
      service: {
        annotations: { 'service.beta.kubernetes.io/a': 'b', 'external-dns.example.org/hostname': 'x' },
      },
    }),
    field: 'service.annotations',
    granted: { serviceAnnotations: ['service.beta.kubernetes.io/', 'external-dns.example.org/hostname'] },
    short: [{ serviceAnnotations: ['service.beta.kubernetes.io/'] }],
  },
  'names in a domain': {
    spec: pair({ dns: { domain: 'nas.example.org' } }),
    field: 'dns.domain',
    granted: { dnsDomains: ['example.org'] },
    short: [{ dnsDomains: ['as.example.org', 'a.nas.example.org'] }],
  },
} satisfies Readonly<Record<string, RequestForGrant>>;
