/** Takes away what an earlier test has installed: the cluster then knows nothing of FilerPair. */
import { OPERATOR_NAMESPACE, RELEASE } from '../application/chart.ts';
import type { TestEnvironment } from '../environment.ts';
import { Kubectl, type Thing } from '../harness/kubectl.ts';
import { run } from '../machine/command.ts';

interface Namespaced extends Thing {
  readonly metadata: Thing['metadata'] & {
    readonly namespace?: string;
    readonly finalizers?: readonly string[];
  };
}
interface Definition extends Thing {
  readonly spec: { readonly scope: 'Cluster' | 'Namespaced' };
}

export async function cleanCluster(environment: TestEnvironment): Promise<void> {
  const kubectl = new Kubectl(environment, OPERATOR_NAMESPACE);
  // While the operator runs: it lets go of what it holds, in the order of docs/install.md. Without the kinds there is nothing to delete.
  await kubectl.try('delete', 'filerpairs', '--all', '--all-namespaces', '--timeout=120s');
  await kubectl.try('wait', 'filerdisksets', '--all', '--all-namespaces', '--for=delete', '--timeout=60s');
  await kubectl.try('delete', 'filershares', '--all', '--all-namespaces', '--timeout=60s');
  await run([
    ...[environment.helm, '--kubeconfig', environment.cluster.kubeconfig, 'uninstall', RELEASE],
    ...['--namespace', OPERATOR_NAMESPACE, '--ignore-not-found', '--wait'],
  ]);
  const definitions = await kubectl.list<Definition>('customresourcedefinitions');
  for (const { metadata, spec } of definitions.filter(({ metadata: { name } }) =>
    name.endsWith('.filerpair.dev'),
  )) {
    // No operator runs any more that would let go of the rest.
    if (spec.scope === 'Namespaced') await letGo(kubectl, metadata.name);
    await kubectl.run('delete', 'customresourcedefinition', metadata.name, '--timeout=120s');
  }
}

async function letGo(kubectl: Kubectl, kind: string): Promise<void> {
  const { items } = JSON.parse(await kubectl.run('get', kind, '--all-namespaces', '-o', 'json')) as {
    items: Namespaced[];
  };
  for (const { metadata } of items.filter(({ metadata: { finalizers = [] } }) => finalizers.length > 0))
    await kubectl.run(
      ...['patch', kind, metadata.name, '--namespace', metadata.namespace!, '--type', 'merge'],
      ...['--patch', '{"metadata": {"finalizers": null}}'],
    );
}
