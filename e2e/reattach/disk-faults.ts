/**
 * What can go wrong with the storage: the CSI driver of the tests refuses what a file in its directory tells it to refuse
 * (csi/driver/disks.ts).
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Cluster } from '../kind/cluster.ts';

export type Refusal = 'refuse-attach' | 'refuse-detach';

const fileOf = ({ disksDirectory }: Cluster, what: Refusal, node: string): string =>
  join(disksDirectory, 'faults', `${what}-${node}`);

export function refuse(cluster: Cluster, what: Refusal, node: string, words: string): void {
  mkdirSync(join(cluster.disksDirectory, 'faults'), { recursive: true });
  writeFileSync(fileOf(cluster, what, node), words);
}

/** How many volumes the driver says that it can attach to a node, when it starts there; undefined: as many as there are. */
export function limitVolumes({ disksDirectory }: Cluster, node: string, count: number | undefined): void {
  const file = join(disksDirectory, 'faults', `volume-limit-${node}`);
  mkdirSync(join(disksDirectory, 'faults'), { recursive: true });
  if (count === undefined) rmSync(file, { force: true });
  else writeFileSync(file, String(count));
}

export function allow(cluster: Cluster, what: Refusal, node: string): void {
  rmSync(fileOf(cluster, what, node), { force: true });
}
