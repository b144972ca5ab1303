/**
 * What people ask for by annotations on the FilerPair, how the servers answer, and what the operator may not make of it: an
 * answer to an earlier wish is none to this one, and an administrator's confirmation that a server is dead is not dropped on the way.
 */

import {
  leaseAnnotations,
  type RequestAnnotation,
  type RequestResultAnnotation,
  requestAnnotations,
} from '../../kubernetes/labels-and-annotations.ts';
import type { KubernetesObject, Lease } from '../../kubernetes/objects.ts';
import { ANSWERED_ANNOTATION } from '../../operator/model/names.ts';
import type { FilerPairObject } from '../../operator/model/objects.ts';
import type { SeededRandom } from '../../testing/seeded-random.ts';
import type { SimulatedApi } from './api.ts';
import { type Home, homes, type Move, type SimulatedCluster } from './cluster.ts';
import type { Request } from './operator.ts';

const kinds = ['takeover', 'giveback'] as const;

export class Wishes {
  readonly #api: SimulatedApi;
  readonly #random: SeededRandom;
  readonly #cluster: SimulatedCluster;
  /** Whether each request that was ever on a Lease had an administrator's force, by its id. */
  readonly #forced = new Map<string, boolean>();
  /** Ids of requests whose answers were told to somebody. */
  readonly #answered = new Set<string>();
  /** What somebody has asked for last. */
  #asked: { readonly kind: (typeof kinds)[number]; readonly home: Home } = {
    kind: 'takeover',
    home: 'filer-a',
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

  /** Wishes to which nobody has said anything; for the end, when everything is well. */
  unanswered(): string[] {
    return kinds.flatMap((kind) => {
      const home = this.#annotations()[requestAnnotations[kind]];
      return home === undefined ? [] : [`at the end nobody has answered to the ${kind} of ${home}`];
    });
  }

  /** A write of an operator, right before it is carried out. */
  judge({ verb, resource, name, body }: Request): void {
    if (verb !== 'mergePatch' || body === undefined) return;
    const stored = this.#api.find(resource.plural, name);
    const { resourceVersion, annotations } = body.metadata;
    if (resourceVersion !== undefined && resourceVersion !== stored?.metadata.resourceVersion) return;
    if (resource.plural === 'leases') this.#passedOn(annotations);
    if (
      resource.plural === 'filerpairs' &&
      kinds.some((kind) => annotations?.[requestAnnotations[kind]] === null)
    )
      this.#takenOff(annotations?.[ANSWERED_ANNOTATION]?.split(',') ?? []);
  }

  #passedOn(annotations: KubernetesObject['metadata']['annotations']): void {
    const request = parsed<RequestAnnotation>(annotations?.[leaseAnnotations.request]);
    if (request !== null) this.#forced.set(request.id, request.force === true);
  }

  #takenOff(ids: readonly string[]): void {
    const forced = this.#annotations()[requestAnnotations.force] === 'true';
    for (const id of ids) {
      if (this.#answered.has(id))
        this.#cluster.violations.push(`an answer to an earlier wish is taken for one to this: ${id}`);
      if (forced && this.#forced.get(id) === false)
        this.#cluster.violations.push(`an administrator's force is dropped: ${id} was passed on without it`);
      this.#answered.add(id);
    }
  }

  #people(): Move[] {
    const annotations = this.#annotations();
    const asked = kinds.some((kind) => annotations[requestAnnotations[kind]] !== undefined);
    const dead = { [requestAnnotations.force]: 'true', [requestAnnotations.reason]: 'it has burnt' };
    if (!this.#random.chance(asked ? 0.1 : 0.7)) return [];
    if (asked)
      return annotations[requestAnnotations.force] === 'true'
        ? []
        : [['somebody adds that the owner is dead', () => this.#annotate(dead)]];
    // Often the same again: who was refused asks once more.
    if (this.#random.chance(0.4))
      this.#asked = { kind: this.#random.pick(kinds), home: this.#random.pick(homes) };
    const { kind, home } = this.#asked;
    const force = this.#random.chance(0.2) ? dead : {};
    return [
      [
        `somebody asks for the ${kind} of ${home}${force === dead ? ' by force' : ''}`,
        () => this.#annotate({ [requestAnnotations[kind]]: home, ...force }),
      ],
    ];
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
      this.#api.change<Lease>('leases', `home-${home}`, (old) =>
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
        },
      ],
      ...(this.#random.chance(0.3)
        ? [[`${target} refuses to claim ${home}`, () => answer('refused')] as Move]
        : []),
    ]);
  }

  #annotations(): Readonly<Record<string, string>> {
    return this.#api.find<FilerPairObject>('filerpairs', 'home')?.metadata.annotations ?? {};
  }

  #annotate(annotations: Readonly<Record<string, string>>): void {
    this.#api.change<FilerPairObject>('filerpairs', 'home', (old) => withAnnotations(old, annotations));
  }
}

const withAnnotations = <T extends KubernetesObject>(
  object: T,
  annotations: Readonly<Record<string, string>>,
): T => ({
  ...object,
  metadata: { ...object.metadata, annotations: { ...object.metadata.annotations, ...annotations } },
});

const parsed = <T>(text: string | null | undefined): T | null =>
  typeof text === 'string' ? (JSON.parse(text) as T) : null;
