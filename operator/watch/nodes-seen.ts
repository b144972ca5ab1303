/** When this process saw nodes become ready, silent or gone, by its own clock. */

import type { KubernetesObject } from '../../kubernetes/objects.ts';
import type { Change } from '../../kubernetes/reflector.ts';
import { resources } from '../../kubernetes/resource.ts';
import { byName } from '../model/by-name.ts';
import type { Node, Pod, VolumeAttachment } from '../model/objects.ts';
import type { Observed } from '../model/observed.ts';
import { watchedKinds } from '../model/watched-kinds.ts';
import type { ClusterCopy } from './cluster-copy.ts';
import { objectOf } from './concerned-pairs.ts';
import type { DirectRead } from './direct-read.ts';

export class NodesSeen {
  readonly #copy: ClusterCopy;
  readonly #read: DirectRead;
  #byName: Observed['nodes'] | null = null;
  /** By name of a node: when its condition Ready became as it is. ms of this process's clock */
  readonly #readiness = new Map<string, number>();
  /** By name of a node that the API does not have: when it first said so. ms of this process's clock */
  readonly #gone = new Map<string, number>();

  constructor(copy: ClusterCopy, read: DirectRead) {
    this.#copy = copy;
    this.#read = read;
  }

  changed(change: Change<KubernetesObject>): void {
    this.#byName = null;
    const { name = '' } = objectOf(change).metadata;
    this.#gone.delete(name);
    if (change.kind === 'deleted') this.#readiness.delete(name);
    else if (change.kind === 'added' || readinessOf(change.object) !== readinessOf(change.previous))
      this.#readiness.set(name, performance.now());
  }

  /** Made anew after changes only: with many nodes it is the largest part of what a decision is given. */
  byName(): Observed['nodes'] {
    this.#byName ??= byName(
      [...this.#copy.values('nodes')].map((node) => [node.metadata.name ?? '', node] as const),
    );
    return this.#byName;
  }

  /**
   * The nodes, and since when those are ready, or gone, that may matter to a pair: as times of the wall clock of now, which may have been
   * set meanwhile. The watch of nodes may lag behind that of pods, and a Node may register anew under its name. So a node that the
   * copy lacks is asked for before anything is concluded from its absence.
   */
  async of(
    pods: readonly Pod[],
    attachments: readonly VolumeAttachment[],
  ): Promise<Pick<Observed, 'nodes' | 'readinessSince' | 'nodesGone'>> {
    const found = byName<Node>();
    const nodesGone = byName<number>();
    for (const name of new Set(pods.flatMap(({ spec }) => spec?.nodeName ?? []))) {
      if (this.#copy.get('nodes', undefined, name) !== undefined) continue;
      const node = await this.#read<Node>(resources.nodes, undefined, name);
      if (typeof node === 'object') {
        found[name] = watchedKinds.nodes.keep(node);
        this.#gone.delete(name);
      } else if (node === 'absent') {
        const since = this.#gone.get(name) ?? performance.now();
        this.#gone.set(name, since);
        nodesGone[name] = wallClockOf(since);
      }
    }
    const readinessSince = byName<number>();
    for (const { spec } of [...pods, ...attachments]) {
      const since = this.#readiness.get(spec?.nodeName ?? '');
      if (since !== undefined) readinessSince[spec?.nodeName ?? ''] = wallClockOf(since);
    }
    return { nodes: Object.assign(byName<Node>(), this.byName(), found), readinessSince, nodesGone };
  }
}

const wallClockOf = (monotonicMs: number): number => Date.now() - (performance.now() - monotonicMs);

function readinessOf({ metadata, status }: Node): string {
  const ready = status?.conditions?.find(({ type }) => type === 'Ready');
  return `${metadata.uid} ${ready?.status} ${ready?.lastTransitionTime}`;
}
