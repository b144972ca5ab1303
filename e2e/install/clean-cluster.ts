/** Takes away what an earlier test has installed: the cluster then knows nothing of FilerPair. */
import { OPERATOR_NAMESPACE, RELEASE } from '../application/chart.ts';
import type { TestEnvironment } from '../environment.ts';
import { Kubectl } from '../harness/kubectl.ts';
import { run } from '../machine/command.ts';

export async function cleanCluster(environment: TestEnvironment): Promise<void> {
  const kubectl = new Kubectl(environment, OPERATOR_NAMESPACE);
  // While the operator runs: it lets go of what it holds. Without the kind there is nothing to delete.
  await kubectl.try('delete', 'filerpairs', '--all', '--all-namespaces', '--timeout=120s');
  await run([
    ...[environment.helm, '--kubeconfig', environment.cluster.kubeconfig, 'uninstall', RELEASE],
    ...['--namespace', OPERATOR_NAMESPACE, '--ignore-not-found', '--wait'],
  ]);
  const definitions = await kubectl.list('customresourcedefinitions');
  for (const { metadata } of definitions.filter(({ metadata: { name } }) => name.endsWith('.filerpair.dev')))
    await kubectl.run('delete', 'customresourcedefinition', metadata.name, '--timeout=120s');
}
