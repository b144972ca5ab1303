/** Puts the parts together and runs them: caches first, then the election, then the work. */

import { randomBytes } from 'node:crypto';
import type { Logger } from 'winston';
import { KubernetesClient } from '../../kubernetes/client.ts';
import { Connection, fromKubeconfig, inCluster } from '../../kubernetes/connection.ts';
import { Executor } from '../apply/executor.ts';
import { operatorMetrics } from '../metrics/metrics.ts';
import { Caches } from '../watch/caches.ts';
import { askingDns } from '../watch/dns-answers.ts';
import { Controller } from './controller.ts';
import { startHealth } from './health.ts';
import { LeaderElection } from './leader-election.ts';
import type { Settings } from './settings.ts';

const ELECTION_NAME = 'filerpair-operator';

/** Runs until the signal is aborted (resolves true) or leadership is lost (resolves false: start again). */
export async function runOperator(settings: Settings, log: Logger, signal: AbortSignal): Promise<boolean> {
  const load =
    settings.KUBERNETES_SERVICE_HOST === undefined && settings.KUBECONFIG !== undefined
      ? fromKubeconfig(settings.KUBECONFIG)
      : inCluster;
  const connection = new Connection(load);
  const mayAct = (): boolean => election.leading || settings.LEADER_ELECTION === 'false';
  const metrics = operatorMetrics({
    pairs: () => pairStatuses(caches),
    queueLength: () => controller?.queueLength ?? 0,
    leading: mayAct,
  });
  const client = new KubernetesClient(connection, (verb, code) => metrics.requests.inc({ verb, code }));
  const identity = `${settings.POD_NAME}_${randomBytes(4).toString('hex')}`;
  let controller: Controller | undefined;
  const caches: Caches = new Caches({
    client,
    without: new Set([
      ...(settings.PUBLISH_DNS === 'true' ? [] : (['dnsEndpoints'] as const)),
      ...(settings.CERT_MANAGER === 'true' ? [] : (['certificates'] as const)),
    ]),
    namespaces: settings.WATCH_NAMESPACES,
    askDns: askingDns(),
    wake: (key) => controller?.wake(key),
    onError: (resource, error, retryInMs) => {
      metrics.errors.inc({ reason: error.reason });
      log.warn(`${error.message}; trying again in ${Math.round(retryInMs)} ms`, {
        resource,
        reason: error.reason,
      });
    },
  });
  controller = new Controller(
    caches,
    new Executor(client, identity),
    {
      fileserverImage: settings.FILESERVER_IMAGE,
      imagePullPolicy: settings.IMAGE_PULL_POLICY,
      metricsFrom: settings.NETWORK_POLICIES === 'true' ? settings.METRICS_FROM : null,
    },
    log,
    metrics,
    mayAct,
  );
  const election: LeaderElection = new LeaderElection({
    client,
    namespace: settings.POD_NAMESPACE ?? (await connection.namespace()) ?? 'default',
    name: ELECTION_NAME,
    identity,
    leaseMs: 15_000,
    retryMs: 2_000,
    onError: (error) => log.warn(`leader election: ${error.message}`, { reason: error.reason }),
  });
  const health = await startHealth({
    port: settings.HEALTH_PORT,
    isReady: () => caches.listed,
    metrics: () => metrics.registry.metrics(),
  });
  const stopped = new Promise<'stopped'>((resolve) => {
    if (signal.aborted) resolve('stopped');
    signal.addEventListener('abort', () => resolve('stopped'), { once: true });
  });
  let ended: 'stopped' | 'lost' = 'stopped';
  const started = caches.start();
  started.catch(() => undefined);
  if ((await Promise.race([started, stopped])) !== 'stopped') {
    log.info('watching; every cache is filled', { identity });
    ended = await lead(settings, election, controller, stopped, log);
  }
  log.info(`${whyEnded(ended, election)}stopping`);
  await controller.stop();
  await election.stop();
  await caches.stop();
  health.close();
  connection.close();
  return ended === 'stopped';
}

function whyEnded(ended: 'stopped' | 'lost', election: LeaderElection): string {
  if (ended === 'stopped') return '';
  return election.wentBack
    ? 'the API server has gone back to an older state, as after etcd was restored: '
    : 'another instance may lead now: ';
}

function* pairStatuses(caches: Caches) {
  for (const { metadata, status } of caches.pairs())
    yield { namespace: metadata.namespace ?? '', name: metadata.name ?? '', status };
}

async function lead(
  settings: Settings,
  election: LeaderElection,
  controller: Controller,
  stopped: Promise<'stopped'>,
  log: Logger,
): Promise<'stopped' | 'lost'> {
  if (settings.LEADER_ELECTION === 'false') {
    controller.start();
    return stopped;
  }
  if ((await Promise.race([election.win(), stopped])) !== true) return election.wentBack ? 'lost' : 'stopped';
  log.info('leading');
  controller.start();
  return Promise.race([election.keep(), stopped]);
}
