// What a FilerPair may ask for that reaches beyond its own namespace. The administrator grants it by namespace, in the values of
// the operator's chart; without a grant all of it is refused. Each rule is written in CEL, for the API server, where the chart
// installs them as a ValidatingAdmissionPolicy. It is also written in TypeScript, for the operator, which makes nothing for a
// FilerPair that breaks one. Such a pair may be older than the policy, and a policy can be deleted.

import { z } from 'zod';
import type { FilerPairSpec } from './filerpair.ts';
import { durationMs, durationPattern } from './quantities.ts';

const names = z.array(z.string().min(1)).default([]);

const grant = z.strictObject({
  namespaces: z.array(z.string().min(1)).min(1),
  features: z.array(z.enum(['Reattach', 'HostNetwork'])).default([]),
  images: names,
  nodeSelectors: names,
  tolerations: names,
  priorityClasses: names,
  serviceAnnotations: names,
  dnsDomains: names,
  lostNodes: z.array(z.enum(['Confirmed', 'Silent'])).default([]),
  /** One duration. A list like everything else: CEL wants values of one type in a map. */
  lostNodesSilentMin: z.array(z.string().regex(durationPattern)).length(1).default(['60s']),
});

/** As the chart passes them to the operator: `allowed` of its values. */
export const grants = z.array(grant);
export type Grant = z.output<typeof grant>;

export interface GrantRule {
  /** CEL over `variables.spec`, the FilerPair's, and `variables.granted`: the grants for its namespace. */
  readonly cel: string;
  /** Of the spec: what the message is about. */
  readonly field: string;
  readonly message: string;
  readonly holds: (spec: FilerPairSpec, granted: readonly Grant[]) => boolean;
}

type Key = 'images' | 'nodeSelectors' | 'tolerations' | 'priorityClasses' | 'serviceAnnotations';

/** `*` is everything, what ends in `/` is a beginning, everything else is the whole. */
const matches = (pattern: string, value: string): boolean =>
  pattern === '*' || pattern === value || (pattern.endsWith('/') && value.startsWith(pattern));

const isGranted = (granted: readonly Grant[], key: Key, value: string): boolean =>
  granted.some((one) => one[key].some((pattern) => matches(pattern, value)));

const celGranted = (key: Key, value: string): string =>
  `variables.granted.exists(g, g.${key}.exists(p, p == '*' || p == ${value} || (p.endsWith('/') && ${value}.startsWith(p))))`;

const hasFeature = (granted: readonly Grant[], feature: Grant['features'][number]): boolean =>
  granted.some(({ features }) => features.includes(feature));

const celFeature = (feature: Grant['features'][number]): string =>
  `variables.granted.exists(g, '${feature}' in g.features)`;

const askAdministrator = (key: string): string =>
  `An administrator grants it by namespace, with allowed[].${key} in the values of the operator's chart.`;

type Placement = NonNullable<FilerPairSpec['servers'][number]['placement']>;

const everyPlacement = (spec: FilerPairSpec, holds: (placement: Placement) => boolean): boolean =>
  spec.servers.every(({ placement }) => placement === undefined || holds(placement));

/** Of both servers, where `member` is set. */
const celEveryPlacement = (member: string, cel: string): string =>
  `variables.spec.servers.all(s, !has(s.placement) || !has(s.placement.${member}) || ${cel})`;

export const grantRules: readonly GrantRule[] = [
  {
    cel: `!has(variables.spec.image) || ${celGranted('images', 'variables.spec.image')}`,
    field: 'image',
    message: `this image is not granted to FilerPairs of this namespace: it would run as root. ${askAdministrator('images')}`,
    holds: ({ image }, granted) => image === undefined || isGranted(granted, 'images', image),
  },
  {
    cel: `!has(variables.spec.hostNetwork) || !variables.spec.hostNetwork || ${celFeature('HostNetwork')}`,
    field: 'hostNetwork',
    message: `the network of nodes is not granted to FilerPairs of this namespace. ${askAdministrator('features: [HostNetwork]')}`,
    holds: ({ hostNetwork }, granted) => !hostNetwork || hasFeature(granted, 'HostNetwork'),
  },
  {
    cel: `!has(variables.spec.storage.transfer) || variables.spec.storage.transfer != 'Reattach' || ${celFeature('Reattach')}`,
    field: 'storage.transfer',
    message: `Reattach is not granted to FilerPairs of this namespace: it needs privileged pods. ${askAdministrator('features: [Reattach]')}`,
    holds: ({ storage }, granted) => storage.transfer !== 'Reattach' || hasFeature(granted, 'Reattach'),
  },
  {
    cel: `!has(variables.spec.storage.lostNodes) || !has(variables.spec.storage.lostNodes.policy) || variables.spec.storage.lostNodes.policy == 'Wait' || variables.granted.exists(g, variables.spec.storage.lostNodes.policy in g.lostNodes && (variables.spec.storage.lostNodes.policy != 'Silent' || duration(variables.spec.storage.lostNodes.after) >= duration(g.lostNodesSilentMin[0])))`,
    field: 'storage.lostNodes',
    message: `this policy, or so short a time, is not granted to FilerPairs of this namespace: a node that is marked as out of service loses the disks of everybody. ${askAdministrator('lostNodes and lostNodesSilentMin')}`,
    holds: ({ storage: { lostNodes } }, granted) =>
      lostNodes.policy === 'Wait' ||
      granted.some(
        (one) =>
          (one.lostNodes as readonly string[]).includes(lostNodes.policy) &&
          (lostNodes.policy !== 'Silent' ||
            durationMs(lostNodes.after) >= durationMs(one.lostNodesSilentMin[0]!)),
      ),
  },
  {
    cel: celEveryPlacement(
      'nodeSelector',
      `s.placement.nodeSelector.all(k, ${celGranted('nodeSelectors', 'k')})`,
    ),
    field: 'servers[].placement.nodeSelector',
    message: `one of these labels is not granted to FilerPairs of this namespace. ${askAdministrator('nodeSelectors')}`,
    holds: (spec, granted) =>
      everyPlacement(spec, ({ nodeSelector = {} }) =>
        Object.keys(nodeSelector).every((key) => isGranted(granted, 'nodeSelectors', key)),
      ),
  },
  {
    // Without a key a toleration is one of every taint: only * grants that.
    cel: celEveryPlacement(
      'tolerations',
      `s.placement.tolerations.all(t, ${celGranted('tolerations', "(has(t.key) ? t.key : '')")})`,
    ),
    field: 'servers[].placement.tolerations',
    message: `one of these taints is not granted to FilerPairs of this namespace. ${askAdministrator('tolerations')}`,
    holds: (spec, granted) =>
      everyPlacement(spec, ({ tolerations = [] }) =>
        tolerations.every(({ key = '' }) => isGranted(granted, 'tolerations', key)),
      ),
  },
  {
    cel: celEveryPlacement(
      'priorityClassName',
      celGranted('priorityClasses', 's.placement.priorityClassName'),
    ),
    field: 'servers[].placement.priorityClassName',
    message: `this PriorityClass is not granted to FilerPairs of this namespace. ${askAdministrator('priorityClasses')}`,
    holds: (spec, granted) =>
      everyPlacement(
        spec,
        ({ priorityClassName: name }) => name === undefined || isGranted(granted, 'priorityClasses', name),
      ),
  },
  {
    cel: `!has(variables.spec.service) || !has(variables.spec.service.annotations) || variables.spec.service.annotations.all(k, ${celGranted('serviceAnnotations', 'k')})`,
    field: 'service.annotations',
    message: `one of these annotations is not granted to FilerPairs of this namespace. ${askAdministrator('serviceAnnotations')}`,
    holds: ({ service: { annotations = {} } }, granted) =>
      Object.keys(annotations).every((key) => isGranted(granted, 'serviceAnnotations', key)),
  },
  {
    cel: "!has(variables.spec.dns) || (has(variables.spec.dns.publish) && !variables.spec.dns.publish) || variables.granted.exists(g, g.dnsDomains.exists(d, d == '*' || d == variables.spec.dns.domain || variables.spec.dns.domain.endsWith('.' + d)))",
    field: 'dns.domain',
    message: `this domain is not granted to FilerPairs of this namespace. ${askAdministrator('dnsDomains')} With dns.publish false nothing is published, and nothing needs to be granted.`,
    holds: ({ dns }, granted) =>
      dns === undefined ||
      !dns.publish ||
      granted.some(({ dnsDomains }) =>
        dnsDomains.some(
          (domain) => domain === '*' || domain === dns.domain || dns.domain.endsWith(`.${domain}`),
        ),
      ),
  },
];

/** What the spec asks for without a grant, one sentence each, as the API server says it. */
export function notGranted(spec: FilerPairSpec, namespace: string, all: readonly Grant[]): string[] {
  const granted = all.filter(({ namespaces }) => namespaces.some((one) => one === '*' || one === namespace));
  return grantRules.filter(({ holds }) => !holds(spec, granted)).map(sentenceOf);
}

export const sentenceOf = ({ field, message }: GrantRule): string => `spec.${field}: ${message}`;

/** `spec.validations` of the ValidatingAdmissionPolicy. */
export const grantValidations = (): object[] =>
  grantRules.map((rule) => ({ expression: rule.cel, message: sentenceOf(rule), reason: 'Forbidden' }));
