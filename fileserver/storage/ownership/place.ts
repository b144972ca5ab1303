/**
 * Where a volume lies: its file system and its directory there. Part of the ownership record, so that a volume that was copied or
 * restored is found out: identities of files mean other files in another place, or none.
 */

// The same place is the same on every node and in every mount of the file system. Pure.

export interface Place {
  /** UUID of the file system; null: not known, which never counts as another one. */
  readonly fileSystem: string | null;
  /** Identity of the volume's own directory, in hexadecimal digits. */
  readonly directory: string;
}

/** False where a UUID is not known: that never counts as another file system. */
export function isElsewhere(recorded: Place, found: Place): boolean {
  if (recorded.directory !== found.directory) return true;
  const { fileSystem } = recorded;
  return fileSystem !== null && found.fileSystem !== null && fileSystem !== found.fileSystem;
}

/** The place to record: parts that were known before stay known where they cannot be found out now. */
export function knownPlace(recorded: Place | undefined, found: Place): Place {
  if (recorded === undefined || found.fileSystem !== null || isElsewhere(recorded, found)) return found;
  return recorded;
}

export function describePlace({ fileSystem, directory }: Place): string {
  return `file system ${fileSystem ?? 'of unknown UUID'}, directory ${directory}`;
}

export function isPlace(value: unknown): value is Place {
  const { fileSystem, directory } = (value ?? {}) as Record<string, unknown>;
  return (fileSystem === null || typeof fileSystem === 'string') && typeof directory === 'string';
}
