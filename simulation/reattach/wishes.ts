/**
 * FilerPairOperations of administrators, the servers' answers, and what the operator may not make of them. An operation
 * never acts again after its end, also when Git creates it again, and a confirmation that a server is dead is not dropped on the way.
 */

import {
  leaseAnnotations,
  type RequestAnnotation,
  type RequestResultAnnotation,
} from '../../kubernetes/labels-and-annotations.ts';
import type { KubernetesObject, Lease } from '../../kubernetes/objects.ts';
import type { FilerPairOperationObject } from '../../operator/model/objects.ts';
import type { SeededRandom } from '../../testing/seeded-random.ts';
import type { SimulatedApi } from './api.ts';
import { type Home, homes, type Move, type SimulatedCluster } from './cluster.ts';
import type { Request } from './operator.ts';

const kinds = ['takeover', 'giveback'] as const;

export class Wishes {
  readonly #api: SimulatedApi;
  readonly #random: SeededRandom;
  readonly #cluster: SimulatedCluster;
  #made = 0;
  /** Names of those without an epoch that the servers have carried out. */
  readonly #done = new Set<string>();
  /** The move that somebody has asked for last. */
  #asked: { readonly kind: (typeof kinds)[number]; readonly home: Home } = {
    kind: 'takeover',
    home: 'a',
  };

  constructor(api: SimulatedApi, random: SeededRandom, cluster: SimulatedCluster) {
    this.#api = api;
    this.#random = random;
    this.#cluster = cluster;
  }

  moves(): Move[] {
    return [
      ...(this.#cluster.striking ? this.#people() : []),
      ...homes.flatMap((home) => this.#servers(home)),
    ];
  }

  /** Operations to which nobody has said anything; for the end, when everything is well. */
  unanswered(): string[] {
    return this.#operations()
      .filter((one) => !hasEnded(one))
      .map(({ metadata, spec }) => `at the end nobody has answered to the ${spec.type} ${metadata.name}`);
  }

  /** A write of an operator, right before it is carried out. */
  judge({ verb, resource, name, body }: Request): void {
    if (verb !== 'mergePatch' || body === undefined || resource.plural !== 'leases') return;
    const stored = this.#api.find(resource.plural, name);
    const { resourceVersion, annotations } = body.metadata;
    if (resourceVersion !== undefined && resourceVersion !== stored?.metadata.resourceVersion) return;
    const request = parsed<RequestAnnotation>(annotations?.[leaseAnnotations.request]);
    const uid = request?.id.startsWith('operation-') ? request.id.slice('operation-'.length) : null;
    const operation = this.#operations().find(({ metadata }) => metadata.uid === uid);
    if (request === null || operation === undefined) return;
    const { name: asked = '' } = operation.metadata;
    if (hasEnded(operation)) this.#cluster.violations.push(`operation ${asked} has ended, and acts again`);
    if (this.#done.has(asked))
      this.#cluster.violations.push(`operation ${asked} was carried out, and acts again`);
    const { force } = operation.spec.takeover ?? operation.spec.giveback ?? {};
    if (force !== undefined && request.force !== true)
      this.#cluster.violations.push(`an administrator's force is dropped: ${asked} was passed on without it`);
  }

  #people(): Move[] {
    const open = this.#operations().filter((one) => !hasEnded(one));
    const ended = this.#operations().filter(hasEnded);
    if (ended.length > 0 && this.#random.chance(0.2)) {
      const { metadata, spec } = this.#random.pick(ended);
      const { name = '', namespace, generation } = metadata;
      return [
        [
          `Git creates ${name} again`,
          () => {
            this.#api.remove('filerpairoperations', name);
            const again = { metadata: { name, namespace, generation }, spec };
            this.#api.add('filerpairoperations', again as KubernetesObject);
          },
        ],
      ];
    }
    if (!this.#random.chance(open.length > 0 ? 0.1 : 0.7)) return [];
    // Often the same again: who was refused asks once more.
    if (this.#random.chance(0.4))
      this.#asked = { kind: this.#random.pick(kinds), home: this.#random.pick(homes) };
    const { kind, home } = this.#asked;
    const forced = this.#random.chance(0.2);
    return [
      [
        `somebody asks for the ${kind} of ${home}${forced ? ' by force' : ''}`,
        () => this.#ask(kind, home, forced),
      ],
    ];
  }

  #ask(kind: (typeof kinds)[number], home: Home, forced: boolean): void {
    const { holderIdentity: deadIncarnation = '', leaseTransitions: ifEpoch = 0 } =
      this.#cluster.lease(home).spec ?? {};
    const force = forced
      ? { ifEpoch, force: deadIncarnation === '' ? {} : { deadIncarnation } }
      : this.#random.chance(0.3)
        ? { ifEpoch }
        : {};
    const operation = {
      metadata: { name: `wish-${++this.#made}`, namespace: 'storage', generation: 1 },
      spec: {
        pairRef: { name: 'home' },
        type: kind === 'takeover' ? 'Takeover' : 'Giveback',
        [kind]: { server: home, ...force },
        // Nothing in the model renews certificates, which a week would end.
        ttlSecondsAfterFinished: 600,
      },
    };
    this.#api.add('filerpairoperations', operation as KubernetesObject);
  }

  #servers(home: Home): Move[] {
    const { annotations = {} } = this.#cluster.lease(home).metadata;
    const request = parsed<RequestAnnotation>(annotations[leaseAnnotations.request]);
    const result = parsed<RequestResultAnnotation>(annotations[leaseAnnotations.requestResult]);
    if (request === null || result?.id === request.id || this.#cluster.claim(home) === undefined) return [];
    const partner = homes.find((one) => one !== home)!;
    const target = request.kind === 'takeover' ? partner : home;
    const answer = (what: 'done' | 'refused'): void => {
      const text = JSON.stringify({ id: request.id, result: what, message: `${target}: ${what}` });
      this.#api.change<Lease>('leases', `home.${home}`, (old) =>
        withAnnotations(old, {
          [leaseAnnotations.requestResult]: text,
        }),
      );
    };
    return this.#cluster.serversOf(target).flatMap((claim): Move[] => [
      [
        `${target} claims ${home} as it was asked to`,
        () => {
          if (this.#cluster.holder(home)?.server !== target) claim(home);
          answer('done');
          this.#isDone(request.id);
        },
      ],
      ...(this.#random.chance(0.3)
        ? [[`${target} refuses to claim ${home}`, () => answer('refused')] as Move]
        : []),
    ]);
  }

  #isDone(request: string): void {
    const operation = this.#operations().find(({ metadata }) => request === `operation-${metadata.uid}`);
    const { ifEpoch } = operation?.spec.takeover ?? operation?.spec.giveback ?? {};
    if (operation !== undefined && ifEpoch === undefined) this.#done.add(operation.metadata.name ?? '');
  }

  #operations(): readonly FilerPairOperationObject[] {
    return this.#api
      .snapshot<FilerPairOperationObject>('filerpairoperations')
      .filter(({ spec }) => spec.type === 'Takeover' || spec.type === 'Giveback');
  }
}

const hasEnded = ({ status }: FilerPairOperationObject): boolean =>
  status?.conditions?.some((one) => one.status === 'True') === true;

const withAnnotations = <T extends KubernetesObject>(
  object: T,
  annotations: Readonly<Record<string, string>>,
): T => ({
  ...object,
  metadata: { ...object.metadata, annotations: { ...object.metadata.annotations, ...annotations } },
});

const parsed = <T>(text: string | null | undefined): T | null =>
  typeof text === 'string' ? (JSON.parse(text) as T) : null;
