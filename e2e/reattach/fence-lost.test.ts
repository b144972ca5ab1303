/**
 * What keeps a disk to one node is taken away from a pair that runs: its volumes get an access mode that allows two nodes, or
 * its driver is installed anew and attaches nothing. Nothing moves then, whatever happens; it is told, and refused to who asks.
 */
import { expect } from 'vitest';
import { DRIVER } from '../csi/driver/identity.ts';
import { csiDriver } from '../csi/install.ts';
import { readEnvironment } from '../environment.ts';
import { killServerProcess } from '../harness/faults/processes.ts';
import { Kubectl, type Thing } from '../harness/kubectl.ts';
import { claimOf, type Pair, type PodThing, SERVERS } from '../harness/pair.ts';
import { LINES_AFTERWARDS, PARTNER, SERVER, scenario } from '../harness/scenario.ts';
import { step } from '../harness/step.ts';
import { REQUEST_ANSWERED_MS_MAX, SERVER_BACK_MS_MAX } from '../harness/timeouts.ts';
import { say } from '../machine/stage.ts';
import { ReattachPair } from './reattach-pair.ts';

interface ClaimThing extends Thing {
  readonly spec: { readonly volumeName: string };
}

interface AttachmentThing extends Thing {
  readonly spec: { readonly nodeName: string; readonly source: { readonly persistentVolumeName?: string } };
}

const volumesOf = (pair: Pair): Promise<string[]> =>
  Promise.all(
    SERVERS.map(async (server) => {
      const claim = await pair.kubectl.get<ClaimThing>('pvc', claimOf(server));
      return claim.spec.volumeName;
    }),
  );

async function setModes(pair: Pair, ...accessModes: string[]): Promise<void> {
  for (const volume of await volumesOf(pair))
    await pair.kubectl.run('patch', 'pv', volume, '--patch', JSON.stringify({ spec: { accessModes } }));
}

/** attachRequired cannot be changed, so it is deleted and made anew, as who installs a driver again does. */
async function installDriver(attachRequired: boolean): Promise<void> {
  const kubectl = new Kubectl(readEnvironment(), 'kube-system');
  await kubectl.run('delete', 'csidriver', DRIVER, '--ignore-not-found');
  await kubectl.apply(csiDriver(attachRequired));
}

/** The pods that hold disks, and where. */
async function holders(pair: Pair): Promise<string[]> {
  const pods = await pair.kubectl.list<PodThing>('pods', 'filerpair.dev/attachment');
  return pods.map(({ metadata, spec }) => `${metadata.uid} on ${spec.nodeName}`).sort();
}

async function attachedTo(pair: Pair): Promise<string> {
  const volumes = new Set(await volumesOf(pair));
  const all = await pair.kubectl.list<AttachmentThing>('volumeattachments');
  const ours = all.filter(({ spec }) => volumes.has(spec.source.persistentVolumeName ?? ''));
  return ours.map(({ spec }) => `${spec.source.persistentVolumeName} to ${spec.nodeName}`).join(', ');
}

interface FenceLost {
  readonly name: string;
  readonly fault: string;
  readonly reason: string;
  readonly words: string;
  readonly lose: (pair: Pair) => Promise<void>;
  readonly giveBack: (pair: Pair) => Promise<void>;
}

function fenceLost({ name, fault, reason, words, lose, giveBack }: FenceLost): void {
  let lost = false;
  const repair = async (pair: Pair): Promise<void> => {
    if (lost) await giveBack(pair);
    lost = false;
  };
  scenario(
    {
      name,
      fault,
      // The killed server comes back by itself: nobody may take over from it.
      gapMsGoal: 30_000,
      replaces: [],
      makePair: (environment, namespace) => new ReattachPair(environment, namespace),
      cleanUp: repair,
    },
    `${fault}: it is told, no disk gets a second mount, and nothing is lost`,
    async ({ pair, writer, leases }) => {
      const before = await holders(pair);
      expect(before).toHaveLength(2);
      lost = true;
      await step(fault, () => lose(pair));
      const sentence = await step('the status says so', () =>
        pair.conditionSays('Ready', reason, REQUEST_ANSWERED_MS_MAX),
      );
      expect(sentence).toContain(words);
      await step('nobody could take over, it says', () =>
        pair.conditionSays('TakeoverPossible', reason, REQUEST_ANSWERED_MS_MAX),
      );
      await step('a takeover is refused', () =>
        expect(pair.request('takeover', SERVER)).rejects.toThrow(new RegExp(`failed: .*${reason}`)),
      );
      const changes = leases.ownerChanges(PARTNER);
      await writer.mark('failover');
      await step('the server is killed', () => killServerProcess(pair, SERVER));
      await step('the writer is served again', () => writer.writes(LINES_AFTERWARDS, SERVER_BACK_MS_MAX));
      say(`  attached: ${await attachedTo(pair)}`);
      expect(await holders(pair), 'pods that hold disks').toEqual(before);
      expect(leases.ownerChanges(PARTNER), 'the other disk set').toBe(changes);
      await step('what fences is there again', () => repair(pair));
      await step('the pair is Ready', () => pair.ready(REQUEST_ANSWERED_MS_MAX));
      await step('a takeover is possible', () => pair.takeoverPossible(SERVER_BACK_MS_MAX));
      await step('a takeover is asked for', () => pair.request('takeover', SERVER));
      await step('the writer is served again', () => writer.writes(LINES_AFTERWARDS, SERVER_BACK_MS_MAX));
    },
  );
}

fenceLost({
  name: 'reattach-volume-not-exclusive',
  fault: 'the volumes get the access modes ReadWriteOnce and ReadOnlyMany',
  reason: 'VolumeNotExclusive',
  words: 'which has the access modes ReadWriteOnce, ReadOnlyMany',
  lose: (pair) => setModes(pair, 'ReadWriteOnce', 'ReadOnlyMany'),
  giveBack: (pair) => setModes(pair, 'ReadWriteOnce'),
});

fenceLost({
  name: 'reattach-driver-attaches-nothing',
  fault: 'the CSI driver is installed anew with attachRequired false',
  reason: 'NotFenced',
  words: `CSIDriver ${DRIVER}: attachRequired false`,
  lose: () => installDriver(false),
  giveBack: () => installDriver(true),
});
