/**
 * etcd is restored from a backup under running servers and operators: the API server forgets a takeover, and begins again at an
 * older resourceVersion. A watch from a version that it has not reached yet is silent, for as long as the cluster needs to
 * write so much again; here that is made several minutes.
 */
import { expect } from 'vitest';
import { KubernetesClient } from '../../kubernetes/client.ts';
import { Connection, fromKubeconfig } from '../../kubernetes/connection.ts';
import { resources } from '../../kubernetes/resource.ts';
import { eventually } from '../../testing/eventually.ts';
import { backUpEtcd, restoreEtcd, returnControlPlane } from '../harness/faults/etcd.ts';
import type { Thing } from '../harness/kubectl.ts';
import { PAIR, type Pair } from '../harness/pair.ts';
import { LINES_AFTERWARDS, PARTNER, SERVER, scenario } from '../harness/scenario.ts';
import { step } from '../harness/step.ts';
import { RESTARTED_MS_MAX, WRITER_FINISHED_MS_MAX } from '../harness/timeouts.ts';

/** More than three nodes and a control plane write in five minutes. */
const WRITES = 5_000;
const AT_ONCE = 20;

/** Brings the version of the store far beyond that of the backup. */
async function writeMuch(pair: Pair): Promise<void> {
  const connection = new Connection(fromKubeconfig(pair.environment.cluster.kubeconfig));
  const client = new KubernetesClient(connection);
  const { namespace } = pair;
  let left = WRITES;
  const write = async (index: number): Promise<void> => {
    const name = `much-${index}`;
    await client.create(resources.configMaps, {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { namespace, name },
    });
    while (left-- > 0) {
      const patch = { metadata: { annotations: { count: String(left) } } };
      await client.mergePatch(resources.configMaps, { namespace, name }, patch);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, (_, index) => write(index)));
  connection.close();
}

/** The operator sees a deletion that comes after the restore. */
async function operatorSees(pair: Pair): Promise<void> {
  const uid = async (): Promise<string | undefined> =>
    (await pair.kubectl.list<Thing>('poddisruptionbudgets')).find(({ metadata }) => metadata.name === PAIR)
      ?.metadata.uid;
  const before = await uid();
  expect(before).toBeDefined();
  await pair.kubectl.run('delete', 'poddisruptionbudget', PAIR, '--wait=false');
  await eventually('it is made again', RESTARTED_MS_MAX, async () => {
    const now = await uid();
    return now !== undefined && now !== before;
  });
}

scenario(
  {
    name: 'etcd-restored',
    fault: 'etcd is restored from a backup from before a takeover',
    gapMsGoal: 300,
    replaces: [],
    goesBack: true,
    cleanUp: returnControlPlane,
  },
  'etcd restored from a backup: who serves goes on, no epoch has two owners, and the operators see what is new',
  async ({ pair, writer }) => {
    await step('etcd is backed up', () => backUpEtcd(pair));
    await step('a takeover is asked for', () => pair.request('takeover', SERVER));
    await step(`${PARTNER} serves the disk set of ${SERVER}`, () =>
      pair.servedBy(SERVER, PARTNER, WRITER_FINISHED_MS_MAX),
    );
    await step(`${WRITES} more writes that the API server acknowledges`, () => writeMuch(pair));
    await step('the writer is served', () => writer.writes(LINES_AFTERWARDS, WRITER_FINISHED_MS_MAX));
    await writer.mark('failover');
    await step('etcd is restored', () => restoreEtcd(pair));
    await step('the writer is served', () => writer.writes(LINES_AFTERWARDS, WRITER_FINISHED_MS_MAX));
    await step('the Lease names its owner again', () => pair.leaseHeldBy(SERVER, PARTNER, RESTARTED_MS_MAX));
    await step('the operator sees what is new', () => operatorSees(pair));
    await step(`${PARTNER} serves the disk set of ${SERVER}, by the status`, () =>
      pair.servedBy(SERVER, PARTNER, RESTARTED_MS_MAX),
    );
    await step('a takeover is possible', () => pair.takeoverPossible(RESTARTED_MS_MAX));
    await writer.mark('giveback');
    await step('giveback is asked for', () => pair.request('giveback', SERVER));
    await step(`${SERVER} serves its own disk set`, () =>
      pair.servedBy(SERVER, SERVER, WRITER_FINISHED_MS_MAX),
    );
    await step('the writer is served again', () => writer.writes(LINES_AFTERWARDS, WRITER_FINISHED_MS_MAX));
  },
);
