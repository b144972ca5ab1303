/**
 * A planned takeover and giveback: the disk goes to the other node and comes back. Meanwhile a stranger's container has a
 * private copy of its mount on the first node, which must not keep it there.
 */
import { dirname } from 'node:path';
import { expect } from 'vitest';
import { step } from '../harness/step.ts';
import { POD_READY_MS_MAX } from '../harness/timeouts.ts';
import { movingScenario, PLANNED_MS_GOAL } from './moving-scenario.ts';
import type { ReattachPair } from './reattach-pair.ts';

const STRANGER = 'stranger';

/** As a node's log collector with the host's directories, and without mount propagation. */
async function startStranger(pair: ReattachPair, node: string, directory: string): Promise<void> {
  await pair.kubectl.apply({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: STRANGER },
    spec: {
      nodeName: node,
      terminationGracePeriodSeconds: 1,
      containers: [
        {
          name: 'stranger',
          image: pair.environment.images.client,
          imagePullPolicy: 'Never',
          command: ['/usr/bin/tini', '-s', '--', 'node', '-e', 'setInterval(() => {}, 3600_000)'],
          volumeMounts: [{ name: 'node', mountPath: '/node' }],
        },
      ],
      volumes: [{ name: 'node', hostPath: { path: directory } }],
    },
  });
  await pair.kubectl.wait(`pod/${STRANGER}`, 'condition=Ready', POD_READY_MS_MAX);
}

movingScenario({
  name: 'reattach-planned',
  fault: 'a takeover is asked for',
  gapMsGoal: PLANNED_MS_GOAL,
  survivorsClient: true,
  before: async (pair, server) => {
    const { nodeName } = (await pair.attachmentPod(server)).spec;
    const disk = await pair.directoryOnNodes(server);
    await step('a stranger has a private copy of the mount', async () => {
      const root = dirname(dirname(dirname(disk)));
      await startStranger(pair, nodeName, root);
      const found = await pair.kubectl.run('exec', STRANGER, '--', 'ls', `/node${disk.slice(root.length)}`);
      expect(found).toContain('lost+found');
    });
  },
  inject: (pair, server) => pair.request('takeover', server),
  repair: async (pair) => {
    await pair.kubectl.run('delete', 'pod', STRANGER, '--wait=false');
  },
});
