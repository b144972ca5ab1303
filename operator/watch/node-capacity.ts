/**
 * How much a node could still give to new pods: what it has, less what the pods there request, as the scheduler counts. Asked
 * in the background, seldom, and past the caches, which know pods of pairs alone; until an answer is there it is unknown.
 */

import { amountOf } from '../../crds/quantities.ts';
import type { KubernetesClient } from '../../kubernetes/client.ts';
import type { KubernetesObject } from '../../kubernetes/objects.ts';
import { resources } from '../../kubernetes/resource.ts';
import { byName } from '../model/by-name.ts';
import type { Room } from '../model/observed.ts';

type Quantities = { readonly cpu?: string; readonly memory?: string; readonly pods?: string };

interface NodeWithRoom extends KubernetesObject {
  readonly status?: { readonly allocatable?: Quantities };
}

interface Container {
  /** `Always` on an init container that goes on beside the others. */
  readonly restartPolicy?: string;
  readonly resources?: { readonly requests?: Quantities };
}

interface PodWithRequests extends KubernetesObject {
  readonly spec?: {
    readonly containers?: readonly Container[];
    readonly initContainers?: readonly Container[];
    readonly overhead?: Quantities;
  };
  readonly status?: { readonly phase?: string };
}

/** Younger answers are not asked for anew. A little less than the time between two looks at everything. ms */
const FRESH_MS = 9 * 60_000;

export class NodeCapacities {
  readonly #client: KubernetesClient;
  readonly #known = new Map<string, { room: Room | null; at: number }>();

  constructor(client: KubernetesClient) {
    this.#client = client;
  }

  /** Known room of these nodes, by name. `changed` is called when something else becomes known. */
  of(nodes: Iterable<string>, changed: () => void): Record<string, Room> {
    const found = byName<Room>();
    for (const name of new Set(nodes)) {
      const known = this.#known.get(name);
      if (known?.room != null) found[name] = known.room;
      if (known !== undefined && performance.now() - known.at < FRESH_MS) continue;
      this.#known.set(name, { room: known?.room ?? null, at: performance.now() });
      void this.#ask(name, known?.room ?? null, changed);
    }
    return found;
  }

  async #ask(name: string, before: Room | null, changed: () => void): Promise<void> {
    const room = await this.#roomOn(name).catch(() => null);
    this.#known.set(name, { room, at: performance.now() });
    if (JSON.stringify(room) !== JSON.stringify(before)) changed();
  }

  async #roomOn(name: string): Promise<Room | null> {
    const [node, pods] = await Promise.all([
      this.#client.get<NodeWithRoom>(resources.nodes, { name }),
      this.#client.list<PodWithRequests>(resources.pods, { fieldSelector: `spec.nodeName=${name}` }),
    ]);
    const { allocatable } = node.status ?? {};
    if (allocatable === undefined) return null;
    const running = pods.items.filter(
      ({ status }) => status?.phase !== 'Succeeded' && status?.phase !== 'Failed',
    );
    const used = running.map(requestsOf).reduce((total, one) => each(sum, total, one), none);
    const { cpu, memory, pods: most } = roomIn(allocatable);
    return { cpu: cpu - used.cpu, memory: memory - used.memory, pods: most - running.length };
  }
}

/** KEP-753: init containers run one after another, but those that go on run beside all that follows. */
export function requestsOf({ spec }: PodWithRequests): Room {
  let beside = none;
  let most = none;
  for (const { restartPolicy, resources: asked } of spec?.initContainers ?? []) {
    const own = roomIn(asked?.requests ?? {});
    most = each(Math.max, most, each(sum, beside, own));
    if (restartPolicy === 'Always') beside = each(sum, beside, own);
  }
  const all = (spec?.containers ?? []).reduce(
    (total, one) => each(sum, total, roomIn(one.resources?.requests ?? {})),
    beside,
  );
  return each(sum, each(Math.max, all, most), roomIn(spec?.overhead ?? {}));
}

const none: Room = { cpu: 0, memory: 0, pods: 0 };

const sum = (a: number, b: number): number => a + b;

const each = (operation: (a: number, b: number) => number, a: Room, b: Room): Room => ({
  cpu: operation(a.cpu, b.cpu),
  memory: operation(a.memory, b.memory),
  pods: operation(a.pods, b.pods),
});

const roomIn = ({ cpu = '0', memory = '0', pods = '0' }: Quantities): Room => ({
  cpu: amountOf(cpu),
  memory: amountOf(memory),
  pods: amountOf(pods),
});
