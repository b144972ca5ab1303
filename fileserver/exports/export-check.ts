/** Finds faults in a list of exports, as far as they show without reading a volume: the same in every thread. */
import type { ExportSpec } from '../settings/export-spec.ts';
import { exportIdOf } from '../storage/handles/file-handle.ts';
import { identityCanChange } from '../system/thread-identity.ts';
import { isGroup, isUser } from '../system/user-ids.ts';
import { clientNetworksOf } from './client-networks.ts';
import { parseExportDirectory } from './export-directory.ts';

/** The first fault, as a sentence; null: there is none. `volumes`: names of the disk set's volumes. */
export function faultOfExports(exports: readonly ExportSpec[], volumes: readonly string[]): string | null {
  const byId = new Map<number, string>();
  for (const one of exports) {
    const { path } = one;
    const fault = faultOfExport(one, volumes);
    if (fault !== null) return fault;
    const other = byId.get(exportIdOf(path));
    if (other !== undefined) {
      const same = other === path ? 'the same path twice' : 'paths with the same checksum';
      return `exports "${other}" and "${path}": ${same}; rename one`;
    }
    byId.set(exportIdOf(path), path);
  }
  return null;
}

/** The same of one export, whatever the others are. */
export function faultOfExport(one: ExportSpec, volumes: readonly string[]): string | null {
  const { path, volume } = one;
  if (!volumes.includes(volume)) return `export "${path}": there is no volume "${volume}"`;
  try {
    parseExportDirectory(one);
    clientNetworksOf(one.clients);
  } catch (error) {
    return (error as Error).message;
  }
  return unknownAnonymousId(one);
}

/** Every request of an unknown user is made with these ids, so the kernel must know them. */
function unknownAnonymousId({ path, anonymousUid, anonymousGid }: ExportSpec): string | null {
  if (!identityCanChange) return null;
  const missing = (what: string, id: number, map: string): string =>
    `export "${path}": ${what} ${id} does not exist in this server's user namespace (/proc/self/${map}); choose one that does`;
  if (!isUser(anonymousUid)) return missing('anonymousUid', anonymousUid, 'uid_map');
  if (!isGroup(anonymousGid)) return missing('anonymousGid', anonymousGid, 'gid_map');
  return null;
}
