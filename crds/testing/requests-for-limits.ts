/**
 * What FilerPairs ask for beyond their namespace: with limits of a class that are enough for it, and with some that are not.
 */

import type { z } from 'zod';
import type { filerPairClassSpec } from '../filer-pair-class.ts';
import { type AnyObject, example, set } from './examples.ts';

type Limits = z.input<typeof filerPairClassSpec>['limits'];

export interface Request {
  readonly title: string;
  readonly pair: AnyObject;
  /** Field that the refusal names; null: nothing has to be allowed. */
  readonly field: string | null;
  readonly enough: Limits;
  readonly short: readonly Limits[];
}

const request = (
  title: string,
  changes: Readonly<Record<string, unknown>>,
  field: string | null,
  enough: Limits,
  ...short: readonly Limits[]
): Request => {
  const pair = set(example('minimal', 'FilerPair'), 'spec.storage', { type: 'SharedCoherent' });
  for (const [path, value] of Object.entries(changes)) set(pair, path, value);
  return { title, pair, field, enough, short: [{}, ...short] };
};

const lostNodes = (value: object) => ({
  'spec.storage': { type: 'Reattach', reattach: { lostNodes: value } },
});
const reattach = { storageTypes: ['Reattach' as const] };
const pod = (spec: object) => ({ 'spec.podTemplate': { spec } });
const podOfB = (spec: object) => ({ 'spec.servers': [{ name: 'a' }, { name: 'b', podTemplate: { spec } }] });
const required = (term: object) => ({
  affinity: {
    nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [term] } },
  },
});
const preferred = (term: object) => ({
  affinity: {
    nodeAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 1, preference: term }] },
  },
});
const inZone = { matchExpressions: [{ key: 'zone', operator: 'Exists' }] };

export const requestsForLimits: readonly Request[] = [
  request('nothing', {}, null, {}),
  request('a promise of its own', { 'spec.storage.type': 'SameNode' }, null, {}),
  {
    ...request(
      'a promise that the class does not leave to it',
      { 'spec.storage.type': 'SameNode' },
      'storage.type',
      {},
    ),
    short: [{ storageTypes: ['SharedCoherent'] }],
  },
  request('Reattach', { 'spec.storage.type': 'Reattach' }, 'storage.type', reattach, {
    storageTypes: ['SameNode'],
  }),
  request(
    'the network of nodes',
    { 'spec.exposure': { type: 'HostNetwork' } },
    'exposure.type',
    { exposureTypes: ['HostNetwork'] },
    { exposureTypes: ['NodePort', 'LoadBalancer'] },
  ),
  request(
    'a load balancer',
    { 'spec.exposure': { type: 'LoadBalancer' } },
    'exposure.type',
    { exposureTypes: ['LoadBalancer'] },
    { exposureTypes: ['NodePort'] },
  ),
  request(
    'annotations of Services',
    {
      'spec.exposure': {
        serviceTemplate: { metadata: { annotations: { 'example.org/pool': 'x', other: 'y' } } },
      },
    },
    'exposure.serviceTemplate.metadata.annotations',
    { serviceAnnotations: ['example.org/', 'other'] },
    { serviceAnnotations: ['example.org/'] },
  ),
  request(
    'a domain',
    { 'spec.names': { domain: 'nas.example.org' } },
    'names.domain',
    { domains: ['example.org'] },
    { domains: ['other.org', 'as.example.org'] },
  ),
  request(
    'a domain that somebody else publishes',
    { 'spec.names': { domain: 'nas.example.org', publisher: 'None' } },
    null,
    {},
  ),
  request(
    'labels of nodes',
    pod({ nodeSelector: { zone: 'z1' } }),
    'podTemplate.spec.nodeSelector',
    { nodeSelectors: ['zone'] },
    { nodeSelectors: ['zon', 'zone/'] },
  ),
  request(
    'labels of nodes, by one server',
    podOfB({ nodeSelector: { zone: 'z1' } }),
    'podTemplate.spec.nodeSelector',
    { nodeSelectors: ['*'] },
  ),
  request(
    'labels of nodes, by affinity',
    pod(required(inZone)),
    'podTemplate.spec.affinity',
    { nodeSelectors: ['zone'] },
    { nodeSelectors: ['other'] },
  ),
  request(
    'labels of nodes, by preference',
    podOfB(preferred(inZone)),
    'podTemplate.spec.affinity',
    { nodeSelectors: ['zone'] },
    { nodeSelectors: ['other'] },
  ),
  request(
    'nodes by name',
    pod(required({ matchFields: [{ key: 'metadata.name', operator: 'In', values: ['n1'] }] })),
    'podTemplate.spec.affinity',
    { nodeSelectors: ['*'] },
    { nodeSelectors: ['metadata.name'] },
  ),
  request(
    'a toleration',
    pod({ tolerations: [{ key: 'dedicated', operator: 'Exists' }] }),
    'podTemplate.spec.tolerations',
    { tolerations: ['dedicated'] },
    { tolerations: ['other'] },
  ),
  request(
    'a toleration of everything',
    pod({ tolerations: [{ operator: 'Exists' }] }),
    'podTemplate.spec.tolerations',
    { tolerations: ['*'] },
    { tolerations: ['dedicated'] },
  ),
  request(
    'a priority',
    podOfB({ priorityClassName: 'storage' }),
    'podTemplate.spec.priorityClassName',
    { priorityClasses: ['storage'] },
    { priorityClasses: ['stor'] },
  ),
  request(
    'a runtime',
    pod({ runtimeClassName: 'kata' }),
    'podTemplate.spec.runtimeClassName',
    { runtimeClasses: ['kata'] },
    { runtimeClasses: ['gvisor'] },
  ),
  request(
    'a scheduler',
    pod({ schedulerName: 'mine' }),
    'podTemplate.spec.schedulerName',
    { schedulers: ['*'] },
    { schedulers: ['other'] },
  ),
  request('to wait for lost nodes', lostNodes({ policy: 'Wait' }), 'storage.type', reattach),
  request(
    'lost nodes marked on confirmation',
    lostNodes({ policy: 'Confirmed' }),
    'storage.',
    { ...reattach, lostNodes: { policies: ['Confirmed'] } },
    reattach,
    { ...reattach, lostNodes: { policies: ['AfterTimeout'] } },
  ),
  request(
    'lost nodes marked after a time',
    lostNodes({ policy: 'AfterTimeout', timeout: '90s' }),
    'storage.',
    { ...reattach, lostNodes: { policies: ['AfterTimeout'], minTimeout: '90s' } },
    { ...reattach, lostNodes: { policies: ['AfterTimeout'], minTimeout: '91s' } },
  ),
  request(
    'lost nodes marked too soon',
    lostNodes({ policy: 'AfterTimeout', timeout: '59s' }),
    'storage.',
    { ...reattach, lostNodes: { policies: ['AfterTimeout'], minTimeout: '10s' } },
    { ...reattach, lostNodes: { policies: ['AfterTimeout'] } },
  ),
];
