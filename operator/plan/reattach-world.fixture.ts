/** A pair whose disks move from node to node, for tests: what kubelets, the attach/detach controller and servers do. */

import type { FilerPairSpecInput } from '../../crds/pair/spec.ts';
import type { Action } from '../model/action.ts';
import type { Claim, Pod, VolumeAttachment } from '../model/objects.ts';
import type { Observed } from '../model/observed.ts';
import { spec, World } from './world.fixture.ts';

export const reattach = { ...spec, storage: { type: 'Reattach' } } satisfies FilerPairSpecInput;

export const claimOf = (home: string): Claim => ({
  metadata: {
    name: `home.${home}.data`,
    namespace: 'storage',
    uid: `uid-claim-${home}`,
    labels: { 'filerpair.dev/pair': 'home', 'filerpair.dev/disk-set': home },
  },
  spec: { volumeName: `pv-${home}`, accessModes: ['ReadWriteOnce'] },
  status: { phase: 'Bound' },
});

export const attached = (
  home: string,
  node: string,
  status: VolumeAttachment['status'] = {},
): VolumeAttachment => ({
  metadata: { name: `csi-${home}-${node}` },
  spec: { nodeName: node, source: { persistentVolumeName: `pv-${home}` } },
  status: { attached: true, ...status },
});

/** As in Node.status.volumesInUse. */
export const inUseAs = (volume: string): string =>
  `kubernetes.io/csi/disks.csi.example.org^handle-of-${volume}`;

/** What the volumes of both say of themselves: one node at a time, and a driver that attaches. */
export const fenced: Observed['volumeFences'] = Object.fromEntries(
  ['pv-a', 'pv-b'].map((name) => [
    name,
    {
      accessModes: ['ReadWriteOnce'],
      driver: 'disks.csi.example.org',
      attachRequired: true,
      inUseAs: inUseAs(name),
    },
  ]),
);

/** Both servers serve, and their disks are where they belong. */
export function running(): World {
  const world = new World(reattach);
  world.observed.volumeFences = fenced;
  world.observed.claims = {
    'home.a.data': claimOf('a'),
    'home.b.data': claimOf('b'),
  };
  world.begin();
  for (const home of ['a', 'b']) {
    mounted(world, home);
    world.observed.volumeAttachments = [
      ...world.observed.volumeAttachments,
      attached(home, home === 'a' ? 'node-1' : 'node-2'),
    ];
  }
  world.settle();
  return world;
}

export const podsOf = (world: World, home: string): readonly Pod[] =>
  world.observed.pods.filter(({ metadata }) => metadata.labels?.['filerpair.dev/attachment'] === home);

/** The kubelet has mounted the volumes, and the pod has let them appear. */
export function mounted(world: World, home: string): void {
  const [pod] = podsOf(world, home);
  const nodeName = pod!.metadata.annotations!['filerpair.dev/node']!;
  const status = { phase: 'Running' as const, conditions: [{ type: 'Ready', status: 'True' as const }] };
  world.changePod(pod!, { spec: { ...pod!.spec, nodeName }, status });
}

export function gone(world: World, home: string): void {
  for (const { metadata } of podsOf(world, home)) world.remove('pods', metadata.name ?? '');
}

/** b has claimed the disk set of a and waits for the disks. */
export function takenOver(): World {
  const world = running();
  world.claims('b', 'a', 2);
  world.changeLease(
    'a',
    {},
    { 'filerpair.dev/last-transition': null, 'filerpair.dev/secondary-port-open': null },
  );
  return world;
}

/** What a plan does to pods and Leases. */
export const lines = (actions: readonly Action[]): string[] =>
  actions
    .filter(({ resource }) => resource === 'pods' || resource === 'leases')
    .map((action) => {
      const name = 'object' in action ? action.object.metadata.name : action.name;
      return `${action.kind} ${action.resource} ${name?.replace(/-[0-9a-v]{5}$/, '-*')}`;
    });

/** The condition Ready of the pair, once nothing is to do. */
export const ready = (world: World) => {
  world.settle();
  const [condition] = world.observed.pair!.status!.conditions!;
  return { reason: condition!.reason, message: condition!.message };
};
