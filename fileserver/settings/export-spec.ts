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
}
