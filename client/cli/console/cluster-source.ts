/** Reads a pair from a cluster for the console, with the user's own rights, and changes nothing there. */
import { ApiError } from '../../../kubernetes/api-error.ts';
import { resources } from '../../../kubernetes/resource.ts';
import { type Cluster, type DiskSetObject, ofPair, type PairObject, pairNamed } from '../pairs/cluster.ts';
import {
  figuresBetween,
  partnerHeard,
  type Reading,
  samplesOf,
  sessionsIn,
  volumesIn,
} from './metrics-text.ts';
import type { ConsoleState, ShownCondition, ShownTransition } from './state.ts';

/** Status that says that all is well; of others `True` does. */
const GOOD_WHEN_FALSE = ['Degraded', 'Progressing', 'Maintenance', 'Reconciling', 'Stalled'];

export class ClusterSource {
  readonly #cluster: Cluster;
  readonly #name: string;
  /** By server: the last two readings of its metrics. */
  readonly #readings = new Map<string, { before: Reading | undefined; now: Reading }>();
  #latest: ConsoleState;

  constructor(cluster: Cluster, pair: PairObject) {
    this.#cluster = cluster;
    this.#name = pair.metadata.name ?? '';
    this.#latest = stateOf(pair, [], new Map(), null);
  }

  get latest(): ConsoleState {
    return this.#latest;
  }

  /** The state now. While the API does not answer: the last known state, and why it may be old. */
  async read(): Promise<ConsoleState> {
    try {
      const pair = await pairNamed(this.#cluster, this.#name);
      const diskSets = await ofPair<DiskSetObject>(this.#cluster, resources.filerDiskSets, pair);
      const withoutFigures = await this.#readMetrics(pair);
      this.#latest = stateOf(pair, diskSets, this.#readings, withoutFigures);
    } catch (error) {
      this.#latest = { ...this.#latest, problem: `What is shown may be old: ${(error as Error).message}` };
    }
    return this.#latest;
  }

  /** Returns why there are none; null: there are. */
  async #readMetrics(pair: PairObject): Promise<string | null> {
    const { client, namespace } = this.#cluster;
    const port = pair.spec.monitoring.port;
    const failures = await Promise.all(
      (pair.status?.servers ?? []).map(async ({ name, pod }) => {
        if (pod === undefined) return null;
        try {
          const text = await client.podMetrics({ namespace, name: pod, port });
          const now = { atMs: performance.now(), samples: samplesOf(text) };
          this.#readings.set(name, { before: this.#readings.get(name)?.now, now });
          return null;
        } catch (error) {
          this.#readings.delete(name);
          return error instanceof ApiError ? error.message : String(error);
        }
      }),
    );
    const failure = failures.find((one) => one !== null);
    return failure === undefined || failure === null
      ? null
      : `The servers' metrics are read through the API server (the right to get pods/proxy): ${failure}`;
  }
}

/** Pure. `readings`: by server. */
export function stateOf(
  { metadata, spec, status }: PairObject,
  diskSets: readonly DiskSetObject[],
  readings: ReadonlyMap<string, { readonly before: Reading | undefined; readonly now: Reading }>,
  withoutFigures: string | null,
): ConsoleState {
  const heard = [...readings.values()].map(({ now }) => partnerHeard(now)).filter((one) => one !== null);
  return {
    title: `${metadata.namespace}/${metadata.name}`,
    problem: null,
    servers: spec.servers.map(({ name }) => {
      const found = status?.servers?.find((one) => one.name === name);
      const running = found?.conditions?.find(({ type }) => type === 'Running');
      const up = running === undefined || running.status === 'Unknown' ? null : running.status === 'True';
      return { name, up, detail: running?.reason ?? 'not known yet', node: found?.node ?? null };
    }),
    diskSets: spec.servers.map(({ name: home }) => {
      const found = status?.diskSets?.find(({ name }) => name === home);
      const served = found?.conditions?.find(({ type }) => type === 'Served');
      const owner = found?.owner ?? null;
      const reading = owner === null ? undefined : readings.get(owner);
      return {
        home,
        owner,
        epoch: found?.epoch ?? 0,
        served: served?.status === 'True',
        state: served?.reason ?? 'Unknown',
        sessions: reading === undefined ? null : sessionsIn(reading.now, home),
        volumes: reading === undefined ? [] : volumesIn(reading.now, home),
        figures: reading === undefined ? null : figuresBetween(reading.before, reading.now, home),
      };
    }),
    interconnect: heard.length === 0 ? null : heard.every((one) => one),
    conditions: (status?.conditions ?? []).map(shown),
    transitions: transitionsOf(diskSets),
    withoutFigures,
  };
}

const shown = ({
  type,
  status,
  reason,
  message,
  lastTransitionTime,
}: {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
  readonly lastTransitionTime: string;
}): ShownCondition => ({
  type,
  status,
  reason,
  message,
  since: lastTransitionTime,
  good: status === (GOOD_WHEN_FALSE.includes(type) ? 'False' : 'True'),
});

function transitionsOf(diskSets: readonly DiskSetObject[]): ShownTransition[] {
  return diskSets
    .flatMap(({ spec, status }) =>
      (status?.history ?? []).map(
        ({ kind, cause, to, epoch, time, durationMilliseconds, phases }): ShownTransition => ({
          diskSet: spec.server,
          kind,
          cause,
          to,
          epoch,
          time,
          durationMs: durationMilliseconds,
          phases: phases.map(({ name, offsetMilliseconds, durationMilliseconds: took }) => ({
            name,
            offsetMs: offsetMilliseconds,
            durationMs: took,
          })),
        }),
      ),
    )
    .toSorted((a, b) => Date.parse(b.time) - Date.parse(a.time));
}
