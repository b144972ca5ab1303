/** Where the files lie that a volume has for its server alone. */
import { join } from 'node:path';
import { PRIVATE_DIRECTORY } from '../names/names.ts';

export function privateDirectory(root: string): string {
  return join(root, PRIVATE_DIRECTORY);
}
export function volumeFile(root: string): string {
  return join(privateDirectory(root), 'volume.json');
}
export function ownershipFile(root: string): string {
  return join(privateDirectory(root), 'ownership');
}
/** See journal-reserve.ts. */
export function reserveFile(root: string): string {
  return join(privateDirectory(root), 'reserve');
}
/** The administrator's word that a volume which is not the one that was served last is to be served: see behind.ts. */
export function restoredFile(root: string): string {
  return join(privateDirectory(root), 'restored');
}
/** The volume's own key for file handles: see handle-keys.ts. */
export function secretFile(root: string): string {
  return join(privateDirectory(root), 'secret');
}
