/**
 * A look at volumes that another server serves: are they there, are they this disk set's, are they those that were served last,
 * can they be read? Nothing is written. It runs in the pool's threads and is bounded, as a disk that hangs must not hold up the agent.
 */
import type { WrittenVolumes } from '../../pair/lease.ts';
import { whyBehind } from '../volume/behind.ts';
import { readOwnership, readVolumeRecord, saysRestored } from '../volume/ownership.ts';

/** Longer than a disk takes that could be taken over; ms. */
const PATIENCE_MS = 2000;

/** Null: every volume is as it should be. Else a sentence about the first that is not. */
export async function whyVolumesNotReadable(
  home: string,
  volumes: readonly { readonly name: string; readonly path: string }[],
  written?: WrittenVolumes,
): Promise<string | null> {
  for (const volume of volumes) {
    const why = await within(
      whyNot(home, volume, written),
      `volume ${volume.name} of ${home} has not been read within ${PATIENCE_MS} ms`,
    );
    if (why !== null) return why;
  }
  return null;
}

async function whyNot(
  home: string,
  { name, path }: { readonly name: string; readonly path: string },
  written: WrittenVolumes | undefined,
): Promise<string | null> {
  try {
    const record = await readVolumeRecord(path);
    if (record === null) return `${path} (volume ${name} of ${home}) holds no volume: is it mounted?`;
    if (record.home !== home)
      return `${path} holds a volume of ${record.home}, and should hold ${name} of ${home}`;
    const ownership = await readOwnership(path);
    const uuid = written?.volumes[name];
    if (uuid === undefined || (await saysRestored(path))) return null;
    const found = { uuid: record.uuid, epoch: ownership?.epoch ?? null };
    return whyBehind(name, path, { epoch: written!.epoch, uuid }, found);
  } catch (error) {
    return `volume ${name} of ${home} cannot be read at ${path}: ${(error as Error).message}`;
  }
}

async function within(work: Promise<string | null>, otherwise: string): Promise<string | null> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<string>((resolve) => {
    timer = setTimeout(resolve, PATIENCE_MS, otherwise);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
