/** A volume, as the configuration declares it. */
export interface VolumeSpec {
  readonly name: string;
  /**
   * Directory of this server where the volume is mounted. With `reattached` it is mounted beside it, in a directory whose name
   * comes with a DisksMessage: `/volumes/filer-a/data` in `/volumes/filer-a/DIRECTORY/data`.
   */
  readonly path: string;
  /**
   * True: no dirty page outlives its reply (docs/design.md R9 "WriteThrough"); every write is answered as DATA_SYNC.
   */
  readonly writeThrough?: boolean;
  /**
   * True: it moves from node to node (transfer mode Reattach). It may not be there yet when its disk set is opened, and
   * counts as there only when it is mounted.
   */
  readonly reattached?: boolean;
  /** Holds the pair's keys for file handles (storage/handles/handle-keys.ts). Absent: the volume has one of its own. */
  readonly handleKeysDirectory?: string;
  /** True: files that are on it before it is made a volume are kept and served. With `reattached` only. */
  readonly adopts?: boolean;
}
