// The operator's metrics, by name: one place that says what each of them means. Those of the servers are their own.

import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { FilerPairStatus } from '../../crds/pair/status.ts';
import type { Transition } from '../model/action.ts';

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
      buckets: [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5],
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
    transitions: new Counter({
      name: 'filerpair_operator_transitions_total',
      help: 'Changes of owner that were told in a status. Labels: kind (Takeover, Giveback, Start), cause.',
      labelNames: ['kind', 'cause'] as const,
      registers,
    }),
    transitionSeconds: new Histogram({
      name: 'filerpair_operator_transition_duration_seconds',
      help: 'What these changes took, from their first phase to the end of the last. Labels: kind, cause.',
      labelNames: ['kind', 'cause'] as const,
      buckets: [0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 5, 10],
      registers,
    }),
  };
}

/** Counts a transition that was told for the first time. */
export function countTransition(
  metrics: OperatorMetrics,
  { kind, cause, durationMilliseconds }: Transition,
): void {
  metrics.transitions.inc({ kind, cause });
  metrics.transitionSeconds.observe({ kind, cause }, durationMilliseconds / 1000);
}
