/**
 * What the operator costs with many pairs: a real API server, pairs with everything that belongs to them, servers that are only
 * said to run (simulated-cluster.ts). Figures into out/scale.json.
 */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { diskSetName } from '../../crds/filer-disk-set.ts';
import { apiVersion, GROUP } from '../../crds/group.ts';
import { kinds } from '../../crds/kinds.ts';
import { KubernetesClient } from '../../kubernetes/client.ts';
import { Connection, fromKubeconfig } from '../../kubernetes/connection.ts';
import { leaseAnnotations } from '../../kubernetes/labels-and-annotations.ts';
import type { KubernetesObject, Lease } from '../../kubernetes/objects.ts';
import { type Resource, resources } from '../../kubernetes/resource.ts';
import type { FilerPairObject } from '../../operator/model/objects.ts';
import { eventually } from '../../testing/eventually.ts';
import { REPOSITORY } from '../environment.ts';
import type { Cluster } from '../kind/cluster.ts';
import { run } from '../machine/command.ts';
import { say, stage } from '../machine/stage.ts';
import { type Cost, OperatorProcess } from './operator-process.ts';
import { SERVERS, SimulatedCluster } from './simulated-cluster.ts';
import { whenNotThrottled } from './throttling.ts';

const NAMESPACES = 10;
/** Of each pair, half of them on each server. */
const SHARES = 10;
/** As a large cluster has. */
const NODES = 50;
const STEADY_MS = 60_000;
/** Servers that end, one after another, and then at once. */
const FAILURES = 20;
const FAILURES_AT_ONCE = 100;
const HEALTH_PORT = 18080;
/** For each hundred pairs. ms */
const SETTLED_MS_MAX = 240_000;
const LOOK_EVERY_MS = 5_000;

interface Pair {
  readonly namespace: string;
  readonly name: string;
}

export interface ScaleFigures {
  readonly pairs: number;
  /** Of all pairs, from the first object to the last status; the API server's time for the most part. */
  readonly createdSeconds: number;
  readonly created: Cost;
  /** A minute in which nothing happens. */
  readonly steady: Cost;
  readonly restart: { readonly readySeconds: number; readonly settledSeconds: number; readonly cost: Cost };
  /** From the kubelet's report of an ended server to the proof on its Lease, ms, in order. */
  readonly proofMs: readonly number[];
  readonly proofMsAtOnce: readonly number[];
}

export async function measureScale(cluster: Cluster, kubectl: string, count: number): Promise<ScaleFigures> {
  const connection = new Connection(fromKubeconfig(cluster.kubeconfig));
  const client = new KubernetesClient(connection);
  await stage('preparing the cluster: resources, simulated nodes, no scheduler', () =>
    prepare(cluster, kubectl),
  );
  const simulated = new SimulatedCluster(client, connection, NODES);
  await simulated.start();
  const log = join(REPOSITORY, 'out/scale-operator.log');
  mkdirSync(join(REPOSITORY, 'out'), { recursive: true });
  writeFileSync(log, '');
  const start = () => OperatorProcess.start({ kubeconfig: cluster.kubeconfig, port: HEALTH_PORT, log });
  let operator = await start();
  try {
    const pairs = Array.from({ length: count }, (_, i) => ({
      namespace: `scale-${i % NAMESPACES}`,
      name: `pair-${i}`,
    }));
    const began = performance.now();
    await stage(`making ${count} pairs`, () => makePairs(client, pairs));
    await stage('every pair is served', () => allSettled(client, operator, simulated, count));
    const createdSeconds = secondsSince(began);
    const created = await operator.cost();
    const steady = await stage('a minute without changes', () => costOf(operator, () => delay(STEADY_MS)));
    const restart = await stage('the operator is started anew', async () => {
      await operator.stop();
      const from = performance.now();
      operator = await start();
      const readySeconds = secondsSince(from);
      await eventually(
        'its queue is empty',
        SETTLED_MS_MAX,
        async () => (await operator.queueLength()) === 0,
      );
      return { readySeconds, settledSeconds: secondsSince(from), cost: await operator.cost() };
    });
    const proofMs: number[] = [];
    await stage(`${FAILURES} servers end, one after another`, async () => {
      for (const pair of pairs.slice(0, FAILURES)) proofMs.push(await proofAfter(client, simulated, pair));
    });
    const proofMsAtOnce = await stage(`${FAILURES_AT_ONCE} servers end at once`, () =>
      Promise.all(
        pairs.slice(FAILURES, FAILURES + FAILURES_AT_ONCE).map((pair) => proofAfter(client, simulated, pair)),
      ),
    );
    return {
      pairs: count,
      createdSeconds,
      created,
      steady,
      restart,
      proofMs: inOrder(proofMs),
      proofMsAtOnce: inOrder(proofMsAtOnce),
    };
  } finally {
    await operator.stop();
    await simulated.stop();
    connection.close();
  }
}

async function prepare(cluster: Cluster, kubectl: string): Promise<void> {
  await run(['docker', 'exec', cluster.controlPlane, 'rm', '/etc/kubernetes/manifests/kube-scheduler.yaml']);
  const base = [kubectl, '--kubeconfig', cluster.kubeconfig];
  for (const { plural } of kinds) {
    const name = `${plural}.${GROUP}`;
    await run([...base, 'apply', '--server-side', '-f', join(REPOSITORY, `crds/${name}.yaml`)]);
    await run([...base, 'wait', '--for=condition=Established', `crd/${name}`, '--timeout=60s']);
  }
  for (let i = 0; i < NAMESPACES; i++) await run([...base, 'create', 'namespace', `scale-${i}`]);
}

async function makePairs(client: KubernetesClient, pairs: readonly Pair[]): Promise<void> {
  const claimTemplate = { spec: { resources: { requests: { storage: '1Gi' } } } };
  const make = (resource: Resource, metadata: Pair, spec: object) =>
    whenNotThrottled(() =>
      client.create(
        resource,
        { apiVersion, kind: resource.kind, metadata, spec } as unknown as KubernetesObject,
        { timeoutMs: 60_000 },
      ),
    );
  for (const { namespace, name } of pairs) {
    await make(
      resources.filerPairs,
      { namespace, name },
      { storage: { type: 'SharedCoherent' }, volumes: [{ name: 'data', claimTemplate }] },
    );
    await Promise.all(
      Array.from({ length: SHARES }, (_, i) =>
        make(
          resources.filerShares,
          { namespace, name: `${name}-share-${i}` },
          { pairRef: { name }, server: SERVERS[i % 2], clients: ['10.0.0.0/8'] },
        ),
      ),
    );
  }
}

async function allSettled(
  client: KubernetesClient,
  operator: OperatorProcess,
  simulated: SimulatedCluster,
  count: number,
): Promise<void> {
  let ready = 0;
  let told = 0;
  await eventually(
    `${count} pairs and their shares are Ready, and the operator has nothing to do`,
    Math.max(1, count / 100) * SETTLED_MS_MAX,
    async () => {
      if (simulated.failure !== null) throw simulated.failure;
      const { items } = await whenNotThrottled(() =>
        client.list<FilerPairObject>(resources.filerPairs, {}, { timeoutMs: 60_000 }),
      );
      ready = items.filter(({ status }) =>
        status?.conditions?.some((one) => one.type === 'Ready' && one.status === 'True'),
      ).length;
      if (ready >= told + count / 10) {
        say(`  ${ready} of ${count} pairs are Ready`);
        told = ready;
      }
      // The list of all is as much work for the API server as many changes.
      await delay(LOOK_EVERY_MS);
      const shares = count * SHARES;
      return ready === count && simulated.readyShares === shares && (await operator.queueLength()) === 0;
    },
    () => `${ready} are Ready, with ${simulated.readyShares} shares`,
  );
}

async function proofAfter(
  client: KubernetesClient,
  simulated: SimulatedCluster,
  pair: Pair,
): Promise<number> {
  const [server] = SERVERS;
  const from = performance.now();
  await simulated.killServer(pair.namespace, pair.name, server);
  const at = { namespace: pair.namespace, name: diskSetName(pair.name, server) };
  await eventually(`the Lease ${at.name} has a proof`, 60_000, async () => {
    const { metadata } = await whenNotThrottled(() => client.get<Lease>(resources.leases, at));
    return metadata.annotations?.[leaseAnnotations.deathProof] !== undefined;
  });
  return Math.round(performance.now() - from);
}

/** What `work` has cost; memory as it is afterwards. */
async function costOf(operator: OperatorProcess, work: () => Promise<unknown>): Promise<Cost> {
  const before = await operator.cost();
  await work();
  const after = await operator.cost();
  const requests = Object.fromEntries(
    Object.entries(after.requests).map(([verb, number]) => [verb, number - (before.requests[verb] ?? 0)]),
  );
  return {
    cpuSeconds: Math.round((after.cpuSeconds - before.cpuSeconds) * 100) / 100,
    memoryMiB: after.memoryMiB,
    memoryMiBMax: after.memoryMiBMax,
    requests,
  };
}

const secondsSince = (from: number): number => Math.round((performance.now() - from) / 100) / 10;
const inOrder = (figures: readonly number[]): number[] => [...figures].sort((a, b) => a - b);
