/** A volume that can run full: an ext4 of its own in place of a directory of the shared one. */
import { join } from 'node:path';
import { SHARED_IN_NODES } from '../../kind/cluster.ts';
import { run, succeeds } from '../../machine/command.ts';
import { Pair, type Server } from '../pair.ts';

// Loop devices belong to the machine, mounts to each node; mounting one device in several nodes of one kernel gives
// one file system.

const FILLER = 'filler';

interface SmallVolume {
  readonly image: string;
  readonly inNode: string;
}

const placeOf = (pair: Pair, server: Server): SmallVolume => {
  const inNode = `${SHARED_IN_NODES}/${pair.namespace}/${server}`;
  return { image: `${inNode}.img`, inNode };
};

/** Where such a volume is mounted this machine sees only the empty directory: it is read through a node's eyes. */
export class PairOnSmallVolume extends Pair {
  override async onDisk(server: Server): Promise<string> {
    const [node] = this.environment.cluster.workers;
    const pid = (await run(['docker', 'inspect', '--format', '{{.State.Pid}}', node])).trim();
    return join('/proc', pid, 'root', placeOf(this, server).inNode);
  }
}

/** Before the pair is made. `sizeMiB` has to hold 16 MiB of journal besides what clients write. */
export async function mountSmallVolume(pair: Pair, server: Server, sizeMiB: number): Promise<void> {
  const { image, inNode } = placeOf(pair, server);
  const [first, ...others] = pair.environment.cluster.workers;
  const make = `truncate -s ${sizeMiB}M ${image} && mkfs.ext4 -q -m 0 ${image}`;
  const attach = `for n in $(seq 0 31); do [ -e /dev/loop$n ] || mknod /dev/loop$n b 7 $n; done; losetup -f --show ${image}`;
  const device = (await run(['docker', 'exec', first, 'sh', '-c', `${make} && ${attach}`])).trim();
  const number = device.replace('/dev/loop', '');
  const mount = `[ -e ${device} ] || mknod ${device} b 7 ${number}; mount ${device} ${inNode} && chmod 777 ${inNode}`;
  for (const node of [first, ...others]) await run(['docker', 'exec', node, 'sh', '-c', mount]);
  // Freed with the last mount.
  await run(['docker', 'exec', first, 'losetup', '-d', device]);
}

export async function unmountSmallVolume(pair: Pair, server: Server): Promise<void> {
  const { inNode } = placeOf(pair, server);
  for (const node of pair.environment.cluster.workers)
    await succeeds(['docker', 'exec', node, 'umount', '-l', inNode]);
}

/** Until not a byte more fits. */
export async function fill(pair: Pair, server: Server): Promise<void> {
  const { inNode } = placeOf(pair, server);
  const [node] = pair.environment.cluster.workers;
  await succeeds([
    'docker',
    'exec',
    node,
    'sh',
    '-c',
    `cat /dev/zero >${inNode}/${FILLER}; sync ${inNode}/${FILLER}`,
  ]);
}

export async function makeRoom(pair: Pair, server: Server): Promise<void> {
  const { inNode } = placeOf(pair, server);
  const [node] = pair.environment.cluster.workers;
  await run(['docker', 'exec', node, 'rm', '-f', `${inNode}/${FILLER}`]);
}
