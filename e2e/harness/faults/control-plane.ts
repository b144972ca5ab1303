/** Faults of Kubernetes itself and of the operator. */
import { OPERATOR_NAMESPACE } from '../../application/chart.ts';
import { run, succeeds } from '../../machine/command.ts';
import { Kubectl, type Thing } from '../kubectl.ts';
import type { Pair } from '../pair.ts';
import { CHART_INSTALLED_MS_MAX } from '../timeouts.ts';

/** Nothing of the control plane runs or answers any more: API server, etcd, controllers, scheduler. */
export async function pauseControlPlane(pair: Pair): Promise<void> {
  await run(['docker', 'pause', pair.environment.cluster.controlPlane]);
}

export async function unpauseControlPlane(pair: Pair): Promise<void> {
  await succeeds(['docker', 'unpause', pair.environment.cluster.controlPlane]);
}

/** The chart's default. */
const OPERATOR_REPLICAS = 2;

const operator = (pair: Pair) => new Kubectl(pair.environment, OPERATOR_NAMESPACE);

/** Ends all operator pods at once and has none made anew. */
export async function removeOperator(pair: Pair): Promise<void> {
  await operator(pair).run('scale', 'deployment', '--all', '--replicas=0');
  await killOperator(pair);
}

export async function returnOperator(pair: Pair): Promise<void> {
  await operator(pair).run('scale', 'deployment', '--all', `--replicas=${OPERATOR_REPLICAS}`);
  const timeout = `--timeout=${CHART_INSTALLED_MS_MAX / 1000}s`;
  await operator(pair).run('wait', 'deployment', '--all', '--for=condition=Available', timeout);
}

/** As an upgrade does it. */
export async function restartOperator(pair: Pair): Promise<void> {
  await operator(pair).run('rollout', 'restart', 'deployment');
  await operator(pair).run('rollout', 'status', 'deployment', `--timeout=${CHART_INSTALLED_MS_MAX / 1000}s`);
}

/** Its pod goes without a grace period; the Deployment makes another one. */
export async function killOperator(pair: Pair): Promise<void> {
  const pods = await operator(pair).list<Thing>('pods');
  for (const { metadata } of pods)
    await operator(pair).run(
      'delete',
      'pod',
      metadata.name,
      '--ignore-not-found',
      '--force',
      '--grace-period=0',
      '--wait=false',
    );
}
