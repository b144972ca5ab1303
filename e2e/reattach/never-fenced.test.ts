/**
 * A pair on volumes that two nodes could have at once is refused from the start: no pod starts, and the reason is told. When
 * the volumes are put right it goes on by itself.
 */
import { truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { DRIVER } from '../csi/driver/identity.ts';
import { readEnvironment } from '../environment.ts';
import { collectLogs } from '../harness/logs.ts';
import { type PodThing, SERVERS } from '../harness/pair.ts';
import { recordResult } from '../harness/results.ts';
import { step } from '../harness/step.ts';
import { REQUEST_ANSWERED_MS_MAX, SCENARIO_MS_MAX } from '../harness/timeouts.ts';
import { ReattachPair } from './reattach-pair.ts';

const NAME = 'reattach-never-fenced';
/** Of volumes that somebody has made by hand; no StorageClass of this name is needed. */
const BY_HAND = 'by-hand';
const SIZE = 1024 ** 3;

class PairOnVolumesByHand extends ReattachPair {
  readonly disks: readonly string[] = SERVERS.map((server) => `by-hand-${server}`);

  protected override async makeVolumes(): Promise<void> {
    for (const disk of this.disks) {
      const image = join(this.environment.cluster.disksDirectory, `${disk}.img`);
      writeFileSync(image, '');
      truncateSync(image, SIZE);
    }
  }

  protected override volumes(): object[] {
    return this.disks.map((disk) => ({
      apiVersion: 'v1',
      kind: 'PersistentVolume',
      metadata: { name: disk, labels: { e2e: this.namespace } },
      spec: {
        capacity: { storage: '1Gi' },
        accessModes: ['ReadWriteOnce', 'ReadOnlyMany'],
        storageClassName: BY_HAND,
        persistentVolumeReclaimPolicy: 'Delete',
        csi: { driver: DRIVER, volumeHandle: disk, fsType: 'ext4' },
      },
    }));
  }
}

test(
  'a pair on volumes that two nodes could have at once is refused, and goes on when they are put right',
  async () => {
    const from = performance.now();
    const pair = new PairOnVolumesByHand(readEnvironment(), `e2e-${NAME}`, {
      claim: { storageClassName: BY_HAND },
    });
    let passed = false;
    try {
      await step('a FilerPair is applied', () => pair.create());
      const sentence = await step('it is refused', () =>
        pair.conditionSays('Ready', 'VolumeNotExclusive', REQUEST_ANSWERED_MS_MAX),
      );
      expect(sentence).toContain('which has the access modes ReadWriteOnce, ReadOnlyMany');
      expect(sentence).toContain('Kubernetes attaches such a volume to two nodes at once');
      const pods = await pair.kubectl.list<PodThing>('pods');
      expect(pods.filter(({ metadata }) => metadata.labels?.['filerpair.dev/attachment'])).toEqual([]);
      for (const disk of pair.disks)
        await pair.kubectl.run('patch', 'pv', disk, '--patch={"spec":{"accessModes":["ReadWriteOnce"]}}');
      await step('it becomes Ready when they are put right', () => pair.ready());
      passed = true;
    } finally {
      const fault = 'none: volumes with the access modes ReadWriteOnce and ReadOnlyMany';
      recordResult(NAME, { fault, passed, tookMs: Math.round(performance.now() - from) });
      await collectLogs(pair, NAME);
      await pair.remove();
    }
  },
  SCENARIO_MS_MAX,
);
