/** The operator's metrics, by name: one place that says what each of them means. Those of the servers are their own. */

import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { FilerPairStatus } from '../../crds/pair/status.ts';
import { TRANSITIONS, TransitionCause } from '../../pair/types.ts';
import type { Transition } from '../model/action.ts';
import { FIRST_REPLY } from '../model/lease-view.ts';

/** Label of a cause that this version does not know. */
const UNKNOWN = 'Unknown';
/** A takeover with disks that move takes tens of seconds. */
const TRANSITION_SECONDS = [0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 5, 10, 20, 30, 60, 120];

export interface PairStatus {
  readonly namespace: string;
  readonly name: string;
  readonly status: FilerPairStatus | undefined;
}

export interface MetricsSources {
  /** Every pair in the cache. */
  readonly pairs: () => Iterable<PairStatus>;
  /** Pairs queued for reconciliation. */
  readonly queueLength: () => number;
  readonly leading: () => boolean;
}

export type OperatorMetrics = ReturnType<typeof operatorMetrics>;

export function operatorMetrics(sources: MetricsSources) {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  new Gauge({
    name: 'filerpair_operator_leading',
    help: '1 while this instance acts; the others wait.',
    registers,
    collect() {
      this.set(sources.leading() ? 1 : 0);
    },
  });
  new Gauge({
    name: 'filerpair_operator_queue_length',
    help: 'FilerPairs queued for reconciliation.',
    registers,
    collect() {
      this.set(sources.queueLength());
    },
  });
  new Gauge({
    name: 'filerpair_condition',
    help: 'Always 1: the conditions of each FilerPair as they are now. Labels: namespace, name, type, status, reason.',
    labelNames: ['namespace', 'name', 'type', 'status', 'reason'],
    registers,
    collect() {
      this.reset();
      for (const { namespace, name, status: told } of sources.pairs())
        for (const { type, status, reason } of told?.conditions ?? [])
          this.set({ namespace, name, type, status, reason }, 1);
    },
  });
  new Gauge({
    name: 'filerpair_away_from_home',
    help: '1 for each disk set that its partner serves, else 0. Labels: namespace, name, disk_set.',
    labelNames: ['namespace', 'name', 'disk_set'],
    registers,
    collect() {
      this.reset();
      for (const { namespace, name, status } of sources.pairs())
        for (const { name: diskSet, owner } of status?.diskSets ?? [])
          this.set({ namespace, name, disk_set: diskSet }, owner !== undefined && owner !== diskSet ? 1 : 0);
    },
  });
  return {
    registry,
    reconciles: new Counter({
      name: 'filerpair_operator_reconciles_total',
      help: 'Reconciles of a FilerPair. Label: result (done, problem: something has to be told; retry: it is tried again).',
      labelNames: ['result'] as const,
      registers,
    }),
    reconcileSeconds: new Histogram({
      name: 'filerpair_operator_reconcile_duration_seconds',
      help: 'Duration of a reconcile, with the actions that it carried out.',
      buckets: [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 120],
      registers,
    }),
    errors: new Counter({
      name: 'filerpair_operator_errors_total',
      help: 'What went wrong on the way to the API or there. Label: reason.',
      labelNames: ['reason'] as const,
      registers,
    }),
    requests: new Counter({
      name: 'filerpair_operator_api_requests_total',
      help: 'Requests to the API; in the steady state only watches, and the renewal of the leader election. Labels: verb, code.',
      labelNames: ['verb', 'code'] as const,
      registers,
    }),
    actions: new Counter({
      name: 'filerpair_operator_actions_total',
      help: 'What was changed for pairs. Labels: action, resource.',
      labelNames: ['action', 'resource'] as const,
      registers,
    }),
    transitions: transitionCounter(sources, registers),
    transitionSeconds: new Histogram({
      name: 'filerpair_operator_transition_duration_seconds',
      help: 'From the detection until the disk set is open at its new owner. Labels: kind, cause.',
      labelNames: ['kind', 'cause'] as const,
      buckets: TRANSITION_SECONDS,
      registers,
    }),
    firstReplySeconds: new Histogram({
      name: 'filerpair_operator_transition_first_reply_seconds',
      help: 'From the detection until a client was answered, of transitions after which one came within seconds. Labels: kind, cause.',
      labelNames: ['kind', 'cause'] as const,
      buckets: TRANSITION_SECONDS,
      registers,
    }),
  };
}

function transitionCounter(sources: MetricsSources, registers: Registry[]) {
  const known = new Map<string, { readonly namespace: string; readonly name: string }>();
  return new Counter({
    name: 'filerpair_operator_transitions_total',
    help: 'Changes of owner that were told in a status. Labels: namespace, name, kind (Takeover, Giveback, Start), cause.',
    labelNames: ['namespace', 'name', 'kind', 'cause'] as const,
    registers,
    collect() {
      const gone = new Map(known);
      for (const { namespace, name } of sources.pairs()) {
        const key = `${namespace}/${name}`;
        gone.delete(key);
        if (known.has(key)) continue;
        known.set(key, { namespace, name });
        for (const [kind, causes] of TRANSITIONS)
          for (const cause of causes) this.inc({ namespace, name, kind, cause }, 0);
      }
      for (const [key, pair] of gone) {
        known.delete(key);
        for (const [kind, causes] of TRANSITIONS)
          for (const cause of [...causes, UNKNOWN]) this.remove({ ...pair, kind, cause });
      }
    },
  });
}

/** Counts a transition of this pair that was told for the first time. */
export function countTransition(
  metrics: OperatorMetrics,
  pair: { readonly namespace: string; readonly name: string },
  { kind, cause: told, durationMilliseconds, phases }: Transition,
): void {
  const { namespace, name } = pair;
  // It is text of a Lease, that a later version or a hand has written: no more series than there are causes.
  const cause = Object.values<string>(TransitionCause).includes(told) ? told : UNKNOWN;
  metrics.transitions.inc({ namespace, name, kind, cause });
  metrics.transitionSeconds.observe({ kind, cause }, durationMilliseconds / 1000);
  const replied = phases.find((phase) => phase.name === FIRST_REPLY);
  if (replied !== undefined)
    metrics.firstReplySeconds.observe({ kind, cause }, (replied.atMs + replied.tookMs) / 1000);
}
