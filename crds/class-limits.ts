/**
 * What a FilerPair may ask for that reaches beyond its own namespace: what its FilerPairClass allows. Each rule is written in
 * CEL for the API server, where the chart installs them as a ValidatingAdmissionPolicy with the class as its parameter. It is
 * also written in TypeScript for the operator, which makes nothing for a FilerPair that breaks one.
 */

import type { z } from 'zod';
import type { FilerPairClassSpec } from './filer-pair-class.ts';
import { DEFAULT_CLASS_ANNOTATION } from './filer-pair-class.ts';
import type { PodTemplate } from './pair/pod-template.ts';
import type { filerPairSpec } from './pair/spec.ts';
import { storageTypes } from './pair/storage.ts';
import { durationMs } from './quantities.ts';

// Such a pair may be older than the policy, its class may have changed since, and a policy can be deleted.

type Spec = z.output<typeof filerPairSpec>;
type Limits = FilerPairClassSpec['limits'];

export interface Namespace {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

export interface LimitRule {
  /** CEL over `variables.spec` and `variables.limits`. */
  readonly cel: string;
  /** Path in the FilerPair's spec that the message is about. */
  readonly field: string;
  readonly message: string;
  readonly holds: (spec: Spec, limits: Limits) => boolean;
}

type PatternList =
  | 'serviceAnnotations'
  | 'nodeSelectors'
  | 'tolerations'
  | 'priorityClasses'
  | 'runtimeClasses'
  | 'schedulers';

/** `*` is everything, what ends in `/` is a beginning, everything else is the whole. */
const matches = (pattern: string, value: string): boolean =>
  pattern === '*' || pattern === value || (pattern.endsWith('/') && value.startsWith(pattern));

const allows = (limits: Limits, list: PatternList, value: string): boolean =>
  (limits[list] ?? []).some((pattern) => matches(pattern, value));

const celAllows = (list: PatternList, value: string): string =>
  `(has(variables.limits.${list}) && variables.limits.${list}.exists(p, p == '*' || p == ${value} || (p.endsWith('/') && ${value}.startsWith(p))))`;

const seeClass = (member: string): string =>
  `The administrator allows it with spec.limits.${member} of a FilerPairClass.`;

type PodSpec = NonNullable<PodTemplate['spec']>;

const everyPodSpec = (spec: Spec, holds: (pod: PodSpec) => boolean): boolean =>
  [spec.podTemplate, ...spec.servers.map(({ podTemplate }) => podTemplate)].every(
    (template) => template?.spec === undefined || holds(template.spec),
  );

/** `of('…podTemplate.spec')` where the pair or a server has that member. */
function celEveryPodSpec(members: readonly string[], of: (pod: string) => string): string {
  const where = (owner: string): string => {
    const steps = ['podTemplate', 'spec', ...members];
    const missing = steps.map((_, n) => `!has(${[owner, ...steps.slice(0, n + 1)].join('.')})`);
    return `(${missing.join(' || ')} || (${of(`${owner}.podTemplate.spec`)}))`;
  };
  return `${where('variables.spec')} && (!has(variables.spec.servers) || variables.spec.servers.all(s, ${where('s')}))`;
}

/** Without a list in the class: those that put nobody else's data or node at risk. */
const OWN_RISK = storageTypes.filter((type) => type !== 'Reattach');

const PREFERRED = 'preferredDuringSchedulingIgnoredDuringExecution';
const REQUIRED = 'requiredDuringSchedulingIgnoredDuringExecution';

type NodeTerm = {
  readonly matchExpressions?: readonly { readonly key: string }[] | undefined;
  readonly matchFields?: readonly unknown[] | undefined;
};

const termsOf = (pod: PodSpec): readonly NodeTerm[] => {
  const affinity = pod.affinity?.nodeAffinity;
  return [
    ...(affinity?.[REQUIRED]?.nodeSelectorTerms ?? []),
    ...(affinity?.[PREFERRED] ?? []).map(({ preference }) => preference),
  ];
};

const celTerm = (term: string): string =>
  `(!has(${term}.matchFields) || size(${term}.matchFields) == 0 || ${celAllows('nodeSelectors', "'*'")}) && (!has(${term}.matchExpressions) || ${term}.matchExpressions.all(e, ${celAllows('nodeSelectors', 'e.key')}))`;

const named = (
  list: 'priorityClasses' | 'runtimeClasses' | 'schedulers',
  member: 'priorityClassName' | 'runtimeClassName' | 'schedulerName',
  what: string,
): LimitRule => ({
  cel: celEveryPodSpec([member], (pod) => celAllows(list, `${pod}.${member}`)),
  field: `podTemplate.spec.${member}`,
  message: `${what} is not allowed by the class. ${seeClass(list)}`,
  holds: (spec, limits) =>
    everyPodSpec(spec, ({ [member]: name }) => name === undefined || allows(limits, list, name)),
});

const LOST = 'variables.spec.storage.reattach.lostNodes';

export const limitRules: readonly LimitRule[] = [
  {
    cel: `!has(variables.spec.storage) || (has(variables.limits.storageTypes) ? variables.spec.storage.type in variables.limits.storageTypes : variables.spec.storage.type in [${OWN_RISK.map((type) => `'${type}'`).join(', ')}])`,
    field: 'storage.type',
    message: `this type is not allowed by the class; Reattach needs privileged pods. ${seeClass('storageTypes')}`,
    holds: ({ storage }, { storageTypes: allowed = OWN_RISK }) =>
      storage === undefined || allowed.includes(storage.type),
  },
  {
    cel: "!has(variables.spec.exposure) || !has(variables.spec.exposure.type) || variables.spec.exposure.type == 'ClusterIP' || (has(variables.limits.exposureTypes) && variables.spec.exposure.type in variables.limits.exposureTypes)",
    field: 'exposure.type',
    message: `this type is not allowed by the class. ${seeClass('exposureTypes')}`,
    holds: ({ exposure: { type } }, { exposureTypes: allowed = [] }) =>
      type === 'ClusterIP' || allowed.includes(type),
  },
  {
    cel: `!has(variables.spec.exposure) || !has(variables.spec.exposure.serviceTemplate) || !has(variables.spec.exposure.serviceTemplate.metadata) || !has(variables.spec.exposure.serviceTemplate.metadata.annotations) || variables.spec.exposure.serviceTemplate.metadata.annotations.all(k, ${celAllows('serviceAnnotations', 'k')})`,
    field: 'exposure.serviceTemplate.metadata.annotations',
    message: `one of these annotations is not allowed by the class. ${seeClass('serviceAnnotations')}`,
    holds: ({ exposure: { serviceTemplate } }, limits) =>
      Object.keys(serviceTemplate?.metadata?.annotations ?? {}).every((key) =>
        allows(limits, 'serviceAnnotations', key),
      ),
  },
  {
    cel: "!has(variables.spec.names) || !has(variables.spec.names.domain) || (has(variables.spec.names.publisher) && variables.spec.names.publisher == 'None') || (has(variables.limits.domains) && variables.limits.domains.exists(d, d == '*' || d == variables.spec.names.domain || variables.spec.names.domain.endsWith('.' + d)))",
    field: 'names.domain',
    message: `this domain is not allowed by the class. ${seeClass('domains')} With names.publisher None nothing is published, and nothing has to be allowed.`,
    holds: ({ names: { domain, publisher } }, { domains = [] }) =>
      domain === undefined ||
      publisher === 'None' ||
      domains.some((one) => one === '*' || one === domain || domain.endsWith(`.${one}`)),
  },
  {
    cel: celEveryPodSpec(
      ['nodeSelector'],
      (pod) => `${pod}.nodeSelector.all(k, ${celAllows('nodeSelectors', 'k')})`,
    ),
    field: 'podTemplate.spec.nodeSelector',
    message: `one of these labels is not allowed by the class. ${seeClass('nodeSelectors')}`,
    holds: (spec, limits) =>
      everyPodSpec(spec, ({ nodeSelector = {} }) =>
        Object.keys(nodeSelector).every((key) => allows(limits, 'nodeSelectors', key)),
      ),
  },
  {
    cel: `${celEveryPodSpec(['affinity', 'nodeAffinity', REQUIRED], (pod) => `${pod}.affinity.nodeAffinity.${REQUIRED}.nodeSelectorTerms.all(t, ${celTerm('t')})`)} && ${celEveryPodSpec(['affinity', 'nodeAffinity', PREFERRED], (pod) => `${pod}.affinity.nodeAffinity.${PREFERRED}.all(t, ${celTerm('t.preference')})`)}`,
    field: 'podTemplate.spec.affinity.nodeAffinity',
    message: `one of these labels is not allowed by the class; fields of nodes need \`*\`. ${seeClass('nodeSelectors')}`,
    holds: (spec, limits) =>
      everyPodSpec(spec, (pod) =>
        termsOf(pod).every(
          ({ matchExpressions = [], matchFields = [] }) =>
            (matchFields.length === 0 || allows(limits, 'nodeSelectors', '*')) &&
            matchExpressions.every(({ key }) => allows(limits, 'nodeSelectors', key)),
        ),
      ),
  },
  {
    // Without a key a toleration is one of every taint: only * allows that.
    cel: celEveryPodSpec(
      ['tolerations'],
      (pod) => `${pod}.tolerations.all(t, ${celAllows('tolerations', "(has(t.key) ? t.key : '')")})`,
    ),
    field: 'podTemplate.spec.tolerations',
    message: `one of these taints is not allowed by the class. ${seeClass('tolerations')}`,
    holds: (spec, limits) =>
      everyPodSpec(spec, ({ tolerations = [] }) =>
        tolerations.every(({ key = '' }) => allows(limits, 'tolerations', key)),
      ),
  },
  named('priorityClasses', 'priorityClassName', 'this PriorityClass'),
  named('runtimeClasses', 'runtimeClassName', 'this RuntimeClass'),
  named('schedulers', 'schedulerName', 'this scheduler'),
  {
    cel: `!has(variables.spec.storage) || !has(variables.spec.storage.reattach) || !has(${LOST}) || ${LOST}.policy == 'Wait' || (has(variables.limits.lostNodes) && ${LOST}.policy in variables.limits.lostNodes.policies && (${LOST}.policy != 'AfterTimeout' || duration(${LOST}.timeout) >= duration(has(variables.limits.lostNodes.minTimeout) ? variables.limits.lostNodes.minTimeout : '60s')))`,
    field: 'storage.reattach.lostNodes',
    message: `this policy, or so short a timeout, is not allowed by the class: a node that is marked as out of service loses the disks of every tenant. ${seeClass('lostNodes')}`,
    holds: ({ storage }, { lostNodes }) => {
      const asked = storage?.reattach?.lostNodes;
      if (asked === undefined || asked.policy === 'Wait') return true;
      if (lostNodes === undefined || !lostNodes.policies.includes(asked.policy)) return false;
      return (
        asked.policy !== 'AfterTimeout' ||
        durationMs(asked.timeout!) >= durationMs(lostNodes.minTimeout ?? '60s')
      );
    },
  },
];

const CEL_NAMESPACE =
  "params.spec.allowedNamespaces.from == 'All' || (params.spec.allowedNamespaces.from == 'Names' && request.namespace in params.spec.allowedNamespaces.names) || (params.spec.allowedNamespaces.from == 'Labels' && params.spec.allowedNamespaces.matchLabels.all(k, has(namespaceObject.metadata.labels) && k in namespaceObject.metadata.labels && namespaceObject.metadata.labels[k] == params.spec.allowedNamespaces.matchLabels[k]))";

const NAMESPACE_MESSAGE =
  'spec.className: the class is not for FilerPairs of this namespace. The administrator allows it with spec.allowedNamespaces of the FilerPairClass.';

export function allowsNamespace(
  { allowedNamespaces: allowed }: FilerPairClassSpec,
  namespace: Namespace,
): boolean {
  if (allowed.from === 'All') return true;
  if (allowed.from === 'Names') return (allowed.names ?? []).includes(namespace.name);
  return Object.entries(allowed.matchLabels ?? {}).every(([key, value]) => namespace.labels[key] === value);
}

/** Limits for FilerPairs without a class. */
export const noLimits: Limits = {};

/** What the spec asks for that its class does not allow, one sentence each, as the API server says it. */
export function notAllowed(spec: Spec, namespace: Namespace, its: FilerPairClassSpec | null): string[] {
  if (its !== null && !allowsNamespace(its, namespace)) return [NAMESPACE_MESSAGE];
  return limitRules.filter(({ holds }) => !holds(spec, its?.limits ?? noLimits)).map(sentenceOf);
}

const sentenceOf = ({ field, message }: LimitRule): string => `spec.${field}: ${message}`;

/** Members of the spec that rules are about. */
const limited = ['className', 'storage', 'servers', 'exposure', 'names', 'podTemplate'] as const;

const celChanged = (member: string): string => {
  const [now, before] = [`object.spec.${member}`, `oldObject.spec.${member}`];
  return `has(${now}) != has(${before}) || (has(${now}) && ${now} != ${before})`;
};

/**
 * Parts of the ValidatingAdmissionPolicy's spec. The API server asks it once for each class there is: `variables.applies` is true
 * for the one that the FilerPair has. A change of anything else is let through: a FilerPair whose class has become stricter runs
 * on, and can be drained.
 */
export const limitPolicy = (): Readonly<
  Record<'matchConditions' | 'variables' | 'validations', object[]>
> => ({
  matchConditions: [
    {
      name: 'limited-members-change',
      expression: `request.operation == 'CREATE' || ${limited.map(celChanged).join(' || ')}`,
    },
  ],
  variables: [
    { name: 'spec', expression: 'object.spec' },
    {
      name: 'applies',
      expression: `has(object.spec.className) ? object.spec.className == params.metadata.name : has(params.metadata.annotations) && '${DEFAULT_CLASS_ANNOTATION}' in params.metadata.annotations && params.metadata.annotations['${DEFAULT_CLASS_ANNOTATION}'] == 'true'`,
    },
    { name: 'limits', expression: 'params.spec.limits' },
  ],
  validations: [
    { expression: `!variables.applies || ${CEL_NAMESPACE}`, message: NAMESPACE_MESSAGE, reason: 'Forbidden' },
    ...limitRules.map((rule) => ({
      expression: `!variables.applies || (${rule.cel})`,
      message: sentenceOf(rule),
      reason: 'Forbidden',
    })),
  ],
});
