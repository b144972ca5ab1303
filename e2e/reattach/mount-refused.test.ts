/**
 * A file system that was damaged on its way cannot be mounted: the disk set is not served, and the status says why and where to
 * look. When an administrator has repaired it everything goes on by itself.
 */
import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { eventually } from '../../testing/eventually.ts';
import { readEnvironment } from '../environment.ts';
import { PAIR, VOLUME } from '../harness/pair.ts';
import { LINES_AFTERWARDS, PARTNER, SERVER, scenario } from '../harness/scenario.ts';
import { step } from '../harness/step.ts';
import { REQUEST_ANSWERED_MS_MAX, WRITER_FINISHED_MS_MAX } from '../harness/timeouts.ts';
import { DISKS_IN_NODES } from '../kind/cluster.ts';
import { outcomeOf } from '../machine/command.ts';
import { allow, refuse } from './disk-faults.ts';
import { ReattachPair } from './reattach-pair.ts';

/** ext4 with blocks of 4 KiB: the block behind the superblock's describes all groups of a small file system. */
const GROUPS_AT = 4096;
const GROUPS_SIZE = 4096;
/** The kubelet's patience doubles with each try, to two minutes at most. */
const MOUNTED_AGAIN_MS_MAX = 180_000;

let refusing: string | undefined;

scenario(
  {
    name: 'reattach-mount-refused',
    fault:
      'a takeover is asked for, and the file system of the disk is damaged on the way; it is repaired by hand',
    // By what the kubelet waits before it tries again.
    gapMsGoal: 120_000,
    replaces: [],
    makePair: (environment, namespace) =>
      new ReattachPair(environment, namespace, { reattach: { attachTimeout: '300s' } }),
    cleanUp: async () => {
      if (refusing !== undefined) allow(readEnvironment().cluster, 'refuse-attach', refusing);
    },
  },
  'a file system that cannot be mounted is not served until it is repaired, and nothing is lost',
  async ({ pair: anyPair, writer }) => {
    const pair = anyPair as ReattachPair;
    const { cluster } = pair.environment;
    const disk = await pair.diskOf(SERVER);
    refusing = (await pair.pod(PARTNER)).spec.nodeName;
    refuse(cluster, 'refuse-attach', refusing, 'wait');
    await writer.mark('failover');
    await step('a takeover is asked for', () => pair.request('takeover', SERVER));
    await step('the disk has left its node', async () => {
      const sentence = await pair.conditionSays('Ready', 'DisksStuck', REQUEST_ANSWERED_MS_MAX);
      expect(sentence).toContain(`cannot be attached to node ${refusing}`);
    });
    await step('its file system is damaged', async () => wipe(join(cluster.disksDirectory, `${disk}.img`)));
    allow(cluster, 'refuse-attach', refusing);
    const sentence = await step('the status says that it is not mounted', () =>
      pair.conditionSays('Ready', 'DisksStuck', REQUEST_ANSWERED_MS_MAX, 'has not mounted them'),
    );
    expect(sentence).toContain(`describe pod ${(await pair.attachmentPod(SERVER)).metadata.name}`);
    await step('the kubelet says why, a moment later', () =>
      eventually('an event FailedMount', MOUNTED_AGAIN_MS_MAX, async () =>
        (await pair.kubectl.run('get', 'events', '--field-selector=reason=FailedMount')).includes(PAIR),
      ),
    );
    await step('it is repaired', async () => {
      const { code, stdout, stderr } = await outcomeOf([
        'docker',
        'exec',
        refusing!,
        'e2fsck',
        '-fy',
        `${DISKS_IN_NODES}/${disk}.img`,
      ]);
      // Repaired, says e2fsck.
      expect(code, stdout + stderr).toBe(1);
    });
    await step(`${PARTNER} serves it`, () => pair.servedBy(SERVER, PARTNER, MOUNTED_AGAIN_MS_MAX));
    await step('the writer is served again', () => writer.writes(LINES_AFTERWARDS, WRITER_FINISHED_MS_MAX));
  },
);

/** A copy of what is overwritten lies further behind on the disk, where e2fsck finds it. */
function wipe(image: string): void {
  const file = openSync(image, 'r+');
  try {
    const found = Buffer.alloc(GROUPS_SIZE);
    readSync(file, found, 0, GROUPS_SIZE, GROUPS_AT);
    expect(found.equals(Buffer.alloc(GROUPS_SIZE)), `nothing to damage in ${VOLUME}`).toBe(false);
    writeSync(file, Buffer.alloc(GROUPS_SIZE, 0xff), 0, GROUPS_SIZE, GROUPS_AT);
  } finally {
    closeSync(file);
  }
}
