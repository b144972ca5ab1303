/**
 * A larger size is asked for while the disk is served: Kubernetes grows the disk and its file system where it is mounted, and
 * clients see the space without anybody having stopped.
 */
import { expect } from 'vitest';
import { eventually } from '../../testing/eventually.ts';
import { STORAGE_CLASS_XFS } from '../csi/install.ts';
import { CLIENT_POD } from '../harness/client-pod.ts';
import type { Thing } from '../harness/kubectl.ts';
import { claimOf, PAIR, type Pair } from '../harness/pair.ts';
import { LINES_AFTERWARDS, SERVER, scenario } from '../harness/scenario.ts';
import { step } from '../harness/step.ts';
import { POD_READY_MS_MAX, WRITER_FINISHED_MS_MAX } from '../harness/timeouts.ts';
import { ReattachPair } from './reattach-pair.ts';

interface ClaimThing extends Thing {
  readonly status: { readonly capacity: { readonly storage: string } };
}

const GIB = 1024 ** 3;

scenario(
  {
    name: 'reattach-disk-grows',
    fault: 'none: the disk grows from 1 to 2 GiB',
    gapMsGoal: 300,
    replaces: [],
    makePair: (environment, namespace) =>
      new ReattachPair(environment, namespace, { claim: { storageClassName: STORAGE_CLASS_XFS } }),
  },
  'a disk grows while it is served',
  async ({ pair, writer, leases }) => {
    const changes = leases.ownerChanges(SERVER);
    expect(await spaceSeenByClient(pair)).toBeLessThan(1.1 * GIB);
    await writer.mark('failover');
    await step('twice the size is asked for', async () => {
      const path = '/spec/volumes/0/claimTemplate/spec/resources/requests/storage';
      const patch = [{ op: 'replace', path, value: '2Gi' }];
      await pair.kubectl.run('patch', 'filerpair', PAIR, '--type=json', `--patch=${JSON.stringify(patch)}`);
    });
    await step('the claim has it', () =>
      eventually('the claim is grown', POD_READY_MS_MAX, async () => {
        const { status } = await pair.kubectl.get<ClaimThing>('pvc', claimOf(SERVER));
        return status.capacity.storage === '2Gi';
      }),
    );
    await step('the client sees it', () =>
      eventually('FSSTAT says so', POD_READY_MS_MAX, async () => (await spaceSeenByClient(pair)) > 1.8 * GIB),
    );
    await step('the writer is served', () => writer.writes(LINES_AFTERWARDS, WRITER_FINISHED_MS_MAX));
    expect(leases.ownerChanges(SERVER), 'changes of owner').toBe(changes);
  },
);

/** Bytes of the file system, by an FSSTAT of its own. */
async function spaceSeenByClient(pair: Pair): Promise<number> {
  const script = `
    const { FilerPairClient } = await import('/app/dist/client/index.js');
    const client = await FilerPairClient.connect(${JSON.stringify(pair.urlOf(SERVER))});
    console.log(String((await client.nfs.fsstat(client.root)).tbytes));
    await client.close();`;
  const node = ['node', '--input-type=module', '-e', script];
  return Number(await pair.kubectl.run('exec', CLIENT_POD, '--', ...node));
}
