/**
 * The survivor's node is full. Disks are as important as servers: by their priority class they get room for their pod. Without
 * one, and without a slot for a volume, it is told what is missing, and the move ends when there is room.
 */
import { expect } from 'vitest';
import { eventually } from '../../testing/eventually.ts';
import { STORAGE_CLASS } from '../csi/install.ts';
import { readEnvironment } from '../environment.ts';
import { Kubectl, type Thing } from '../harness/kubectl.ts';
import { PAIR, type Pair, partnerOf, type Server } from '../harness/pair.ts';
import { step } from '../harness/step.ts';
import { POD_READY_MS_MAX, REQUEST_ANSWERED_MS_MAX, RESTARTED_MS_MAX } from '../harness/timeouts.ts';
import { limitVolumes } from './disk-faults.ts';
import { movingScenario, PLANNED_MS_GOAL } from './moving-scenario.ts';
import { restartNodeDriver } from './node-driver.ts';

const FILLER = 'filler';
const PRIORITY = 'e2e-files';
const MILLI = 1000;

interface NodeThing extends Thing {
  readonly status: { readonly allocatable: { readonly cpu: string } };
}

interface RunningPod extends Thing {
  readonly spec: {
    readonly containers: readonly {
      readonly resources?: { readonly requests?: { readonly cpu?: string } };
    }[];
  };
  readonly status: { readonly phase: string };
}

const milliCpu = (text = '0'): number =>
  text.endsWith('m') ? Number(text.slice(0, -1)) : Number(text) * MILLI;

/** A pod that asks for all processor time of a node that nobody has asked for yet. */
async function fillNode(pair: Pair, node: string): Promise<void> {
  const { allocatable } = (await pair.kubectl.get<NodeThing>('node', node)).status;
  const pods = JSON.parse(
    await pair.kubectl.run(
      'get',
      'pods',
      '--all-namespaces',
      '--field-selector',
      `spec.nodeName=${node}`,
      '-o',
      'json',
    ),
  ) as { items: RunningPod[] };
  const asked = pods.items
    .filter(({ status }) => status.phase === 'Running' || status.phase === 'Pending')
    .flatMap(({ spec }) => spec.containers.map(({ resources }) => milliCpu(resources?.requests?.cpu)))
    .reduce((sum, one) => sum + one, 0);
  await pair.kubectl.apply({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: FILLER, namespace: pair.namespace },
    spec: {
      // By the scheduler, which then knows that the node is full.
      nodeSelector: { 'kubernetes.io/hostname': node },
      terminationGracePeriodSeconds: 1,
      containers: [
        {
          name: FILLER,
          image: pair.environment.images.client,
          imagePullPolicy: 'Never',
          resources: { requests: { cpu: `${milliCpu(allocatable.cpu) - asked}m` } },
          command: ['/usr/bin/tini', '-s', '--', 'node', '-e', 'setInterval(() => {}, 3600_000)'],
        },
      ],
    },
  });
  await pair.kubectl.wait(`pod/${FILLER}`, 'condition=Ready', POD_READY_MS_MAX);
}

const survivorsNode = async (pair: Pair, server: Server): Promise<string> =>
  (await pair.pod(partnerOf(server))).spec.nodeName;

async function fillerGone(pair: Pair): Promise<boolean> {
  const { stdout } = await pair.kubectl.try('get', 'pod', FILLER, '--ignore-not-found', '-o', 'name');
  return stdout.trim() === '';
}

/** Asked for, and not waited for: it ends when there is room. */
const askForTakeover = (pair: Pair, server: Server): Promise<string> => pair.ask('takeover', server);

movingScenario({
  name: 'reattach-node-full',
  fault:
    'a takeover is asked for, and pods of less priority take all processor time of the node of the partner',
  gapMsGoal: PLANNED_MS_GOAL + 5_000,
  disks: { priorityClassName: PRIORITY },
  prepare: async () => {
    const kubectl = new Kubectl(readEnvironment(), 'default');
    await kubectl.apply({
      apiVersion: 'scheduling.k8s.io/v1',
      kind: 'PriorityClass',
      metadata: { name: PRIORITY },
      value: 1_000_000,
    });
  },
  before: async (pair, server) => {
    await step('the node is full', async () => fillNode(pair, await survivorsNode(pair, server)));
  },
  inject: (pair, server) => pair.request('takeover', server),
  repair: async (pair) => {
    await step('who has less priority has made room', () =>
      eventually('the filler has gone', REQUEST_ANSWERED_MS_MAX, () => fillerGone(pair)),
    );
  },
});

movingScenario({
  name: 'reattach-node-full-without-priority',
  fault: 'a takeover is asked for, and others take all processor time of the node of the partner for a while',
  gapMsGoal: 20_000,
  disks: { reattach: { attachTimeout: '300s' } },
  before: async (pair, server) => {
    await step('the node is full', async () => fillNode(pair, await survivorsNode(pair, server)));
  },
  inject: async (pair, server) => {
    const node = await survivorsNode(pair, server);
    await askForTakeover(pair, server);
    const sentence = await step('the status says what is missing', () =>
      pair.conditionSays('Ready', 'DisksStuck', REQUEST_ANSWERED_MS_MAX, `cannot be put onto node ${node}`),
    );
    expect(sentence).toContain('Insufficient cpu');
    await step('there is room again', () => pair.kubectl.run('delete', 'pod', FILLER));
  },
  repair: async () => {},
});

let limited: string | undefined;

async function unlimited(): Promise<void> {
  if (limited === undefined) return;
  const environment = readEnvironment();
  limitVolumes(environment.cluster, limited, undefined);
  await restartNodeDriver(environment, limited);
  limited = undefined;
}

const NEIGHBOUR = 'neighbour';

/** Somebody else's volume, on that node. */
async function neighbourOn(pair: Pair, node: string): Promise<void> {
  const metadata = { name: NEIGHBOUR, namespace: pair.namespace };
  await pair.kubectl.apply({
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata,
    spec: {
      accessModes: ['ReadWriteOnce'],
      storageClassName: STORAGE_CLASS,
      resources: { requests: { storage: '64Mi' } },
    },
  });
  await pair.kubectl.apply({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata,
    spec: {
      nodeSelector: { 'kubernetes.io/hostname': node },
      terminationGracePeriodSeconds: 1,
      containers: [
        {
          name: NEIGHBOUR,
          image: pair.environment.images.client,
          imagePullPolicy: 'Never',
          command: ['/usr/bin/tini', '-s', '--', 'node', '-e', 'setInterval(() => {}, 3600_000)'],
          volumeMounts: [{ name: 'disk', mountPath: '/disk' }],
        },
      ],
      volumes: [{ name: 'disk', persistentVolumeClaim: { claimName: NEIGHBOUR } }],
    },
  });
  await pair.kubectl.wait(`pod/${NEIGHBOUR}`, 'condition=Ready', POD_READY_MS_MAX);
}

movingScenario({
  name: 'reattach-no-volume-slots',
  fault: 'a takeover is asked for, and a neighbour has the last room for a volume on the node of the partner',
  gapMsGoal: 20_000,
  disks: { reattach: { attachTimeout: '300s' } },
  before: async (pair, server) => {
    const node = await survivorsNode(pair, server);
    await step('a neighbour has a volume there', () => neighbourOn(pair, node));
    limited = node;
    await step('the node has the volumes that it can have', async () => {
      // The partner's own disk, and the neighbour's.
      limitVolumes(pair.environment.cluster, node, 2);
      await restartNodeDriver(pair.environment, node);
    });
    const told = () =>
      pair.latest?.status?.conditions?.find(({ reason }) => reason === 'NoVolumeSlots')?.message;
    // Limits wake nobody: the pair is looked at because of the annotation, and the operator may see the limit after that.
    let look = 0;
    const sentence = await step('the status says so beforehand', () =>
      eventually('TakeoverPossible is NoVolumeSlots', RESTARTED_MS_MAX, async () => {
        const annotation = `e2e.filerpair.dev/look=${++look}`;
        if (told() === undefined)
          await pair.kubectl.run('annotate', 'filerpair', PAIR, annotation, '--overwrite');
        return told();
      }),
    );
    expect(sentence).toContain(`can attach 0 more volumes to node ${node}`);
  },
  inject: async (pair, server) => {
    await askForTakeover(pair, server);
    const sentence = await step('the status says what is missing', () =>
      pair.conditionSays(
        'Ready',
        'DisksStuck',
        REQUEST_ANSWERED_MS_MAX,
        `cannot be put onto node ${limited}`,
      ),
    );
    expect(sentence).toContain('exceed max volume count');
    // The scheduler looks at a waiting pod again when a pod with a volume goes. A new limit is no reason for it.
    await step('the neighbour goes', () => pair.kubectl.run('delete', 'pod', NEIGHBOUR));
  },
  repair: unlimited,
  cleanUp: unlimited,
});
