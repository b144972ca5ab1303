/** What the servers of a scenario said, kept under out/e2e/ before its namespace goes: for reading when it fails. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { OPERATOR_NAMESPACE } from '../application/chart.ts';
import { REPOSITORY } from '../environment.ts';
import { Kubectl } from './kubectl.ts';
import type { Pair, PodThing } from './pair.ts';

/** Writes the logs and objects of a pair; returns the directory. Whatever cannot be had is left out. */
export async function collectLogs(pair: Pair, scenario: string): Promise<string> {
  const directory = join(REPOSITORY, 'out/e2e', scenario);
  mkdirSync(directory, { recursive: true });
  const keep = async (name: string, kubectl: Kubectl, ...args: string[]) => {
    const { code, stdout } = await kubectl.try(...args);
    if (code === 0 && stdout !== '') writeFileSync(join(directory, name), stdout);
  };
  const { kubectl } = pair;
  for (const pod of await kubectl.list<PodThing>('pods', 'filerpair.dev/server')) {
    for (const container of ['server', 'sentinel']) {
      const logs = ['logs', pod.metadata.name, '--container', container];
      await keep(`${pod.metadata.name}.${container}.log`, kubectl, ...logs);
      await keep(`${pod.metadata.name}.${container}.previous.log`, kubectl, ...logs, '--previous');
    }
  }
  await keep('objects.yaml', kubectl, 'get', 'filerpair,leases,pods,endpointslices,services', '-o', 'yaml');
  await keep('events.txt', kubectl, 'get', 'events', '--sort-by=.metadata.creationTimestamp');
  const operator = new Kubectl(pair.environment, OPERATOR_NAMESPACE);
  await keep(
    'operator.log',
    operator,
    'logs',
    '--selector',
    'app.kubernetes.io/name=filerpair-operator',
    '--tail=2000',
  );
  return directory;
}
