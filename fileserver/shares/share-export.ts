/** The export of a FilerShare, and its faults whatever the other shares are. Pure. */
import type { AcceptedReason } from '../../kubernetes/share-conditions.ts';
import { clientNetworksOf } from '../exports/client-networks.ts';
import { faultOfExport } from '../exports/export-check.ts';
import { parseExportDirectory } from '../exports/export-directory.ts';
import type { ExportSpec, NewDirectory } from '../settings/export-spec.ts';
import { directoryOf, type ShareObject } from './share-object.ts';

const NOBODY = 65_534;
const DEFAULT_DIRECTORY: NewDirectory = { mode: 0o755, uid: 0, gid: 0 };

export type Verdict =
  | { readonly accepted: true }
  | {
      readonly accepted: false;
      readonly reason: Exclude<AcceptedReason, 'Accepted'>;
      /** A sentence without its full stop. */
      readonly message: string;
    };

export function exportOfShare(share: ShareObject): ExportSpec {
  const { metadata, spec } = share;
  const { squash = {} } = spec;
  const directory = directoryOf(share);
  const create = newDirectoryOf(share);
  return {
    path: spec.path ?? `/${metadata.name}`,
    volume: spec.volume ?? 'data',
    ...(directory === null ? {} : { directory }),
    clients: spec.clients,
    ports: spec.clientPorts ?? 'Any',
    access: spec.access ?? 'ReadWrite',
    squash: squash.mode ?? 'Root',
    anonymousUid: squash.anonymousUID ?? NOBODY,
    anonymousGid: squash.anonymousGID ?? NOBODY,
    ...(create === null || directory === null ? {} : { create }),
  };
}

/** null: it has to be there. */
function newDirectoryOf({ spec }: ShareObject): NewDirectory | null {
  const { createDirectory, directory } = spec;
  if (createDirectory === undefined) return directory === undefined ? DEFAULT_DIRECTORY : null;
  const { mode = '0755', uid = 0, gid = 0 } = createDirectory;
  return { mode: Number.parseInt(mode, 8), uid, gid };
}

/** volumes: names of those that the servers have of its disk set. */
export function verdictOf(one: ExportSpec, volumes: readonly string[]): Verdict {
  if (!volumes.includes(one.volume)) {
    const known = volumes.map((name) => `"${name}"`).join(', ');
    return refused('VolumeNotServed', `the servers do not have volume "${one.volume}", only ${known}`);
  }
  const directory = faultOf(() => parseExportDirectory(one));
  if (directory !== null) return refused('DirectoryReserved', directory);
  const clients = faultOf(() => clientNetworksOf(one.clients));
  if (clients !== null) return refused('ClientsInvalid', clients);
  const other = faultOfExport(one, volumes);
  return other === null ? { accepted: true } : refused('AnonymousIDUnknown', other);
}

function refused(reason: Exclude<AcceptedReason, 'Accepted'>, message: string): Verdict {
  return { accepted: false, reason, message };
}

function faultOf(check: () => unknown): string | null {
  try {
    check();
    return null;
  } catch (error) {
    return (error as Error).message;
  }
}
