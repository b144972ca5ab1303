/** Records in the FilerDiskSets of a pair: they outlive the status, which a backup tool or `kubectl apply` may drop. */

import { diskSetName } from '../../crds/filer-disk-set.ts';
import type { StorageType } from '../../crds/pair/storage.ts';
import type { FilerDiskSetObject } from './objects.ts';
import type { Observed } from './observed.ts';

/** Keeps a FilerDiskSet as long as its pair is there. */
export const DISK_SET_FINALIZER = 'filerpair.dev/in-use';

type Known = Pick<Observed, 'name' | 'filerDiskSets'>;

/** The record of a server's disk set; null: there is none. */
export function recordOf({ name, filerDiskSets }: Known, server: string): FilerDiskSetObject | null {
  const wanted = diskSetName(name, server);
  return filerDiskSets.find(({ metadata }) => metadata.name === wanted) ?? null;
}

/** The claim that a volume was bound to once; undefined: none is known. */
export const recordedClaim = (known: Known, server: string, volume: string) =>
  recordOf(known, server)?.spec.claims?.find((one) => one.volume === volume);

/** Storage type of the volumes since the first claim was made; null: none was made. */
export const recordedStorageType = ({ filerDiskSets }: Known): StorageType | null =>
  filerDiskSets.find(({ spec }) => spec.storageType !== undefined)?.spec.storageType ?? null;
