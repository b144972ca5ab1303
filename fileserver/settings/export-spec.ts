/** An export, as the configuration declares it. */
export interface ExportSpec {
  /** Path that clients mount, absolute: `/home`. */
  readonly path: string;
  /** Name of the volume it lies on. */
  readonly volume: string;
  /** Directory of the volume that is exported, relative; the volume's root when absent. */
  readonly directory?: string;
  /** IPv4 and IPv6 networks in CIDR notation, or single addresses, that may mount it; `*` is everybody. */
  readonly clients: readonly string[];
  /**
   * Ports of clients from which calls are taken. Reserved: below 1024, so that the machine's root has to have opened the connection.
   * Absent: Any.
   */
  readonly ports?: 'Reserved' | 'Any' | undefined;
  readonly access: 'ReadWrite' | 'ReadOnly';
  readonly squash: 'None' | 'Root' | 'All';
  readonly anonymousUid: number;
  readonly anonymousGid: number;
  /** The server makes the directory if it is not there; absent: it does not. */
  readonly create?: NewDirectory | undefined;
}

/** Owner and mode of a directory that the server makes. Directories above it get 0755 and belong to the server. */
export interface NewDirectory {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/** Some exports of a disk set become others; the rest stays. */
export interface ExportChanges {
  /** New ones, and those that replace the export of their path. */
  readonly set: readonly ExportSpec[];
  /** Paths that are exported no longer. */
  readonly removed: readonly string[];
}

/** All exports of a disk set. Plain data. */
export interface GivenExports {
  /** Memory of exports/packed-exports.ts: exports that were checked before; null: none. */
  readonly packed: SharedArrayBuffer | null;
  /** Difference from those. */
  readonly changes: ExportChanges;
}
