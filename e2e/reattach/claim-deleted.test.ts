/**
 * Somebody deletes the claim of a disk set that is in use. Kubernetes keeps it until its last pod ends, and destroys the volume
 * then: so nothing takes that pod away, neither a rollout nor an administrator's request nor the death of the server. It is
 * told, and the way out of docs/operator.md leads to the same files.
 */
import { expect } from 'vitest';
import { eventually } from '../../testing/eventually.ts';
import { otherImage } from '../application/chart.ts';
import { killServerProcess } from '../harness/faults/processes.ts';
import type { Thing } from '../harness/kubectl.ts';
import { claimOf, PAIR, type Pair, SERVERS } from '../harness/pair.ts';
import { podsOf, rolledOut } from '../harness/rollout.ts';
import { LINES_AFTERWARDS, SERVER, scenario } from '../harness/scenario.ts';
import { step } from '../harness/step.ts';
import { PAIR_READY_MS_MAX, REQUEST_ANSWERED_MS_MAX, SERVER_BACK_MS_MAX } from '../harness/timeouts.ts';
import { run } from '../machine/command.ts';
import { ReattachPair } from './reattach-pair.ts';

const CLAIM = claimOf(SERVER);
/** Of the chart. */
const CLASS = 'default';
const EPOCH = 'filerpair.dev/epoch';
const MS_MAX = 20 * 60_000;

interface ClaimThing extends Thing {
  readonly spec: { readonly volumeName: string };
}

let kept: string | undefined;

/** The same image under another name. */
async function anotherImage({ environment: { images, kind, cluster } }: Pair): Promise<string> {
  const image = otherImage(images.fileserver);
  await run(['docker', 'tag', images.fileserver, image]);
  await run([
    kind,
    'load',
    'docker-image',
    '--name',
    cluster.name,
    '--nodes',
    cluster.workers.join(','),
    image,
  ]);
  return image;
}

/** null: the one of the operator's version. */
async function imageOfClass(pair: Pair, server: string | null): Promise<void> {
  const patch = JSON.stringify({ spec: { images: { server } } });
  await pair.kubectl.run('patch', 'filerpairclass', CLASS, '--type=merge', `--patch=${patch}`);
}

/** What docs/operator.md tells an administrator to do, "A claim that somebody deleted". */
async function rescue(pair: Pair, claim: ClaimThing): Promise<void> {
  const volume = claim.spec.volumeName;
  const policy = (name: string) => JSON.stringify({ spec: { persistentVolumeReclaimPolicy: name } });
  await step('the volume is to be kept', async () => {
    kept = volume;
    await pair.kubectl.run('patch', 'pv', volume, '--patch', policy('Retain'));
  });
  await step('the pods end, and with them the claim', async () => {
    await pair.kubectl.run('delete', 'pod', '--selector', `filerpair.dev/pair=${PAIR}`, '--wait=false');
    await pair.kubectl.wait(`pvc/${CLAIM}`, 'delete', SERVER_BACK_MS_MAX);
  });
  const sentence = await step('the status says so', () =>
    pair.conditionSays('Ready', 'ClaimDeleted', REQUEST_ANSWERED_MS_MAX),
  );
  expect(sentence).toContain(CLAIM);
  await step('the volume is free for another claim', () =>
    pair.kubectl.run(
      'patch',
      'pv',
      volume,
      '--type=json',
      '--patch=[{"op":"remove","path":"/spec/claimRef"}]',
    ),
  );
  await step('there is a claim of the old name', () =>
    pair.kubectl.apply({
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: {
        name: CLAIM,
        namespace: pair.namespace,
        labels: { [EPOCH]: claim.metadata.labels?.[EPOCH] },
      },
      spec: { ...claim.spec, volumeName: volume },
    }),
  );
  await pair.kubectl.wait(`pvc/${CLAIM}`, 'jsonpath={.status.phase}=Bound', REQUEST_ANSWERED_MS_MAX);
  await pair.kubectl.run('patch', 'pv', volume, '--patch', policy('Delete'));
  kept = undefined;
}

scenario(
  {
    name: 'reattach-claim-deleted',
    fault: 'a claim in use is deleted, then the image changes, and the server is killed',
    // The pods have to end for the way out, and all start again.
    gapMsGoal: 120_000,
    replaces: SERVERS,
    makePair: (environment, namespace) => new ReattachPair(environment, namespace),
    cleanUp: async (pair) => {
      await imageOfClass(pair, null);
      if (kept !== undefined)
        await pair.kubectl.try(
          'patch',
          'pv',
          kept,
          '--patch={"spec":{"persistentVolumeReclaimPolicy":"Delete"}}',
        );
    },
    msMax: MS_MAX,
  },
  'a claim in use that somebody deletes keeps its pod whatever happens, and its files come back by the documented way',
  async ({ pair, writer }) => {
    const image = await anotherImage(pair);
    const claim = await pair.kubectl.get<ClaimThing>('pvc', CLAIM);
    const holder = (await (pair as ReattachPair).attachmentPod(SERVER)).metadata.uid;
    const before = await podsOf(pair);
    await step('the claim is deleted', () => pair.kubectl.run('delete', 'pvc', CLAIM, '--wait=false'));
    const told = await step('the status says so', () =>
      pair.conditionSays('Degraded', 'ClaimBeingDeleted', REQUEST_ANSWERED_MS_MAX),
    );
    expect(told).toContain(`kubectl patch pv ${claim.spec.volumeName}`);
    await step('nobody could take over, it says', () =>
      pair.conditionSays('TakeoverPossible', 'ClaimBeingDeleted', REQUEST_ANSWERED_MS_MAX),
    );
    await imageOfClass(pair, image);
    await step('the rollout waits', () =>
      eventually(
        'it is Blocked because of the claim',
        REQUEST_ANSWERED_MS_MAX,
        () =>
          pair.latest?.status?.rollout?.step === 'Blocked' &&
          pair.latest.status.rollout.message.includes(CLAIM),
        () => JSON.stringify(pair.latest?.status),
      ),
    );
    await step('a takeover is refused', () =>
      expect(pair.request('takeover', SERVER)).rejects.toThrow(/failed: .* is being deleted/),
    );
    await writer.mark('failover 1');
    await step('the server is killed', () => killServerProcess(pair, SERVER));
    await step('the writer is served again', () => writer.writes(LINES_AFTERWARDS, SERVER_BACK_MS_MAX));
    await step('by the same server', () => pair.servedBy(SERVER, SERVER, SERVER_BACK_MS_MAX));
    expect(await podsOf(pair), 'pods of the servers').toEqual(before);
    expect((await (pair as ReattachPair).attachmentPod(SERVER)).metadata.uid).toBe(holder);
    const still = await pair.kubectl.get<ClaimThing>('pvc', CLAIM);
    expect(still.metadata.uid).toBe(claim.metadata.uid);

    await writer.mark('failover 2');
    await rescue(pair, claim);
    await step('the pair goes on by itself', () => pair.ready(PAIR_READY_MS_MAX));
    await step('the writer is served again', () => writer.writes(LINES_AFTERWARDS, SERVER_BACK_MS_MAX));
    await step('both servers have the image', () => rolledOut(pair, before));
    await step('a takeover is possible', () => pair.takeoverPossible(SERVER_BACK_MS_MAX));
  },
);
